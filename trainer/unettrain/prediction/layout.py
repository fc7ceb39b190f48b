"""Layout of a prediction file: its shape, its axes, and the mark by which it is recognised."""

import math
from dataclasses import dataclass

from unettrain import __version__

COMMAND = "unettrain predict"
MARK = f"{COMMAND} {__version__}"  # by which a file is recognised; its fingerprint follows, and the number of instances
TIFFS = (".tif", ".tiff")


@dataclass(frozen=True)
class Layout:
    """Shape of a prediction (class, z, y, x), the axes and dtype that its file has, and what its mark says."""

    shape: tuple[int, int, int, int]
    keeps_classes: bool
    keeps_slices: bool
    dtype: str = "float32"
    fingerprint: str = ""
    num_instances: int | None = None  # of labels

    @property
    def mark(self) -> str:
        """The mark of the file."""
        return " ".join([MARK, self.fingerprint, "" if self.num_instances is None else str(self.num_instances)]).strip()

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


def fingerprint_in(mark: str) -> str | None:
    """The fingerprint in a mark; "" if it has none, None if it is no mark."""
    if not mark.startswith(COMMAND):
        return None
    words = mark.removeprefix(COMMAND).split()
    return words[1] if len(words) > 1 else ""


def num_instances_in(mark: str) -> int | None:
    """The number of instances in the mark of labels; None if it has none."""
    words = mark.removeprefix(COMMAND).split()
    return int(words[2]) if mark.startswith(COMMAND) and len(words) > 2 and words[2].isdecimal() else None
