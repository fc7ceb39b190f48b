"""Label files as labels: of one channel, and integers.

Grey that was saved as colours (R = G = B) and whole numbers that were saved as real numbers, as Fiji does, are taken;
any other label image of several channels or of real numbers is refused.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.arrays import ArraySource
from unetprep.sources.source import Source

BLOCK_PX = 2**24
LEAST = -(2.0**31)  # number of int32


@dataclass(frozen=True)
class View(Source):
    """Other values of the image of a source, of axes c, z, y, x."""

    inner: Source

    @property
    def stem(self) -> str:
        """Name of the file without its extension."""
        return self.inner.stem

    def at_absolute_path(self) -> Source:
        """The source with an absolute path, for workers in another folder."""
        inner = self.inner.at_absolute_path()
        return replace(self, path=inner.path, inner=inner)

    @property
    def is_decoded_whole(self) -> bool:
        """Whether the file is decoded as a whole."""
        return self.inner.is_decoded_whole

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together."""
        sides = dict(zip(self.inner.axes, self.inner.part_shape(), strict=False))
        return tuple(sides.get(a, 1) for a in self.axes) if sides else ()

    def keeps_parts(self) -> bool:
        """Whether decoded parts are cached."""
        return self.inner.keeps_parts()


@dataclass(frozen=True)
class OneChannel(View):
    """One channel of a source."""

    channel: int

    def _read_file(self, box: Box) -> NDArray[Any]:
        return self.inner.read((slice(self.channel, self.channel + 1), *box[1:]))


@dataclass(frozen=True)
class WholeNumbers(View):
    """Whole numbers of int32 that a source holds as real numbers."""

    def _read_file(self, box: Box) -> NDArray[Any]:
        values = self.inner.read(box)
        with np.errstate(invalid="ignore"):
            labels = values.astype(np.int32)
        unfit = ~((values == np.rint(values)) & (values >= LEAST) & (values < -LEAST))
        if unfit.any():
            place = tuple(int(i + b.start) for i, b in zip(np.argwhere(unfit)[0], box, strict=True))
            raise InvalidInput(
                f"{self.path}: labels of dtype {self.inner.dtype}, and {values[unfit][0]} at (z, y, x) = {place[1:]}",
                allowed="integers, also saved as real numbers: 0 for background and one number for each cell",
                hint="save them as integers; if they were resized, resize again without interpolation (nearest)",
            )
        return labels


def as_labels(source: Source, channel: int | None = None) -> Source:
    """Labels of one channel, as integers. Raises InvalidInput for others, if no `channel` is chosen."""
    one = one_channel(source, channel)
    if np.dtype(one.dtype).kind != "f":
        return one
    return WholeNumbers(**_as_view(one), dtype="int32", inner=one)


def one_channel(source: Source, channel: int | None = None) -> Source:
    """Labels of one channel: the chosen one, or of grey colours the first. Raises InvalidInput for other channels."""
    num = source.shape[0]
    if channel is not None and channel >= num:
        raise InvalidInput(
            f"{source.path} has no channel {channel}", allowed=f"--label-channel 0 to {num - 1}" if num > 1 else ""
        )
    if num == 1:
        return source
    if channel is None and not _is_grey(source):
        could_be_slices = source.axes[0] == "c" and "z" not in source.axes
        as_slices = f"; if they are slices: --label-axes {source.axes.replace('c', 'z')}" if could_be_slices else ""
        raise InvalidInput(
            f"{source.path} has {num} channels (shape {source.file_shape}, axes {source.axes})",
            allowed="label images of one channel, whose values are the numbers of the cells",
            hint=f"choose the channel with the numbers by --label-channel N, from 0 on{as_slices}",
        )
    view = _as_view(source)
    return OneChannel(
        **view | {"file_shape": (1, *source.shape[1:])}, dtype=source.dtype, inner=source, channel=channel or 0
    )


def _as_view(source: Source) -> dict[str, Any]:
    shared = ("path", "endpoint", "pixel_size", "unit")
    return {name: getattr(source, name) for name in shared} | {"axes": "czyx", "file_shape": source.shape}


def _is_grey(source: Source) -> bool:
    """Whether channels are grey values saved as colours: R = G = B, with an alpha channel that is constant.

    Grey with alpha is grey if alpha is opaque; other pairs of channels may be anything.
    """
    num, slices, height, width = source.shape
    if num > 4 or np.dtype(source.dtype).kind not in "bui":
        return False
    rows, alpha = max(1, BLOCK_PX // (num * width)), None
    for z in range(slices):
        for y in range(0, height, rows):
            block = source.read((slice(0, num), slice(z, z + 1), slice(y, y + rows), slice(0, width)))
            if num > 2 and (block[1:3] != block[:1]).any():
                return False
            if num != 3:
                alpha = block[-1].flat[0] if alpha is None else alpha
                if (block[-1] != alpha).any() or (num == 2 and alpha != np.iinfo(source.dtype).max):
                    return False
    return True


def in_memory(source: Source, pixels: NDArray[Any]) -> Source:
    """A source with the array of its file in memory."""
    if isinstance(source, View):
        return replace(source, inner=in_memory(source.inner, pixels))
    return ArraySource(source.path, source.axes, source.file_shape, source.dtype, source.stem, pixels)


def label_file(source: Source) -> Source:
    """The source of the file of labels."""
    return label_file(source.inner) if isinstance(source, View) else source
