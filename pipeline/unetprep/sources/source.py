"""An image in a file as an array (c, z, y, x) that is read box by box; axes, dtypes and errors of all formats."""

import os
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.sources.limits import check_memory
from unetprep.sources.urls import is_url, reachable

STACK_AXES = "zqit"  # letters for an axis of slices in files: depth, unknown, sequence, time
CHANNEL_AXES = "cs"
UNUSED = "_"  # an axis of length 1 beside another of its kind
MAX_CHANNELS_LAST = 4
Decode = Callable[[str, int, Callable[[], NDArray[Any]]], None]  # (path, bytes, function that decodes the pixels)
DAMAGED = (  # what readers raise; a SyntaxError for a damaged PNG, and a ValueError of tifffile for a damaged TIFF
    OSError, ValueError, LookupError, RuntimeError, ArithmeticError, TypeError, AttributeError, AssertionError,
    EOFError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Source(ABC):
    """An image in a file, at a path or URL.

    `axes` names the axes of the array in the file, out of c, z, y and x; each at most once. `endpoint` is that of an S3
    server other than Amazon's, for workers without it in their environment.
    """

    is_decoded_whole: ClassVar[bool] = False  # and the last ones are cached

    path: str
    axes: str
    file_shape: tuple[int, ...]
    dtype: str
    endpoint: str = field(default="", kw_only=True)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (c, z, y, x), with 1 for an axis that the file does not have."""
        sides = dict(zip(self.axes, self.file_shape, strict=True))
        c, z, y, x = (sides.get(a, 1) for a in "czyx")
        return c, z, y, x

    @property
    def stem(self) -> str:
        """Name of the file without its extension."""
        return stem_of(self.path)

    def at_absolute_path(self) -> "Source":
        """The source with an absolute path, for workers in another folder."""
        return self if is_url(self.path) or os.path.isabs(self.path) else replace(self, path=absolute(self.path))

    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of a box of (c, z, y, x). Raises InvalidInput if the file is damaged."""
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, self.shape, strict=True))
        whole = dict(zip("czyx", box, strict=True))
        check_memory(self.path, box_shape(box), self.dtype)
        with readable(self.path):
            block = self._read_file(tuple(whole.get(a, slice(0, 1)) for a in self.axes))
        block = block.squeeze(tuple(i for i, a in enumerate(self.axes) if a == UNUSED))
        axes = self.axes.replace(UNUSED, "")
        order = sorted(range(block.ndim), key=lambda i: "czyx".index(axes[i]))
        missing = tuple(i for i, a in enumerate("czyx") if a not in self.axes)
        return np.expand_dims(block.transpose(order), missing)

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file; () if every box can be read alone.

        A file without parts is one part.
        """
        return ()

    def keeps_parts(self) -> bool:
        """Whether decoded parts are cached, among those of all files."""
        return False

    @abstractmethod
    def _read_file(self, box: Box) -> NDArray[Any]:
        """The pixels of a box of the array in the file."""


def stem_of(path: str) -> str:
    """Name of a file without its extension."""
    name = os.path.splitext(os.path.basename(path.rstrip("/")))[0]
    return name.removesuffix(".ome")


def absolute(path: str) -> str:
    """An absolute path. `..` is kept: it does not lead back out of a folder that is a symbolic link."""
    return os.path.join(os.getcwd(), path)


def refuse_dtype(source: Source) -> None:
    """Raise InvalidInput for complex numbers, dates and other dtypes that cannot be cast without loss."""
    if _kind(source.dtype) not in "buif":
        raise InvalidInput(
            f"{source.path} has dtype {source.dtype}",
            allowed="integers or real numbers",
            hint="save the magnitude or another real quantity as the image" if "complex" in source.dtype else "",
        )


def _kind(dtype: str) -> str:
    try:
        return np.dtype(dtype).kind
    except TypeError:  # numpy does not accept its own names of structured and text dtypes
        return "V"


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Translate the errors of readers for a damaged file to InvalidInput with the name of the file."""
    try:
        with reachable(path) if is_url(path) else nullcontext():
            yield
    except DAMAGED as error:
        hint = "open it in a viewer: it may be truncated, or not an image"
        raise InvalidInput(f"{path} cannot be read: {error}", hint=hint) from error


def guessed_axes(shape: tuple[int, ...]) -> str:
    """Axes of an array without named axes, guessed from its shape: (y, x), (z, y, x), (y, x, c) or (c, z, y, x)."""
    if len(shape) == 3 and shape[-1] <= MAX_CHANNELS_LAST:
        return "yxc"
    return {2: "yx", 3: "zyx", 4: "czyx"}.get(len(shape), "?" * len(shape))


def with_axes(source: Source, axes: str) -> Source:
    """The source with these axes, after dropping repeated axes of length 1. Raises InvalidInput for invalid axes."""
    axes = axes.lower()
    shape = source.file_shape
    if len(axes) == len(shape):
        for i, a in enumerate(axes):
            axes = axes[:i] + UNUSED + axes[i + 1 :] if shape[i] == 1 and axes.count(a) > 1 else axes
    named = axes.replace(UNUSED, "")
    if len(axes) == len(shape) and len(set(named)) == len(named) and {"y", "x"} <= set(named) <= set("czyx"):
        return replace(source, axes=axes)
    raise InvalidInput(
        f"{source.path} has shape {shape} with axes {axes!r}",
        allowed="y and x, at most one of z (slices) and at most one of c (channels)",
        hint="name them with --axes, one letter for each side of the shape, or split the file",
    )
