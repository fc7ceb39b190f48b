"""Layout of a prediction file: its shape, its axes, and the bands it is written in.

A band holds rows of one slice, so that memory does not grow with the height of the image.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from unettrain import __version__

COMMAND = "unettrain predict"
MARK = f"{COMMAND} {__version__}"  # by which a prediction file is recognised; the fingerprint of its content follows
THRESHOLD = "threshold="
TIFFS = (".tif", ".tiff")


class Band(NamedTuple):
    """Rows of one slice, starting at y0 and over the full width: (class, rows, x)."""

    z: int
    y0: int
    pixels: NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Shape of a prediction (class, z, y, x), the rows of its bands, and the axes and dtype that its file has."""

    shape: tuple[int, int, int, int]
    rows: int
    keeps_classes: bool
    keeps_slices: bool
    dtype: str = "float32"
    fingerprint: str = ""
    threshold: float | None = None  # of the foreground, which probabilities carry for their evaluation

    @property
    def mark(self) -> str:
        """The mark of the file."""
        carried = f" {THRESHOLD}{self.threshold}" if self.fingerprint and self.threshold is not None else ""
        return f"{MARK} {self.fingerprint}{carried}".strip()

    @property
    def axes(self) -> str:
        """The axes of the file, in the order of `shape`."""
        return "".join("c" * self.keeps_classes + "z" * self.keeps_slices + "yx")

    @property
    def file_shape(self) -> tuple[int, ...]:
        """The sides along these axes."""
        return tuple(n for axis, n in zip("czyx", self.shape, strict=True) if axis in self.axes)

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return {"uint8": 1, "uint16": 2, "uint32": 4, "float32": 4}[self.dtype]

    @property
    def num_bytes(self) -> int:
        """Bytes of the pixels, not compressed."""
        return self.itemsize * math.prod(self.shape)

    def memory_bytes(self, path: Path) -> int:
        """Bytes that writing takes besides the predicted tiles: bands, and a slice for several classes in TIFF."""
        classes, _, height, width = self.shape
        whole_slice = classes > 1 and path.suffix.lower() in TIFFS
        return 4 * classes * width * (2 * self.rows + height * whole_slice)


def fingerprint_in(mark: str) -> str | None:
    """The fingerprint in a mark; "" if it has none, None if it is no mark."""
    if not mark.startswith(COMMAND):
        return None
    words = mark.removeprefix(COMMAND).split()
    return words[1] if len(words) > 1 else ""


def threshold_in(mark: str) -> float | None:
    """The threshold of the foreground in the mark of probabilities; None if it carries none."""
    carried = [word.removeprefix(THRESHOLD) for word in mark.split() if word.startswith(THRESHOLD)]
    try:
        return float(carried[0]) if mark.startswith(COMMAND) and carried else None
    except ValueError:
        return None
