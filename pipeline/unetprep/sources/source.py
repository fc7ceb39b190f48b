"""An image in a file as an array (c, z, y, x) that is read box by box; axes, dtypes and errors of all formats."""

import math
import os
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.sources.limits import check_memory
from unetprep.sources.urls import is_url, reachable

SHOWN = 6  # images of a file in a message
SECOND_ENDINGS = (".ome", ".nii", ".zarr")  # before the last one, as in .ome.tif, .nii.gz, .zarr.zip
STACK_AXES = "zqit"  # letters for an axis of slices in files: depth, unknown, sequence, time
CHANNEL_AXES = "cs"
UNUSED = "_"  # an axis of length 1 beside another of its kind
PixelSize = tuple[float | None, float | None, float | None]  # z, y, x; None where it is unknown
MAX_CHANNELS_LAST = 4
Decode = Callable[[str, int, Callable[[], NDArray[Any]]], None]  # (path, bytes, function that decodes the pixels)
DAMAGED = (  # what readers raise; a SyntaxError for a damaged PNG, and a ValueError of tifffile for a damaged TIFF
    OSError, ValueError, LookupError, RuntimeError, ArithmeticError, TypeError, AttributeError, AssertionError,
    EOFError, SyntaxError, MemoryError, BufferError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)  # what zipfile raises

Fields = dict[str, Any]
BASE = ("path", "axes", "file_shape", "dtype", "endpoint")


@dataclass(frozen=True)
class Choice:
    """Which of the images in a file is read, and how its axes are named.

    `axes` overrides the axes in the file. `level` counts the levels of a pyramid from the full resolution, 0; `series`
    the images of a file. `channel` is the one that holds the numbers of the cells; only of labels, as `is_labels` says.
    """

    axes: str = ""
    level: int = 0
    series: int | None = None
    channel: int | None = None
    is_labels: bool = False
    image_axes: str = ""  # axes of labels too if their number fits, with or without c
    may_be_only_one: bool = False  # of labels with an image: a file of one image is taken at any level and series

    @classmethod
    def of_images(cls, params: "Choices") -> "Choice":
        """The choice for images among the parameters of a command."""
        return cls(params.axes, params.level, params.series)

    @classmethod
    def of_labels(cls, params: "Choices") -> "Choice":
        """The choice for labels: axes are those of the images unless given."""
        return cls(params.label_axes, params.level, params.series, params.label_channel, True, params.axes)

    def axes_for(self, num: int, known: str) -> str:
        """The axes of an image of `num` axes, which are `known` by its file or a guess."""
        if self.axes:
            return self.axes
        for axes in (self.image_axes, self.image_axes.lower().replace("c", "")):
            if axes and len(axes) == num:
                return axes
        return known

    def pick_level(self, path: str, shapes: Sequence[tuple[int, ...]]) -> int:
        """The number of the level to read among those of these shapes. Raises InvalidInput if there is none."""
        if self.may_be_only_one and len(shapes) == 1:
            return 0
        if self.level >= len(shapes):
            raise InvalidInput(
                f"{path} has no level {self.level}",
                allowed=", ".join(f"{i}: {' x '.join(map(str, shape))}" for i, shape in enumerate(shapes)),
                hint="--level 0, the default, is the full resolution",
            )
        return self.level

    def pick(self, path: str, what: str, found: Sequence[str]) -> int:
        """The number of the image to read among those `found` in a file. Raises InvalidInput if it is not clear."""
        if len(found) == 1 and (self.series is None or self.may_be_only_one):
            return 0
        if self.series is None or self.series >= len(found):
            raise InvalidInput(
                f"{path} holds {len(found)} {what[:-1] if len(found) == 1 else what}"
                + ("" if self.series is None else f", and no --series {self.series}"),
                allowed="; ".join(f"{i}: {name}" for i, name in enumerate(found[:SHOWN]))
                + "; ..." * (len(found) > SHOWN),
                hint="choose one with --series N, or save each as a file of its own",
            )
        return self.series


class Choices(Protocol):
    """Parameters of a command that reads images and labels."""

    @property
    def axes(self) -> str:
        """Axes of the images."""
        ...

    @property
    def level(self) -> int:
        """Level of a pyramid."""
        ...

    @property
    def series(self) -> int | None:
        """Image of a file."""
        ...

    @property
    def label_axes(self) -> str:
        """Axes of the labels."""
        ...

    @property
    def label_channel(self) -> int | None:
        """Channel of the labels."""
        ...


@dataclass(frozen=True)
class Source(ABC):
    """An image in a file, at a path or URL.

    `axes` names the axes of the array in the file, out of c, z, y and x; each at most once. `endpoint` is that of an S3
    server other than Amazon's, for workers without it in their environment. `pixel_size` is the size (z, y, x) that the
    file states in `unit`, a name of OME-NGFF such as "micrometer"; None if it states none.
    """

    path: str
    axes: str
    file_shape: tuple[int, ...]
    dtype: str
    endpoint: str = field(default="", kw_only=True)
    pixel_size: PixelSize | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)

    @property
    def is_decoded_whole(self) -> bool:
        """Whether the file is decoded as a whole; the last ones are cached."""
        return False

    @property
    def is_of_objects(self) -> bool:
        """Whether labels are drawn from objects, so that their numbers need no check."""
        return False

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

    def place_in_file(self) -> tuple[str, str] | None:
        """The file, and the image in it where labels may be another one; None for an image that is no file."""
        return self.path, ""

    def more_values(self) -> Fields:
        """The fields of its class and the pixel size, as plain values; see `with_values`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in BASE and f.compare}

    def with_values(self, more: Fields) -> "Source":
        """The source with fields that `more_values` gave. Raises TypeError or ValueError for any other values."""
        known = self.more_values()
        if set(more) != set(known) or any(not _is_alike(value, known[name], name) for name, value in more.items()):
            raise ValueError(more)
        size = more["pixel_size"]
        return replace(self, **more | {"pixel_size": None if size is None else tuple(size)})

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
    """Name of a file, also of FILE:/NAME, without its extension."""
    file = re.split(":/(?!/)", path)[0]
    name = os.path.splitext(os.path.basename(file.rstrip("/")))[0]
    return next((name.removesuffix(end) for end in SECOND_ENDINGS if name.endswith(end)), name)


def _is_alike(value: Any, known: Any, name: str) -> bool:
    """Whether a value is of the type of a known one."""
    if name != "pixel_size":
        return type(value) is type(known)
    is_list = isinstance(value, list | tuple) and len(value) == 3
    return value is None or (is_list and all(n is None or (isinstance(n, float) and 0 < n < math.inf) for n in value))


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
        return replace(source, axes=axes, pixel_size=_named_sizes(source, axes))
    raise InvalidInput(
        f"{source.path} has shape {shape} with axes {axes!r}",
        allowed="y and x, at most one of z (slices) and at most one of c (channels)",
        hint="name them with --axes, one letter for each side of the shape, or split the file",
    )


def _named_sizes(source: Source, axes: str) -> PixelSize | None:
    """The pixel size (z, y, x) if the axes of the file are named differently."""
    if source.pixel_size is None or axes == source.axes:
        return source.pixel_size
    known = dict(zip("zyx", source.pixel_size, strict=True))
    sizes = {new: known.get(old) for new, old in zip(axes, source.axes, strict=True)}
    return sizes.get("z"), sizes.get("y"), sizes.get("x")
