"""Scores of whole slices, each as one tile of the network's own forward pass.

It is what seamless prediction is compared with, and the only exact prediction of a network with instance normalisation,
whose scores depend on all pixels of its input.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unetprep.host_memory import available_memory
from unetprep.kernels.mirror import mirrored_tile
from unetprep.kernels.tiling import border_px, legal_tiles_near
from unettrain.config import UNetConfig
from unettrain.data.intensity import ArrayLike, scale_intensity
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.prediction.panels import Predicted
from unettrain.prediction.windows import Window

ALIGNMENT_PX = 2  # more context of a same-padded network on each side, with which it pools the same pixels


@dataclass(frozen=True)
class WholePlan:
    """The slices of an image of `shape` (z, y, x), each of which is a unit of work."""

    shape: tuple[int, int, int]

    @property
    def num_units(self) -> int:
        """Number of units of work."""
        return self.shape[0]


def plan_whole(model: UNet, shape: tuple[int, ...], why: str) -> WholePlan:
    """The slices of an image (c, z, y, x). Raises InvalidInput, with `why`, if one does not fit into memory."""
    needed, device = whole_bytes(model.config, shape), next(model.parameters()).device
    available = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    if available is not None and needed > available:
        raise InvalidInput(
            f"a slice of {shape[2]} x {shape[3]} pixels as one tile takes {needed / 2**30:.1f} GiB of memory; {why}",
            allowed=f"{available / 2**30:.1f} GiB, which is available",
            hint="cut a smaller image out of it",
        )
    return WholePlan((shape[1], shape[2], shape[3]))


def whole_bytes(config: UNetConfig, shape: tuple[int, ...]) -> int:
    """Memory that the forward pass of a slice takes, in bytes: mostly skips, and the arrays of the first level."""
    height, width = (_side(n, config.depth) for n in shape[2:])
    return 4 * height * width * (8 * config.base_channels + 2 * shape[0] + 2 * config.num_classes)


def predict_slices(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float],
    plan: WholePlan,
    *,
    first_unit: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Predicted]:
    """Predict an image (c, z, y, x) slice by slice, beginning with slice `first_unit`. Dropout is off."""
    was_training = model.training
    model.eval()
    try:
        for z in range(first_unit, plan.num_units):
            window = Window(z, 0, plan.shape[1], 0, plan.shape[2])
            pixels = np.asarray(image[:, z, : plan.shape[1], : plan.shape[2]])
            yield Predicted(z, [(window, whole_scores(model, pixels, intensity, dtype))])
    finally:
        model.train(was_training)


@torch.inference_mode()
def whole_scores(
    model: UNet, pixels: NDArray[np.generic], intensity: tuple[float, float], dtype: torch.dtype = torch.float32
) -> NDArray[np.float32]:
    """Scores (class, y, x) of a slice (c, y, x), mirrored outside of its edges, by a model in evaluation mode."""
    depth, device = model.config.depth, next(model.parameters()).device
    height, width = pixels.shape[1:]
    more = ALIGNMENT_PX if model.config.padding == "same" else 0
    start = -(border_px(depth) // 2) - more
    sides = (_side(height, depth) + 2 * more, _side(width, depth) + 2 * more)
    tile = mirrored_tile(scale_intensity(pixels, *intensity), (start, start), sides)
    batch = torch.from_numpy(tile[None]).to(device, memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        scores = model(batch).float()
    first = -start if model.config.padding == "same" else 0
    found: NDArray[np.float32] = scores[0, :, first : first + height, first : first + width].cpu().numpy()
    return found


def _side(pixels: int, depth: int) -> int:
    """The side of the smallest legal tile whose output holds so many pixels."""
    return legal_tiles_near(pixels + border_px(depth), depth)[1]
