"""Reading of boxes from a .npy file, row by row.

Mapping the file into memory would be simpler, but then the system counts much more than the box as memory of the
process.
"""

from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, box_shape


class PickledObjects(ValueError):
    """A .npy file holds pickled objects instead of numbers."""


class Header(NamedTuple):
    """Header of a .npy file: offset of the values, shape, dtype, and whether the first axis is the fastest."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool


def read_header(file: IO[bytes], num_bytes: int) -> Header:
    """The header of a file of `num_bytes` bytes. Raises ValueError if it declares more values than the file holds.

    The check of NumPy multiplies the sides in 64 bits, which can overflow.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read(file)
    except TokenError as error:
        raise ValueError(f"its header is invalid: {error}") from None
    if dtype.hasobject:
        raise PickledObjects("it holds Python objects, which are not unpickled: that could run any code")
    if min(shape, default=0) < 0:
        raise ValueError(f"its header declares the shape {shape}")
    header = Header(file.tell(), shape, dtype, is_fortran)
    if header.offset + prod(shape) * dtype.itemsize > num_bytes:
        raise ValueError(
            f"its header declares {prod(shape) * dtype.itemsize} bytes of values, the file has {num_bytes}"
        )
    return header


def read_npy(path: str, box: Box) -> NDArray[Any]:
    """The values of a box. Raises ValueError if the file is truncated or does not hold plain numbers."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if not mapped.flags.c_contiguous:
        return np.array(mapped[box])
    box = tuple(slice(*b.indices(n)) for b, n in zip(box, mapped.shape, strict=True))
    shape, itemsize = mapped.shape, mapped.dtype.itemsize
    axis = len(box) - 1
    while axis > 0 and box[axis] == slice(0, shape[axis], 1):  # contiguous rows are read at once
        axis -= 1
    strides = [prod(shape[i + 1 :]) * itemsize for i in range(len(shape))]
    out = np.empty(box_shape(box), mapped.dtype)
    with Path(path).open("rb", buffering=0) as file:
        for place in np.ndindex(*box_shape(box[:axis])):
            starts = [*(b.start + i for b, i in zip(box, place, strict=False)), box[axis].start]
            file.seek(mapped.offset + sum(a * s for a, s in zip(starts, strides, strict=False)))
            run = out[place].data.cast("B")
            if file.readinto(run) != len(run):
                raise ValueError("the file is cut short")
    return out
