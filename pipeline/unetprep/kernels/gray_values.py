"""Scaling and augmentation of gray values in one pass over an image."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.intensity_rules import CLIP

CLIP_LOW, CLIP_HIGH = map(np.float32, CLIP)


def change_gray(
    image: NDArray[np.float32],
    low: float = 0.0,
    high: float = 1.0,
    black: float = 0.0,
    white: float = 1.0,
    slope: float = 1.0,
) -> None:
    """Map `low` to `black` and `high` to `white`, in place, by a parabola.

    Values are scaled to 0 at `low` and 1 at `high` and clipped to CLIP before they are mapped. `image` is float32 and
    contiguous. `slope` is that of the parabola at `low`, relative to a straight line (1). Like gamma, it raises or
    lowers the values between, but its slope at `low` is finite, and it is defined beyond `low` and `high` too.
    """
    width = np.float32(high - low) or np.float32(1)
    _change(
        image.reshape(-1), np.float32(low), width, np.float32(black), np.float32(white - black), np.float32(slope - 1)
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _change(image, low, width, black, height, bend):  # type: ignore[no-untyped-def]
    one = np.float32(1)
    for i in range(len(image)):
        v = min(max((image[i] - low) / width, CLIP_LOW), CLIP_HIGH)
        image[i] = v * ((one + bend) - bend * v) * height + black
