"""Backends that compute the weight map of a block: our kernel, and `edt` with scipy as an independent check."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.two_nearest import Box
from unetprep.kernels.weight_formula import Formula, Gaussian
from unetprep.kernels.weights import weigh_block, weigh_block_bytes, with_ignored

Block = NDArray[np.float64]
Weigh = Callable[
    [NDArray[np.int32], NDArray[np.uint8], tuple[float, ...], Formula, tuple[float, ...], Box], NDArray[np.float32]
]

Bytes = Callable[[tuple[int, ...], tuple[int, ...], Formula, tuple[float, ...], int, bool], int]


def weigh_block_by_edt(
    labels: NDArray[np.int32],
    target: NDArray[np.uint8],
    class_weights: tuple[float, ...],
    formula: Formula,
    spacing: tuple[float, ...],
    core: Box,
) -> NDArray[np.float32]:
    """The result of `weigh_block`, by one `edt` transform for each cell, in its bounding box and the reach around."""
    independent = len(spacing) == 2
    stacks = labels if independent else labels[None]
    distances = np.stack([_two_nearest(stack, formula.reach, spacing) for stack in stacks], axis=1)
    nearest, second = (d[core] if independent else d[0][core] for d in distances)
    weights = np.array([*class_weights, 0.0])[with_ignored(target, labels[core], len(class_weights))]
    gaussians = _gaussian(formula.boundary, nearest) + _gaussian(formula.border, nearest + second)
    where = (labels[core] >= 0) & ((target == 0) | formula.on_cells)
    return (weights + np.where(where, gaussians, 0)).astype(np.float32)


def edt_bytes(
    shape: tuple[int, ...],
    core: tuple[int, ...],
    formula: Formula,
    spacing: tuple[float, ...],
    largest_label: int,
    has_ignored: bool,
) -> int:
    """Memory of `weigh_block_by_edt` in addition to labels and target, for small cells."""
    stack = shape if len(spacing) == 3 else (1, *shape[1:])
    names = (4 + 3 * 8 + 8) * math.prod(stack)  # sorting: the labels, their order, and what becomes of it
    distances = 2 * 8 * (math.prod(shape) + math.prod(stack))
    gaussians = (4 * 8 + 8 + 4) * math.prod(core)
    return max(distances + names, 2 * 2 * 8 * math.prod(shape), 2 * 8 * math.prod(shape) + gaussians)


def _two_nearest(labels: NDArray[np.int32], reach: float, spacing: tuple[float, ...]) -> Block:
    """Distances to the two nearest cells of one image, (2, ...), infinite where they are out of reach."""
    import edt
    from scipy import ndimage

    nearest = np.full((2, *labels.shape), np.inf)
    margins = [int(np.ceil(reach / size)) for size in spacing]
    ids, names = np.unique(np.maximum(labels, 0), return_inverse=True)
    names = names.reshape(labels.shape) + (ids[0] > 0)  # find_objects skips 0, which only background may be
    for cell, box in enumerate(ndimage.find_objects(names), start=1):
        around = tuple(slice(max(0, b.start - m), b.stop + m) for b, m in zip(box, margins, strict=True))
        squared = edt.edtsq(names[around] != cell, anisotropy=spacing, black_border=False, parallel=1)
        d = np.sqrt(squared.astype(np.float64))
        first, second = nearest[0][around], nearest[1][around]
        np.minimum(second, np.maximum(first, d), out=second)
        np.minimum(first, d, out=first)
    return nearest


def _gaussian(gaussian: Gaussian, d: Block) -> Block:
    inside = d < gaussian.reach
    return np.where(inside, gaussian.height * np.exp(-((np.where(inside, d, 0) / gaussian.sigma) ** 2) / 2), 0)


ENGINES: dict[str, Weigh] = {"numba": weigh_block, "edt": weigh_block_by_edt}
ENGINE_BYTES: dict[str, Bytes] = {"numba": weigh_block_bytes, "edt": edt_bytes}
