"""Digests of files, and of decoded pixels, which do not depend on how a file is compressed.

The pixel digest of an array is the SHA-256 of a line of text and of its pixels: the line is the name of the dtype, a
space, the sizes of the axes joined by "x", and a newline, such as "uint8 30x512x512\\n"; the pixels are in C order,
little-endian. Two files with equal pixels have equal pixel digests, whatever their compression and byte order.
"""

import hashlib
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.sources.source import DAMAGED

BLOCK = 2**20  # bytes
DECODED = (".tif", ".tiff", ".png")  # formats without loss, whose pixels are the same in every reader


def pixel_digest(array: NDArray[Any]) -> str:
    """The pixel digest of an array of integers, real numbers or truth values: 64 hexadecimal digits.

    Dtype and shape count: an image as uint8 and as uint16, or with an axis of length 1 more, have different digests.
    """
    if array.dtype.kind not in "buif":
        raise InvalidInput(f"an array of dtype {array.dtype} has no pixel digest", allowed="integers or real numbers")
    pixels = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.name} {'x'.join(map(str, array.shape))}\n".encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def pixel_digest_of(file: BinaryIO, name: str) -> str:
    """The pixel digest of an image file, as tifffile or imagecodecs decodes it. The ending of `name` says its format.

    Raises InvalidInput for other formats than TIFF and PNG, and for a file that cannot be decoded.
    """
    import tifffile
    from imagecodecs import png_decode

    ending = Path(name).suffix.lower()
    if ending not in DECODED:
        raise InvalidInput(f"{name} has no pixel digest", allowed=f"files that end in {', '.join(DECODED)}")
    try:
        pixels = png_decode(file.read()) if ending == ".png" else tifffile.imread(file)
    except DAMAGED as error:
        raise InvalidInput(f"{name} cannot be decoded: {error}") from error
    return pixel_digest(np.asarray(pixels))


def copy_and_hash(source: BinaryIO | IO[bytes], out: BinaryIO | None, max_bytes: int) -> tuple[str, int]:
    """SHA-256 and size of `source`, which is copied to `out`, if any; stops behind `max_bytes`."""
    digest, size = hashlib.sha256(), 0
    while size <= max_bytes and (block := source.read(BLOCK)):
        digest.update(block)
        size += len(block)
        if out is not None:
            out.write(block)
    return digest.hexdigest(), size
