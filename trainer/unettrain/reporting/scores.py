"""Scores on held-out images: the trained network, the same network untrained, and Otsu's threshold.

All three get the same pixels, and their foreground is separated into cells alike, as `predict` does it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.tiling import border_px
from unettrain.data.opening import open_image
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.device import pick_device
from unettrain.errors import InvalidInput
from unettrain.metrics.cell_errors import ErrorCounts, cell_errors
from unettrain.metrics.components import label_components
from unettrain.metrics.scores import Scores, pooled, score_instances
from unettrain.model import UNet
from unettrain.prediction.image import predict_image
from unettrain.reporting.error_maps import ErrorMap, make_error_map
from unettrain.reporting.inputs import Run, has_instances, image_shapes, images_of, read_labels, read_pixels
from unettrain.reporting.otsu import cells_are_brighter, otsu_mask
from unettrain.reporting.region_scores import RegionScores
from unettrain.reporting.regions import SHOWN_PX, Region, densest_window, plan_regions

METHODS = ("trained", "untrained", "otsu")
PREFERENCE = ("test", "val", "train")
IMAGES = {"test": "test images", "val": "validation images", "train": "training images"}
MAX_MAPS = 3


@dataclass(frozen=True)
class Shown:
    """One slice of a scored region, for pictures: image (c, y, x), true labels, probability, predicted cells (y, x).

    Labels are 0 in the background and -1 where pixels are ignored.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.integer]
    probability: NDArray[np.float32]
    cells: NDArray[np.integer]


@dataclass(frozen=True)
class HeldOut:
    """The pooled scores of each of METHODS, those of each region, and the images they are from.

    `regions` are those of the trained network in the order of the store; `maps` show its errors in the worst of them.
    """

    split: str
    seed: int  # of the training and of the untrained network
    regions: tuple[RegionScores, ...]
    num_images: int  # of the split
    num_pixels: int  # of these images
    cells_are_brighter: bool
    cells_are_numbered: bool
    scores: dict[str, Scores]
    shown: Shown
    maps: tuple[ErrorMap, ...]
    decoding: DecodingParams

    @property
    def names(self) -> list[str]:
        """The evaluated images."""
        return list(dict.fromkeys(found.region.name for found in self.regions))

    @property
    def errors(self) -> ErrorCounts:
        """Cells of each kind of error, of all regions."""
        return sum((found.errors for found in self.regions), start=ErrorCounts())


def score_held_out(run: Run) -> HeldOut:
    """Score the images of the first split with any: test, val or train. Raises InvalidInput if there are none."""
    split = next((s for s in PREFERENCE if images_of(run, s)), None)
    if split is None:
        raise InvalidInput(
            f"{run.store} has no images, only arrays computed from them",
            hint=f"unettrain report {run.files.path} --store STORE, with the whole store",
        )
    shapes = image_shapes(run, images_of(run, split))
    brighter, networks, decoding = cells_are_brighter(run), _networks(run), run.checkpoint.decoding_params
    found: list[dict[str, Scores]] = []
    regions: list[RegionScores] = []
    maps: list[ErrorMap] = []
    shown: Shown | None = None
    for region in plan_regions(shapes):
        image, labels = read_pixels(run, region), read_labels(run, region)
        predictions = {m: predict_region(run, net, region, shapes[region.name][0]) for m, net in networks.items()}
        foregrounds = {m: network_foreground(p) for m, p in predictions.items()}
        foregrounds |= {"otsu": otsu_mask(image, brighter).astype(np.float32)}
        cells = {method: cells_of(f, region, decoding) for method, f in foregrounds.items()}
        found.append({method: score_instances(proposal, labels, region.dims) for method, proposal in cells.items()})
        errors = cell_errors(np.maximum(labels, 0), cells["trained"], labels < 0)
        regions.append(RegionScores(region, shapes[region.name][0][0], found[-1]["trained"], errors.counts))
        if regions[-1].has_errors and (len(maps) < MAX_MAPS or regions[-1].merit < maps[-1].found.merit):
            maps.append(make_error_map(regions[-1], image, labels, cells["trained"], errors))
            maps = sorted(maps, key=lambda each: each.found.merit)[:MAX_MAPS]
        if shown is None or not (shown.labels > 0).any():
            shown = make_shown(region, image, labels, foregrounds["trained"], cells["trained"])
    assert shown is not None
    return HeldOut(
        split,
        run.checkpoint.seed,
        tuple(regions),
        len(shapes),
        sum(math.prod(shape) for shape, _ in shapes.values()),
        brighter,
        all(has_instances(run, name) for name in {each.region.name for each in regions}),
        {method: pooled([of_region[method] for of_region in found]) for method in METHODS},
        shown,
        tuple(maps),
        decoding,
    )


def _networks(run: Run) -> dict[str, UNet]:
    device = pick_device("auto")
    untrained = UNet(run.checkpoint.network, run.checkpoint.seed)
    return {"trained": run.checkpoint.build().to(device), "untrained": untrained.to(device)}


def predict_region(run: Run, network: UNet, region: Region, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Probabilities (class, z, y, x) in a region, equal to those of a prediction of the whole image."""
    pool = 1 << network.config.depth
    context = math.ceil(border_px(network.config.depth) / 2 / pool) * pool
    wide = region.grown(context + pool, shape)  # its end may divide a group of pooled pixels
    stored = open_image(run.store, region.name)
    predicted = predict_image(network, read_pixels(run, wide), stored.intensity, run.checkpoint.tile_px)
    rows, columns = region.y0 - wide.y0, region.x0 - wide.x0
    cut: NDArray[np.float32] = predicted[
        ..., rows : rows + region.y1 - region.y0, columns : columns + region.x1 - region.x0
    ]
    return cut


def make_shown(
    region: Region,
    image: NDArray[Any],
    labels: NDArray[np.integer],
    probability: NDArray[np.float32],
    cells: NDArray[np.integer],
) -> Shown:
    """The slice of a region with the most cell pixels, cut to the window with the most of them."""
    z = int((labels > 0).sum(axis=(1, 2)).argmax())
    y, x = densest_window(labels[z] > 0, SHOWN_PX)
    return Shown(region.name, image[:, z, y, x], labels[z, y, x], probability[z, y, x], cells[z, y, x])


def network_foreground(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Foreground of probabilities (class, z, y, x); NaN, from a network whose training diverged, is background."""
    foreground: NDArray[np.float32] = 1 - probabilities[0]
    return np.nan_to_num(foreground, copy=False)


def cells_of(foreground: NDArray[np.float32], region: Region, params: DecodingParams) -> NDArray[np.int32]:
    """The cells of a region: decoded slice by slice; in a volume, connected components through the slices."""
    if region.dims == 3:
        return label_components(foreground >= params.threshold, region.connectivity)
    return separate_instances(foreground, params)
