"""PNG files, written row by row (PNG 1.2), so that memory does not grow with the height, and marked by a text chunk."""

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types
KEY = b"Software\0"
MOST_TEXT = 1024


class PngWriter:
    """Writes an image of uint8 or uint16, grey (y, x) or RGB (y, x, 3), in bands of rows from the top."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str, mark: str, level: int = 3) -> None:
        height, width = shape[:2]
        self._dtype = np.dtype(dtype).newbyteorder(">")
        self._compressor = zlib.compressobj(level)
        self._file = path.open("wb")
        self._file.write(SIGNATURE)
        colour = RGB if len(shape) == 3 else GREY
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * self._dtype.itemsize, colour, 0, 0, 0))
        self._chunk(b"tEXt", KEY + mark.encode("latin-1"))

    def __enter__(self) -> "PngWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self._chunk(b"IDAT", self._compressor.flush())
            self._chunk(b"IEND", b"")
        self._file.close()

    def write(self, rows: NDArray[Any]) -> None:
        """Write the next rows."""
        pixels = np.ascontiguousarray(rows, self._dtype).view(np.uint8).reshape(len(rows), -1)
        filtered = np.concatenate([np.zeros((len(rows), 1), np.uint8), pixels], axis=1)  # filter 0 of each row
        if data := self._compressor.compress(filtered.tobytes()):
            self._chunk(b"IDAT", data)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def png_mark(path: Path) -> str:
    """The text Software of a PNG, which stands before its pixels; "" for any other file."""
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return ""
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT" or length > 2**31:
                return ""
            if kind == b"tEXt" and length <= MOST_TEXT:
                text = file.read(length)
                if text.startswith(KEY):
                    return text[len(KEY) :].decode("latin-1")
                file.seek(4, 1)
            else:
                file.seek(length + 4, 1)
    return ""
