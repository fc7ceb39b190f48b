"""Reading of boxes from a .npy file, row by row.

Mapping the file into memory would be shorter; but then the system counts whole stretches of it, many times the box, as
memory of the process.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.grid import Box, box_shape


def read_npy(path: str, box: Box) -> NDArray[Any]:
    """The values of a box. Raises ValueError where the file is cut short, or holds no plain numbers."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if not mapped.flags.c_contiguous:
        return np.array(mapped[box])
    box = tuple(slice(*b.indices(n)) for b, n in zip(box, mapped.shape, strict=True))
    shape, itemsize = mapped.shape, mapped.dtype.itemsize
    axis = len(box) - 1
    while axis > 0 and box[axis] == slice(0, shape[axis], 1):  # rows that follow each other are read at once
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
