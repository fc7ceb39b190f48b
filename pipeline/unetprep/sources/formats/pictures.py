"""PNG, JPEG and BMP files as sources, decoded whole. Pillow is loaded with the first one."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Decode, Source
from unetprep.sources.urls import File, is_url


@dataclass(frozen=True)
class PictureSource(Source):
    """A PNG, JPEG or BMP file, decoded whole and cached."""

    is_decoded_whole: ClassVar[bool] = True

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


def open_file(path: str, decode: Decode | None) -> PictureSource:
    """A picture: grey (y, x), or with its colours (y, x, c)."""
    pixels = _decoded(path)
    return PictureSource(path, "yxc"[: pixels.ndim], pixels.shape, pixels.dtype.name)
