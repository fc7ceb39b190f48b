"""Limits of images that can be read: plausible shapes, and parts that fit into memory.

A damaged header can declare an image of any size. Such an image is refused before memory is allocated.
"""

from math import prod

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.host_memory import available_memory

MAX_SIDE = 2**31 - 1  # positions are int32
MAX_PIXELS = 2**42  # of one channel
MAX_SLICES = 2**20
MAX_CHANNELS = 2**12
UNCHECKED_BYTES = 2**26  # the free memory is not checked for smaller reads


def check_shape(path: str, shape: tuple[int, int, int, int]) -> None:
    """Raise InvalidInput for an image (c, z, y, x) without pixels or beyond the limits."""
    channels, slices, height, width = shape
    if min(shape) <= 0:
        raise InvalidInput(
            f"{path} has no pixels: {channels} channels of {slices} x {height} x {width} (z, y, x)",
            allowed="at least one pixel along each axis",
            hint="export the image again, or leave it out",
        )
    is_small = max(height, width) <= MAX_SIDE and prod(shape[1:]) <= MAX_PIXELS
    if not is_small or slices > MAX_SLICES or channels > MAX_CHANNELS:
        raise InvalidInput(
            f"{path} declares {channels} channels of {slices} x {height} x {width} pixels (z, y, x)",
            allowed=f"up to {MAX_CHANNELS} channels, {MAX_SLICES} slices and {MAX_PIXELS} pixels a channel",
            hint="check whether its header is damaged; otherwise split it",
        )


def check_memory(path: str, shape: tuple[int, ...], dtype: str, what: str = "a part of it") -> None:
    """Raise InvalidInput if an array to be read at once is larger than the free memory."""
    needed = prod(shape) * np.dtype(dtype).itemsize
    if needed <= UNCHECKED_BYTES:
        return
    available = available_memory()
    if available is not None and needed > available:
        sides = " x ".join(map(str, shape))
        raise InvalidInput(
            f"{path} cannot be read: {what}, {sides} of {dtype}, needs {_gib(needed)}, and {_gib(available)} are free",
            hint="check whether its header is damaged; otherwise save it as a tiled TIFF or a Zarr array with"
            " smaller chunks, split it, or use a machine with more memory",
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
