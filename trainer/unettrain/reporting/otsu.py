"""Otsu's threshold (1979) as a baseline without training.

The method does not decide whether cells are brighter or darker than the background. That follows from the training
images, never from the scored ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from unettrain.data.intensity import scale_intensity
from unettrain.data.opening import open_image
from unettrain.reporting.inputs import (
    Run,
    has_instances,
    image_shapes,
    images_of,
    read_labels,
    read_pixels,
    read_target,
)
from unettrain.reporting.regions import plan_regions

POLARITY_PIXELS = 1_000_000


def cells_are_brighter(run: Run) -> bool:
    """Whether cells are on average at least as bright as the background in the training images."""
    sums, counts = np.zeros(2), np.zeros(2)
    for region in plan_regions(image_shapes(run, images_of(run, "train")), POLARITY_PIXELS):
        low, high = open_image(run.store, region.name).intensity
        values = scale_intensity(read_pixels(run, region), low, high).mean(axis=0, dtype=np.float64)
        cell = (read_target(run, region) != 0).astype(np.intp)
        if has_instances(run, region.name):
            known = read_labels(run, region) >= 0
            values, cell = values[known], cell[known]
        sums += np.bincount(cell.ravel(), values.ravel(), minlength=2)
        counts += np.bincount(cell.ravel(), minlength=2)
    ground, cells = sums / np.maximum(counts, 1)
    return bool(cells >= ground) or counts[1] == 0


def otsu_mask(image: NDArray[Any], cells_are_brighter: bool) -> NDArray[np.bool_]:
    """Otsu's threshold of one image (c, z, y, x), on the mean of its channels; the brighter side, or the darker one."""
    values = image.mean(axis=0, dtype=np.float64)
    threshold = threshold_otsu(values.ravel())  # type: ignore[no-untyped-call]
    return np.asarray(values > threshold if cells_are_brighter else values <= threshold)
