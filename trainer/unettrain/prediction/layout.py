"""Layout of a prediction file: its shape, its axes, and the mark by which it is recognised."""

import math
from dataclasses import dataclass

from unettrain import __version__

COMMAND = "unettrain predict"
MARK = f"{COMMAND} {__version__}"  # by which a file is recognised; its fingerprint follows, and what it carries
THRESHOLD, INSTANCES = "threshold=", "instances="
TIFFS = (".tif", ".tiff")


@dataclass(frozen=True)
class Layout:
    """Shape of a prediction (class, z, y, x), the axes and dtype that its file has, and what its mark says."""

    shape: tuple[int, int, int, int]
    keeps_classes: bool
    keeps_slices: bool
    dtype: str = "float32"
    fingerprint: str = ""
    threshold: float | None = None  # of the foreground, which probabilities carry for their evaluation
    num_instances: int | None = None  # of labels

    @property
    def mark(self) -> str:
        """The mark of the file."""
        if not self.fingerprint:
            return MARK
        carried = {THRESHOLD: self.threshold, INSTANCES: self.num_instances}
        return " ".join([MARK, self.fingerprint, *(f"{n}{v}" for n, v in carried.items() if v is not None)])

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


def threshold_in(mark: str) -> float | None:
    """The threshold of the foreground in the mark of probabilities; None if it carries none."""
    carried = _carried(mark, THRESHOLD)
    try:
        return None if carried is None else float(carried)
    except ValueError:
        return None


def num_instances_in(mark: str) -> int | None:
    """The number of instances in the mark of labels; None if it has none."""
    carried = _carried(mark, INSTANCES)
    return int(carried) if carried is not None and carried.isdecimal() else None


def _carried(mark: str, name: str) -> str | None:
    words = mark.split() if mark.startswith(COMMAND) else []
    return next((word.removeprefix(name) for word in words if word.startswith(name)), None)
