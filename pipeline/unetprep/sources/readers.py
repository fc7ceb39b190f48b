"""Image readers: files of all supported formats as arrays (c, z, y, x) that are read box by box."""

import os
import struct
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.sources.chunk_cache import is_kept, read_by_parts
from unetprep.sources.limits import UNCHECKED_BYTES, check_memory, check_shape
from unetprep.sources.npy import Header, read_header, read_npy
from unetprep.sources.urls import File, LocalFile, is_url, local_path, names_in, reachable, read_box
from unetprep.storage.regular_files import open_regular, refuse_special
from unetprep.storage.s3_credentials import endpoint_of_environment

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
TIFFS = (".tif", ".tiff")
FORMATS = "TIFF, PNG, JPEG, BMP, .npy, Zarr"
STACK_AXES = "zqit"  # letters for an axis of slices in TIFF files: depth, unknown, sequence, time
CHANNEL_AXES = "cs"
UNUSED = "_"  # an axis of length 1 beside another of its kind
MAX_CHANNELS_LAST = 4
SMALL_TIFF_BYTES = 2**22  # of the pixels
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
        name = os.path.splitext(os.path.basename(self.path.rstrip("/")))[0]
        return name.removesuffix(".ome")

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

    @abstractmethod
    def _read_file(self, box: Box) -> NDArray[Any]:
        """The pixels of a box of the array in the file."""


@dataclass(frozen=True)
class TiffSource(Source):
    """A TIFF file. Only the strips, tiles or pages that a box needs are decoded; large ones are cached.

    A small local file is decoded as a whole, which takes a tenth of the time of finding its parts. If its pixels are
    uncompressed and contiguous, they are read without parsing the file again.
    """

    contiguous: "ContiguousPixels | None" = field(default=None, kw_only=True, compare=False)

    def _read_file(self, box: Box) -> NDArray[Any]:
        from unetprep.sources import tiff

        file = self._current_version()
        if self.contiguous and self.contiguous.version == file[1:]:
            return self.contiguous.read(self.path, self.file_shape)[box]
        read = tiff.read_whole if self._is_small else tiff.read_tiff
        if self.keeps_parts():
            return read_by_parts(file, self.file_shape, self.part_shape(), box, partial(read, file, self.file_shape))
        return read(file, self.file_shape, box)

    @property
    def _is_small(self) -> bool:
        return not is_url(self.path) and prod(self.file_shape) * np.dtype(self.dtype).itemsize <= SMALL_TIFF_BYTES

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        from unetprep.sources.tiff import tiff_part_shape

        return self.file_shape if self._is_small else tiff_part_shape(self._current_version())

    def keeps_parts(self) -> bool:
        """Whether decoded parts are cached."""
        return is_kept(self.part_shape(), np.dtype(self.dtype).itemsize)

    def _current_version(self) -> "File | LocalFile":
        if is_url(self.path):
            return File.at(self.path, self.endpoint)
        found = os.stat(self.path)
        return LocalFile(self.path, found.st_mtime_ns, found.st_size)


@dataclass(frozen=True)
class ContiguousPixels:
    """Place of uncompressed pixels, one after the other, in a version of a local file."""

    version: tuple[int, int]  # time of change (ns) and size, as in LocalFile
    offset: int  # of the first pixel, in bytes
    dtype: str  # with its byte order

    def read(self, path: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """All pixels."""
        values = np.fromfile(path, self.dtype, prod(shape), offset=self.offset).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class PictureSource(Source):
    """A PNG, JPEG or BMP file, decoded whole and cached."""

    def _read_file(self, box: Box) -> NDArray[Any]:
        return _decoded(self.path, self.endpoint)[box]


def _decoded(path: str, endpoint: str = "") -> NDArray[Any]:
    return _decode(
        File.at(path, endpoint) if is_url(path) else path, 0 if is_url(path) else Path(path).stat().st_mtime_ns
    )


@lru_cache(maxsize=4)
def _decode(file: str | File, changed: int) -> NDArray[Any]:
    """The pixels of a version of a file, without an alpha channel that is opaque everywhere."""
    import imageio.v3 as imageio
    from PIL import Image

    content: Any = file if isinstance(file, str) else BytesIO(file.read())
    _check_picture(content, file if isinstance(file, str) else file.url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked by _check_picture
        pixels = np.asarray(imageio.imread(content, plugin="pillow"))
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) and (pixels[..., -1] == np.iinfo(pixels.dtype).max).all():
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :-1]
    return pixels


def _check_picture(content: Any, path: str) -> None:
    """Raise InvalidInput for a picture that declares more pixels than Pillow decodes, or than memory holds."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(content) as opened:
                width, height, num_bands = *opened.size, len(opened.getbands())
    except Image.DecompressionBombError as error:
        raise InvalidInput(
            f"{path} is refused by its reader: {error}",
            allowed=f"PNG, JPEG and BMP of up to {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels",
            hint="check whether its header is damaged; otherwise save it as a TIFF, which is read in parts",
        ) from None
    check_memory(path, (height, width, num_bands), "uint8", "it is decoded whole, and")
    if not isinstance(content, str):
        content.seek(0)


@dataclass(frozen=True)
class NpySource(Source):
    """A .npy file."""

    def _read_file(self, box: Box) -> NDArray[Any]:
        if is_url(self.path):
            file = File.at(self.path, self.endpoint)
            offset, shape, dtype, is_fortran = _npy_header(file)
            return read_box(file, offset, shape, dtype, box, is_fortran=is_fortran)
        return read_npy(self.path, box)


@lru_cache(maxsize=64)
def _npy_header(file: File) -> Header:
    with file.open() as opened:
        return read_header(opened, file.num_bytes)


@dataclass(frozen=True)
class ZarrSource(Source):
    """A Zarr array, or the full resolution of an OME-Zarr image; a path or a URL."""

    array_path: str = ""

    def _read_file(self, box: Box) -> NDArray[Any]:
        from unetprep.sources.zarr_arrays import read_array

        return read_array(self.path, self.array_path, box, self.endpoint)

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        from unetprep.sources.zarr_arrays import part_shape

        return part_shape(self.path, self.array_path, self.endpoint)


def absolute(path: str) -> str:
    """An absolute path. `..` is kept: it does not lead back out of a folder that is a symbolic link."""
    return os.path.join(os.getcwd(), path)


def open_source(path: str, axes: str = "", decode: Decode | None = None) -> Source:
    """Open an image file at a path or URL. `axes` overrides the axes in the file.

    `decode` may take the pixels of a small TIFF file, since opening it takes as long as reading it.

    Raises InvalidInput if the file is missing, unreadable or of an unknown format, or if its axes are ambiguous;
    Failure if a server does not deliver it.
    """
    path = local_path(path)
    refuse_special(path)
    if not is_url(path) and not os.path.exists(path):
        raise InvalidInput(f"{path} is not there", allowed=f"an image file: {FORMATS}")
    with readable(path):
        source = _open(path, decode)
    if is_url(path):
        source = replace(source, endpoint=endpoint_of_environment())
    refuse_dtype(source)
    source = with_axes(source, axes or source.axes)
    check_shape(path, source.shape)
    with readable(path):
        _check_parts(source)
    return source


def _check_parts(source: Source) -> None:
    """Raise InvalidInput if a part that is decoded as a whole, such as a strip or a chunk, does not fit into memory."""
    if prod(source.file_shape) * np.dtype(source.dtype).itemsize > UNCHECKED_BYTES:
        part = source.part_shape() if isinstance(source, TiffSource | ZarrSource) else ()
        check_memory(source.path, part, source.dtype, "a strip, tile or chunk")


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


def _open(path: str, decode: Decode | None = None) -> Source:
    suffix = os.path.splitext(path)[1].lower()
    if suffix in TIFFS:
        return _open_tiff(path, decode)
    if suffix in PICTURES:
        pixels = _decoded(path)
        return PictureSource(path, "yxc"[: pixels.ndim], pixels.shape, pixels.dtype.name)
    if suffix == ".npy":
        shape, dtype = _npy_kind(path)
        return NpySource(path, guessed_axes(shape), shape, dtype.name)
    if is_url(path) or Path(path).is_dir():
        return _open_zarr(path)
    raise InvalidInput(f"{path} ends in {suffix!r}, which is not a supported image format", allowed=FORMATS)


def _npy_kind(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if is_url(path):
        header = _npy_header(File.at(path))
    else:
        with open_regular(path) as file:
            header = read_header(file, Path(path).stat().st_size)
    return header.shape, header.dtype


def _open_tiff(path: str, decode: Decode | None) -> Source:
    from tifffile import TiffFile

    from unetprep.sources.tiff import open_tiff

    with nullcontext(open_tiff(File.at(path)).tiff) if is_url(path) else TiffFile(path) as tiff:
        if len(tiff.series) > 1:
            shapes = ", ".join(str(series.shape) for series in tiff.series[:4])
            raise InvalidInput(
                f"{path} holds {len(tiff.series)} images: {shapes}", hint="save each as a file of its own"
            )
        series = tiff.series[0]
        names = series.axes.lower()
        contiguous = None
        if not is_url(path) and series.nbytes <= SMALL_TIFF_BYTES:
            if series.dataoffset is not None:
                found = os.fstat(tiff.filehandle.fileno())
                version = found.st_mtime_ns, found.st_size
                contiguous = ContiguousPixels(version, series.dataoffset, series.dtype.newbyteorder(tiff.byteorder).str)
            elif decode:
                decode(path, series.nbytes, series.asarray)
    axes = "".join("z" if a in STACK_AXES else "c" if a in CHANNEL_AXES else a for a in names)
    return TiffSource(path, axes, series.shape, series.dtype.name, contiguous=contiguous)


def _open_zarr(path: str) -> Source:
    from unetprep.sources.zarr_arrays import find_array

    try:
        array = find_array(path)
    except FileNotFoundError:
        if is_url(path) and not names_in(path):
            raise InvalidInput(f"{path} is not there", allowed=f"an image: {FORMATS}") from None
        raise InvalidInput(f"{path} is a folder without a Zarr array", allowed=f"an image: {FORMATS}") from None
    axes = "".join("z" if a in STACK_AXES else a for a in array.axes or guessed_axes(array.shape))
    return ZarrSource(path, axes, array.shape, array.dtype, array_path=array.path)


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
