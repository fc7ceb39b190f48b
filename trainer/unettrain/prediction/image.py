"""Seamless prediction of images of any size by overlap tiles (Ronneberger et al. 2015, section 2 and Fig. 2).

Neighbouring tiles lie a multiple of 2^depth pixels apart, so that every tile pools the same groups of pixels as one
tile of the whole image would. The output is no such multiple at depth 4 (388 = 24 * 16 + 4): tiles 388 apart would
pool on shifted grids, and their outputs would differ from those of the whole image. So 384 of the 388 are used.

    output of one tile     |<------------- 388 ------------->|
    what is used of it     |<------------ 384 ----------->|<------------ 384 ----------->|
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetprep.kernels.mirror import mirror_index
from unetprep.kernels.tiling import border_px, legal_tiles_near, output_size
from unettrain.data.intensity import ArrayLike, intensity_range, scale_intensity
from unettrain.errors import InvalidInput
from unettrain.model import UNet, check_side

DEFAULT_TILE_PX = 572


@dataclass(frozen=True)
class Window:
    """The part of the image that one tile predicts: slice z, rows y0 to y1, columns x0 to x1."""

    z: int
    y0: int
    y1: int
    x0: int
    x1: int


def predict_image(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float] | None = None,
    tile_px: int | None = None,
    *,
    batch_size: int = 1,
    out: Any = None,
    on_progress: Callable[[int, int], None] = lambda done, num: None,
) -> Any:
    """Probability of every class at every pixel: (c, z, y, x) of any number dtype -> (class, z, y, x) float32.

    `image` is a numpy array or anything indexed like one, such as a zarr array: one tile is read at a time. Context
    outside of the image is mirrored without repeating the edge pixel. `intensity` is (low, high), the values that
    become 0 and 1 (default: `intensity_range(image)`). `tile_px` is a legal tile (default: at most 572), increased if
    too small to be aligned. `out` is an array to write to instead of a new one. `on_progress` is called with the number
    of finished tiles and of all tiles. Dropout is off. The result does not depend on the tile, except for rounding of
    float32. Runs on the model's device.

    Raises InvalidInput for an image of the wrong axes or channels, and for an illegal tile.
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
    batch_size: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, num: None,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Predict window by window: each with its probabilities (class, y, x).

    Windows cover every pixel once, in the order of z, then y, then x. Arguments and errors are those of
    `predict_image`; arguments are checked before this returns.
    """
    _check_image(model, image)
    tile = legal_tile(tile_px, model.config.depth)
    low, high = intensity or intensity_range(image)
    windows = _windows(image.shape, step_px(tile, model.config.depth))

    def predicted() -> Iterator[tuple[Window, NDArray[np.float32]]]:
        was_training = model.training
        model.eval()
        try:
            for first in range(0, len(windows), batch_size):
                some = windows[first : first + batch_size]
                tiles = np.stack([_read(image, window, tile, model.config.depth) for window in some])
                for w, block in zip(some, _probabilities(model, scale_intensity(tiles, low, high)), strict=True):
                    yield w, block[:, : w.y1 - w.y0, : w.x1 - w.x0]
                on_progress(first + len(some), len(windows))
        finally:
            model.train(was_training)

    return predicted()


def _check_image(model: UNet, image: ArrayLike) -> None:
    if len(image.shape) != 4 or image.shape[0] != model.config.in_channels or 0 in image.shape:
        raise InvalidInput(
            f"an image of shape {tuple(image.shape)} does not fit this network",
            allowed=f"({model.config.in_channels}, z, y, x), at least one pixel a side",
        )


def legal_tile(tile_px: int | None, depth: int) -> int:
    """The side of the predicted tiles: a legal one, large enough for tiles to be aligned."""
    if tile_px is None:
        tile_px = legal_tiles_near(DEFAULT_TILE_PX, depth)[0]
    check_side(tile_px, depth)
    while step_px(tile_px, depth) == 0:  # 188 at depth 4, which gives 4 pixels: too small to be aligned
        tile_px += 1 << depth
    return tile_px


def step_px(tile_px: int, depth: int) -> int:
    """Distance between tiles: the greatest multiple of 2^depth in the output. 384 for 572 at depth 4."""
    return output_size(tile_px, depth) >> depth << depth


def _windows(shape: tuple[int, ...], step: int) -> list[Window]:
    """The windows of an image (c, z, y, x); every pixel is in exactly one."""
    origins = (range(shape[1]), range(0, shape[2], step), range(0, shape[3], step))
    return [Window(z, y0, min(y0 + step, shape[2]), x0, min(x0 + step, shape[3])) for z, y0, x0 in product(*origins)]


def _read(image: ArrayLike, window: Window, tile_px: int, depth: int) -> NDArray[Any]:
    """The network's input for one window, (c, tile, tile), mirrored where it leaves the image."""
    before = border_px(depth) // 2
    rows, columns = (
        mirror_index(start - before, start - before + tile_px, size)
        for start, size in ((window.y0, image.shape[2]), (window.x0, image.shape[3]))
    )
    y, x = int(rows.min()), int(columns.min())
    block = np.asarray(image[:, window.z, y : int(rows.max()) + 1, x : int(columns.max()) + 1])
    return block[:, (rows - y)[:, None], columns - x]


@torch.inference_mode()
def _probabilities(model: UNet, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of the scores, (b, class, output, output), computed in float32."""
    device = next(model.parameters()).device
    scores = model(torch.from_numpy(tiles).to(device, memory_format=torch.channels_last))
    probabilities: NDArray[np.float32] = scores.float().softmax(1).cpu().numpy()
    return probabilities
