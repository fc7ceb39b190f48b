"""Augmentation of a whole batch by torch on the device of its tensors, equivalent to `cpu`.

Parameters, coordinates and rules are those of `cpu` and `unetprep.kernels.warp`. Coordinates are float64, so that
labels come from the same pixels; interpolation is float32 and may differ in the last bits.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from unetprep.kernels.intensity_rules import CLIP
from unetprep.kernels.warp import SHIFT, Transform, check_tile, keys
from unettrain.augment.draw import Draw, noise, transform_of
from unettrain.data.opening import NO_FIELDS, StoredFields

BLUR_REACH = 4.0  # standard deviations at which scipy truncates its Gaussians


def augment_batch(
    draws: Sequence[Draw],
    image: Tensor,
    labels: Tensor,
    weights: Tensor,
    fields: StoredFields = NO_FIELDS,
    margin_px: int = 0,
    *,
    intensity: Tensor | None = None,
    cubic: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Augment a batch of tiles, with one `Draw` for each; every pixel is resampled once.

    image (b, c, side + 2 margin_px, same) of any number dtype; labels and weights (b, output + 2 margin_px, same),
    labels uint8 or of a signed integer dtype, weights float; all on one device that supports float64. `side` and
    `output` are the sides of the result. `intensity` (b, 2): the range of each image that becomes 0..1, clipped to
    `unetprep.kernels.intensity_rules.CLIP`; None for images that are scaled already.

    Returns image (b, c, side, side) float32; labels (b, output, output) of their own dtype, each the nearest pixel's (a
    tie goes to the larger coordinate); weights (b, output, output) float32, 0 where the nearest pixel has 0. Beyond the
    given tile the image is mirrored, labels and weights are 0. Labels equal those of `augment.cpu.apply` except for
    pixels within 1e-9 of a tie; images of range 0 to 1, and weights, agree within 1e-5. Noise is generated on the CPU,
    so that its numbers are equal too.

    Raises ValueError for an empty batch, unequal numbers of draws and tiles, and other shapes.
    """
    if not len(draws) == len(image) == len(labels) == len(weights) > 0:
        sizes = f"{len(draws)} draws, {len(image)} images, {len(labels)} labels and {len(weights)} weights"
        raise ValueError(f"{sizes}: one of each is needed for every tile")
    if intensity is not None and intensity.shape != (len(image), 2):
        raise ValueError(f"intensity has shape {tuple(intensity.shape)}, not {(len(image), 2)}")
    transforms = [transform_of(draw, fields) for draw in draws]
    image, labels, weights = warp_batch(image, labels, weights, transforms, margin_px, 3 if cubic else 1)
    if intensity is not None:
        low, high = intensity.to(image).reshape(-1, 2, 1, 1, 1).unbind(1)
        image = ((image - low) / torch.where(high == low, 1, high - low)).clamp(*CLIP)
    if any((d.black, d.white, d.slope) != (0.0, 1.0, 1.0) for d in draws):
        image = _change_gray(image, draws)
    if any(d.blur for d in draws):
        image = _blur(image, [d.blur for d in draws])
    for k, d in enumerate(draws):
        if d.noise:
            image[k] += torch.from_numpy(noise(d, tuple(image.shape[1:]))).to(image.device)
    return image, labels, weights


def warp_batch(
    image: Tensor, labels: Tensor, weights: Tensor, transforms: Sequence[Transform], margin_px: int, order: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """`unetprep.kernels.warp.warp_tile` for a batch: see there, and `augment_batch` for the shapes."""
    check_tile(image.shape[-1] - 2 * margin_px, order, image.shape, labels.shape, weights.shape)
    if labels.shape != weights.shape:
        raise ValueError(f"labels of shape {tuple(labels.shape)} and weights of shape {tuple(weights.shape)}")
    side, output = image.shape[-1] - 2 * margin_px, labels.shape[-1] - 2 * margin_px
    y, x = _coordinates(transforms, side, image.device)
    moved = (_cubic if order == 3 else _linear)(image.float(), y + margin_px, x + margin_px)
    inset = (side - output) // 2  # from the tile to its output
    y, x = (p[:, inset : inset + output, inset : inset + output] + (margin_px - inset) for p in (y, x))
    inside = _within(y, weights.shape[-2]) & _within(x, weights.shape[-1])
    weighed = _linear(weights.float()[:, None], y, x)[:, 0]
    y, x = ((p + 0.5).floor() for p in (y, x))
    nearest = _pick(weights[:, None], _index(y, weights.shape[-2]), _index(x, weights.shape[-1]))[:, 0]
    weighed = torch.where(inside & (nearest != 0), weighed, 0)
    inside = _within(y, labels.shape[-2]) & _within(x, labels.shape[-1])
    chosen = _pick(labels[:, None], _index(y, labels.shape[-2]), _index(x, labels.shape[-1]))[:, 0]
    return moved, torch.where(inside, chosen, 0), weighed


def _coordinates(transforms: Sequence[Transform], side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source coordinates y and x (b, side, side) of the pixels of each tile, from the tile's first pixel.

    The affine part is linear along a row, so it adds two columns to the product that expands the grid. Coordinates are
    rounded as on the CPU.
    """
    v = np.arange(side) - (side - 1) / 2
    places = []
    for transform in transforms:
        affine, by_row, columns = transform.expanded(side)
        line = np.stack([affine[:, :1] * v + affine[:, 2:], np.broadcast_to(affine[:, 1:2], (2, side))], axis=-1)
        factors = np.concatenate([line, by_row], axis=-1), np.concatenate([np.ones((1, side)), v[None], columns])
        left, right = (torch.from_numpy(factor).to(device) for factor in factors)
        places.append((left @ right + SHIFT) - SHIFT)
    y, x = torch.stack(places, dim=1)
    return y, x


def _within(p: Tensor, size: int) -> Tensor:
    return (p >= 0) & (p <= size - 1)


def _index(p: Tensor, size: int) -> Tensor:
    """Integer coordinates as indices, mirrored at the edge pixels without repeating them."""
    period = max(1, 2 * (size - 1))
    i = p.long().remainder(period)
    return torch.minimum(i, period - i) if size > 1 else torch.zeros_like(i)


def _pick(array: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels (b, c, y, x) of an array (b, c, ...) at indices (b, y, x)."""
    places = (rows * array.shape[-1] + columns).flatten(1)[:, None].expand(-1, array.shape[1], -1)
    return array.flatten(2).gather(2, places).reshape(*array.shape[:2], *rows.shape[1:])


def _linear(array: Tensor, y: Tensor, x: Tensor) -> Tensor:
    height, width = array.shape[-2:]
    top, left = y.floor(), x.floor()
    fy, fx = ((p - whole).float()[:, None] for p, whole in ((y, top), (x, left)))
    rows = [_index(top + k, height) for k in (0, 1)]
    columns = [_index(left + k, width) for k in (0, 1)]
    (a, b), (c, d) = ([_pick(array, row, column) for column in columns] for row in rows)
    a, b = a + (c - a) * fy, b + (d - b) * fy
    return a + (b - a) * fx


def _cubic(array: Tensor, y: Tensor, x: Tensor) -> Tensor:
    weigh: Callable[[Tensor], tuple[Tensor, ...]] = keys.py_func
    height, width = array.shape[-2:]
    top, left = y.floor(), x.floor()
    fy, fx = ((p - whole).float()[:, None] for p, whole in ((y, top), (x, left)))
    columns = [_index(left + k, width) for k in (-1, 0, 1, 2)]
    total = torch.zeros_like(fx)
    for k, weight in zip((-1, 0, 1, 2), weigh(fy), strict=True):
        row = _index(top + k, height)
        parts = (w * _pick(array, row, column) for w, column in zip(weigh(fx), columns, strict=True))
        total = total + weight * sum(parts)
    return total


def _change_gray(image: Tensor, draws: Sequence[Draw]) -> Tensor:
    """`unetprep.kernels.gray_values.change_gray` with one curve for each tile."""
    numbers = torch.tensor([(d.black, d.white - d.black, d.slope - 1) for d in draws], dtype=torch.float32)
    black, height, bend = numbers.to(image.device).reshape(-1, 3, 1, 1, 1).unbind(1)
    return image * ((1 + bend) - bend * image) * height + black


def _blur(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """A separate Gaussian for each tile, mirrored at the edge."""
    reach = max(int(BLUR_REACH * s + 0.5) for s in sigmas)
    i = np.arange(-reach, reach + 1)
    kernels = np.stack([_gaussian(i, s) for s in sigmas])
    weights = torch.from_numpy(np.repeat(kernels, image.shape[1], axis=0)).to(image)
    flat = image.reshape(1, -1, *image.shape[2:])
    for axis, form in ((-2, (-1, 1, 2 * reach + 1, 1)), (-1, (-1, 1, 1, 2 * reach + 1))):
        around = _index(torch.arange(-reach, flat.shape[axis] + reach, device=image.device), flat.shape[axis])
        flat = functional.conv2d(flat.index_select(axis, around), weights.reshape(form), groups=flat.shape[1])
    return flat.reshape(image.shape)


def _gaussian(i: NDArray[np.integer], sigma: float) -> NDArray[np.float64]:
    """Weights at integer distances; sigma 0 leaves the pixel unchanged."""
    weights = np.where(i == 0, 1.0, 0.0)
    if sigma:
        weights = np.where(abs(i) <= int(BLUR_REACH * sigma + 0.5), np.exp(-0.5 * (i / sigma) ** 2), 0.0)
    weights /= weights.sum()
    return weights
