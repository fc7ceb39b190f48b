"""Pictures embedded in annotation files as base64 text."""

import base64
import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_memory
from unetprep.sources.outlines.json_files import member, read_json
from unetprep.sources.source import Source, readable

MAX_PIXELS = 2**28
PLAIN = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "LA": "L", "CMYK": "RGB", "YCbCr": "RGB"}  # modes without alpha


@dataclass(frozen=True)
class EmbeddedPicture(Source):
    """The picture in member `key` of a JSON file, decoded whole and cached."""

    key: str

    @property
    def is_decoded_whole(self) -> bool:
        """True."""
        return True

    def place_in_file(self) -> tuple[str, str]:
        """The file, and the member that holds the picture: labels may be in the same file."""
        return self.path, self.key

    def _read_file(self, box: Box) -> NDArray[Any]:
        return _decoded(self.path, os.stat(self.path).st_mtime_ns, self.key)[box]


def open_embedded(path: str, key: str) -> EmbeddedPicture:
    """The picture in member `key` of a JSON file. Raises InvalidInput if it cannot be read."""
    pixels = _decoded(path, os.stat(path).st_mtime_ns, key)
    return EmbeddedPicture(path, "yxc"[: pixels.ndim], pixels.shape, pixels.dtype.name, key)


@lru_cache(maxsize=2)
def _decoded(path: str, changed: int, key: str) -> NDArray[Any]:
    return decode_picture(member(read_json(path), key, str, path), f"{key} of {path}")


def decode_picture(text: str, what: str) -> NDArray[Any]:
    """The pixels of a PNG or JPEG in base64, grey (y, x) or (y, x, c) without alpha. Raises InvalidInput."""
    from PIL import Image

    with readable(what), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(BytesIO(base64.b64decode(text, validate=True)), formats=("PNG", "JPEG", "BMP"))
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from None
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise InvalidInput(f"{what} has {width} x {height} pixels", allowed=f"up to {MAX_PIXELS} pixels")
        check_memory(what, (height, width, len(image.getbands())), "uint8", "it is decoded whole, and")
        return np.asarray(image.convert(PLAIN[image.mode]) if image.mode in PLAIN else image)
