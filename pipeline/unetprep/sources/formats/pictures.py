"""PNG, JPEG, BMP and GIF files as sources, decoded whole.

Values are those in the file: 2- and 4-bit grey is not scaled, 16-bit colours keep all bits, and of labels the numbers
of a palette are the values, as in PASCAL VOC and labelme. imagecodecs reads PNGs of 8 and 16 bits, Pillow all others.
PNG: ISO/IEC 15948, section 11.2.2.
"""

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.urls import File, is_url
from unetprep.sources.whole import decoded, opened, path_of

PNG = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4  # colour types of PNG
END_BYTES = 64  # in which the last chunk of a complete PNG begins
CHANNELS = {GREY: 1, RGB: 3, GREY_ALPHA: 2, 6: 4}
MOST_PIXELS = "UNETPREP_MAX_PICTURE_PIXELS"  # environment variable
DEFAULT_MOST_PIXELS = 2**30

_pillow_bound = Lock()


class PngHeader(NamedTuple):
    """Header of a PNG file, and whether the file has an end."""

    width: int
    height: int
    depth: int
    colours: int
    is_complete: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether pixels and shape follow from the header alone: there is no palette, and no alpha channel."""
        return self.is_complete and self.depth in (8, 16) and self.colours in (GREY, RGB)


@dataclass(frozen=True)
class PictureSource(Source):
    """A PNG, JPEG, BMP or GIF file, decoded whole and cached. Of labels, colours of a palette are their numbers."""

    is_labels: bool = False

    @property
    def is_decoded_whole(self) -> bool:
        """True."""
        return True

    def _read_file(self, box: Box) -> NDArray[Any]:
        pixels = decoded(_decode, self.path, self.endpoint, self.is_labels)
        if pixels.shape != self.file_shape:
            raise ValueError(f"its shape is {pixels.shape}, and was {self.file_shape} when it was opened")
        return pixels[box]


def open_file(path: str, choice: Choice, decode: Decode | None) -> PictureSource:
    """A picture: grey (y, x), with its colours (y, x, c), or frames (z, y, x) or (z, y, x, c).

    A PNG without palette and alpha channel is not decoded.
    """
    header = None if is_url(path) else _png_header(path)
    if header and header.is_plain:
        shape = (header.height, header.width) + ((3,) if header.colours == RGB else ())
        dtype = "uint8" if header.depth == 8 else "uint16"
        _check_size(path, (header.width, header.height), len(shape))
        return PictureSource(path, "yxc"[: len(shape)], shape, dtype, choice.is_labels)
    pixels = decoded(_decode, path, "", choice.is_labels)
    if decode:
        decode(path, pixels.nbytes, lambda: pixels)
    return PictureSource(path, _axes_of(pixels), pixels.shape, pixels.dtype.name, choice.is_labels)


def _axes_of(pixels: NDArray[Any]) -> str:
    is_colour = pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[-1] <= 4)
    return ("zyx" if pixels.ndim - is_colour == 3 else "yx") + "c" * is_colour


def _png_header(path: str) -> PngHeader | None:
    """The header of a local PNG file; None for any other file."""
    with opened(path) as file:
        data = file.read(26)
        if data[:8] != PNG or data[12:16] != b"IHDR":
            return None
        file.seek(-min(END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
        width, height, depth, colours = struct.unpack(">IIBB", data[16:26])
        return PngHeader(width, height, depth, colours, b"IEND" in file.read())


def _decode(file: str | File, is_labels: bool) -> NDArray[Any]:
    """The pixels of a version of a file, without an alpha channel that is opaque everywhere."""
    with opened(file) as stream:
        content = stream.read(26)
        header = PngHeader(*struct.unpack(">IIBB", content[16:26])) if content[:8] == PNG else None
        stream.seek(0)
        if header and header.depth in (8, 16) and header.colours in CHANNELS:
            pixels = _decode_png(path_of(file), stream, header)
        else:
            pixels = _decode_by_pillow(
                path_of(file), stream, is_labels, header.depth if header and header.colours == GREY else 8
            )
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) and (pixels[..., -1] == np.iinfo(pixels.dtype).max).all():
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :-1]
    return pixels


def _decode_png(path: str, stream: IO[bytes], header: PngHeader) -> NDArray[Any]:
    from imagecodecs import png_decode

    _check_size(path, (header.width, header.height), header.depth // 8 * CHANNELS[header.colours])
    pixels = np.asarray(png_decode(stream.read()))
    return pixels[..., : CHANNELS[header.colours]] if pixels.ndim == 3 else pixels


def _decode_by_pillow(path: str, stream: IO[bytes], is_labels: bool, depth: int) -> NDArray[Any]:
    from PIL import Image

    with _own_bound():
        image = Image.open(stream)
    with image, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        num_frames = getattr(image, "n_frames", 1) if image.format == "GIF" else 1
        _check_size(path, image.size, len(image.getbands()) * num_frames)
        pixels = _frames(image, num_frames) if num_frames > 1 else np.asarray(_values(image, is_labels))
    if depth in (2, 4) and pixels.dtype == np.uint8 and pixels.ndim == 2:
        pixels = pixels // np.uint8(255 // (2**depth - 1))  # Pillow scales them to 0 .. 255
    return pixels


def _frames(image: Any, num_frames: int) -> NDArray[Any]:
    """The frames of an animation, (z, y, x) if all are grey, else (z, y, x, c)."""
    frames = []
    for at in range(num_frames):
        image.seek(at)
        frames.append(np.asarray(image.convert("RGB")))
    pixels = np.stack(frames)
    return pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels


def _values(image: Any, is_labels: bool) -> Any:
    """A frame with its palette applied, unless the numbers of its colours are wanted."""
    if image.mode in ("P", "PA"):
        if image.format == "GIF" and _is_grey(image):  # grey is a palette too, in any order
            return image.convert("L")
        if is_labels:
            return image
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    return image.convert("I") if image.mode == "I;16B" else image


def _is_grey(image: Any) -> bool:
    palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


@contextmanager
def _own_bound() -> Iterator[None]:
    """Lift Pillow's bound on the number of pixels, which _check_size replaces."""
    from PIL import Image

    with _pillow_bound:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(path: str, size: tuple[int, int], channels: int) -> None:
    """Raise InvalidInput for a picture that declares more pixels than allowed, or than memory holds."""
    width, height = size
    most = _most_pixels()
    if width * height > most:
        raise InvalidInput(
            f"{path} declares {width} x {height} pixels, which are decoded at once",
            allowed=f"pictures of up to {most} pixels",
            hint=f"check whether its header is damaged; set {MOST_PIXELS}={width * height} to read it, or save it as a"
            " TIFF, which is read in parts",
        )
    check_memory(path, (height, width, channels), "uint8", "it is decoded whole, and")


def _most_pixels() -> int:
    given = os.environ.get(MOST_PIXELS, "")
    if not given:
        return DEFAULT_MOST_PIXELS
    if not given.isdecimal():
        raise InvalidInput(f"{MOST_PIXELS} is {given!r}", allowed="a number of pixels")
    return int(given)
