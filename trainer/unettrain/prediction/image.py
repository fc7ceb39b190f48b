"""Seamless prediction of images of any size (Ronneberger et al. 2015, section 2 and Fig. 2).

The paper cuts an image into overlapping tiles, whose context is computed again for each. Here the network slides down
panels of the image (`panels`, `strip_plan`): the result is that of one tile of the whole image, except for rounding.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unettrain.data.intensity import ArrayLike, intensity_range
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.prediction.scores import plan_prediction, predict_units
from unettrain.prediction.windows import Window


def predict_image(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float] | None = None,
    tile_px: int | None = None,
    *,
    batch_size: int | None = None,
    out: Any = None,
    on_progress: Callable[[int, int], None] = lambda done, num: None,
) -> Any:
    """Probability of every class at every pixel: (c, z, y, x) of any number dtype -> (class, z, y, x) float32.

    `image` is a numpy array or anything indexed like one, such as a zarr array: one strip is read at a time. Context
    outside of the image is mirrored without repeating the edge pixel. `intensity` is (low, high), the values that
    become 0 and 1 (default: `intensity_range(image)`). `tile_px` is a legal tile: the width of what the network
    computes at once; by default as wide as memory allows. `batch_size` is the number of slices and panels that are
    computed at once. `out` is an array to write to instead of a new one. `on_progress` is called with the number of
    finished strips and of all strips. Dropout is off. The result does not depend on the tile, except for rounding of
    float32. Runs on the model's device.

    Raises InvalidInput for an image of the wrong axes or channels, for an illegal tile, and for a network with instance
    normalisation if a slice does not fit into memory as one tile.
    """
    blocks = predict_windows(model, image, intensity, tile_px, batch_size=batch_size, on_progress=on_progress)
    result = np.empty((model.config.num_classes, *image.shape[1:]), np.float32) if out is None else out
    for w, block in blocks:
        result[:, w.z, w.y0 : w.y1, w.x0 : w.x1] = block
    return result


def predict_windows(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float] | None = None,
    tile_px: int | None = None,
    *,
    batch_size: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, num: None,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Predict window by window: each with its probabilities (class, y, x).

    Windows cover every pixel once, in the order of z, then x, then y. Arguments and errors are those of
    `predict_image`; arguments are checked before this returns.
    """
    check_image(model, image.shape)
    plan = plan_prediction(model, image.shape, tile_px, batch_size)
    limits = intensity or intensity_range(image)

    def predicted() -> Iterator[tuple[Window, NDArray[np.float32]]]:
        for unit, blocks in predict_units(model, image, limits, plan):
            for w, scores in blocks:
                yield w, torch.from_numpy(scores).softmax(0).numpy()
            on_progress(unit + 1, plan.num_units)

    return predicted()


def check_image(model: UNet, shape: tuple[int, ...], name: str = "an image") -> None:
    """Raise InvalidInput if an image of this shape is not (c, z, y, x) with the channels of the network."""
    if len(shape) != 4 or shape[0] != model.config.in_channels or 0 in shape:
        raise InvalidInput(
            f"{name} of shape {tuple(shape)} does not fit this network",
            allowed=f"({model.config.in_channels}, z, y, x), at least one pixel a side",
        )
