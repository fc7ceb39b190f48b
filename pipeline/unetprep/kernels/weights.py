"""The weight map w(x) (Ronneberger et al. 2015, Eq. 2).

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

with d1, d2 the distances to the nearest and the second nearest cell. w_c balances the classes. The paper leaves open
where the second term applies; it is there to teach the background between cells, so it stands on background alone.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.nearest import two_nearest
from unetprep.kernels.separate import separate_instances

NUM_CLASSES = 2


def border_reach_px(w0: float, sigma_px: float) -> float:
    """How large d1 + d2 can be before the border term no longer moves a float32 weight near 1: 31 px at 10 and 5."""
    smallest = float(np.finfo(np.float32).epsneg)
    return 0.0 if w0 <= smallest else math.ceil(sigma_px * math.sqrt(2 * math.log(w0 / smallest)))


def balanced_class_weights(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """w_c from the number of pixels of each class in the whole data set: total / (classes * count).

    The mean of w_c over the data set is then 1. A class that does not occur gets weight 0.
    """
    total, present = int(counts.sum()), int(np.count_nonzero(counts))
    return tuple(float(total / (present * int(n))) if n else 0.0 for n in counts)


@njit(nogil=True, cache=True)
def _weigh(dist, target, class_weights, w0, sigma_px, reach_px, out):  # type: ignore[no-untyped-def]
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                weight = class_weights[target[z, y, x]]
                if target[z, y, x] == 0:
                    total = math.sqrt(dist[0, z, y, x]) + math.sqrt(dist[1, z, y, x])
                    if total < reach_px:
                        weight += w0 * math.exp(-(total * total) / (2.0 * sigma_px * sigma_px))
                out[z, y, x] = weight


def weigh_block(
    labels: NDArray[np.int32],
    target: NDArray[np.uint8],
    class_weights: tuple[float, ...],
    w0: float,
    sigma_px: float,
    dims: int,
) -> NDArray[np.float32]:
    """Weights of one block (z, y, x), float32, from its labels and target.

    Right wherever the block holds every instance pixel within `border_reach_px(w0, sigma_px)` of it.
    """
    reach_px = border_reach_px(w0, sigma_px)
    dist = two_nearest(labels, reach_px, (1.0,) * dims, dims)
    out = np.empty(labels.shape, np.float32)
    _weigh(dist, target, np.asarray(class_weights, np.float64), w0, sigma_px, reach_px, out)
    return out


def weight_map(
    labels: NDArray[np.integer],
    w0: float = 10.0,
    sigma: float = 5.0,
    class_weights: tuple[float, float] | None = None,
    separate: bool = True,
) -> NDArray[np.float32]:
    """The weight map of one labelled image.

    `labels` is (y, x) or, for a volume, (z, y, x), of any integer dtype, 0 = background and one number per cell;
    `sigma` is in pixels. `class_weights` are the weights of background and cell; by default they balance the classes
    over this image. With `separate`, a line of background is put between touching cells first. Returns float32 of
    the same shape. With fewer than two cells the border term is 0 everywhere. Source: Ronneberger et al. 2015, Eq. 2.

    Raises ValueError for labels of another number of axes, not of integer dtype, or out of the range of int32.
    """
    if labels.ndim not in (2, 3) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of 2 or 3 axes, not {labels.dtype} of shape {labels.shape}")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= np.iinfo(np.int32).max:
        raise ValueError(f"labels must lie in 0 to {np.iinfo(np.int32).max}, not {labels.min()} to {labels.max()}")
    dims = labels.ndim
    block = np.ascontiguousarray(labels, np.int32).reshape((-1, *labels.shape[-2:]))
    target = separate_instances(block, dims) if separate else (block != 0).astype(np.uint8)
    if class_weights is None:
        balanced = balanced_class_weights(np.bincount(target.ravel(), minlength=NUM_CLASSES))
        class_weights = (balanced[0], balanced[1])
    return weigh_block(block, target, class_weights, w0, sigma, dims).reshape(labels.shape)
