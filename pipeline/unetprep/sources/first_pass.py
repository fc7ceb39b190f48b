"""First pass over a source, before anything is written: value ranges, digests and validation."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, Index, box_shape, shard_box, shard_counts
from unetprep.kernels.percentiles import RangeFinder, RobustRange
from unetprep.kernels.weight_formula import IGNORED
from unetprep.sources.connected_components import UnionFind
from unetprep.sources.digest import ShardDigest, ShardDigests
from unetprep.sources.label_screen import LabelScreen
from unetprep.sources.source import Source, refuse_dtype

BLOCK = (16, 1024, 1024)  # (z, y, x) of labels that are read for their values alone
UNKNOWN = "?" * 64  # instead of the digest of a source that was not read as a whole
LARGEST_LABEL = int(np.iinfo(np.int32).max)
EXACT_IN_FLOAT32 = 2**24
EXACT_BYTES = 2  # integers up to this size are exact in float32
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
IMAGE_DTYPES = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}  # others are stored as float32


@dataclass(frozen=True)
class Scan:
    """Result of a first pass: range of the values, digests of the stored pixels (whole and by shard), robust range."""

    low: float
    high: float
    digest: str
    shards: ShardDigests = field(default_factory=ShardDigests)
    robust: RobustRange | None = None


def stored_dtype(source: Source) -> str:
    """The dtype in which an image of this source is stored."""
    return IMAGE_DTYPES.get(source.dtype, "float32")


def scan_image(source: Source, box: Box, shard: tuple[int, ...], chunk: tuple[int, ...] | None) -> Scan:
    """Read an image shard by shard, once for integers of up to 16 bits, else twice for exact percentiles.

    `shard` and `chunk` are (z, y, x); without a chunk there are no digests by shard.

    Raises InvalidInput for complex numbers, and for values that the stored dtype cannot hold.
    """
    refuse_dtype(source)
    low, high, digest, shards = np.inf, -np.inf, sha256(), bytearray()
    finder = RangeFinder(source.dtype)
    spread = _Spread(source)
    for _, where, raw in _blocks(source, box, shard):
        spread.add(raw)
        block = _as_stored(source, raw, where)
        finder.add(raw)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        digest.update(np.ascontiguousarray(block).data)
        shards += _digest_of(block, (block.shape[0], *chunk)) if chunk else b""
    spread.refuse_if_lost(low, high)
    finder.end_pass()
    if finder.needs_pass():
        for _, _, raw in _blocks(source, box, shard):
            finder.add(raw)
        finder.end_pass()
    return Scan(low, high, digest.hexdigest(), ShardDigests.of_all(bytes(shards)), finder.result())


def _as_stored(source: Source, raw: NDArray[Any], where: Box) -> NDArray[Any]:
    """A block in the stored dtype. Raises InvalidInput with the position of NaN, infinity or a too large value."""
    if raw.dtype.kind in "ui" and raw.dtype.itemsize > EXACT_BYTES:
        value = max(int(raw.min()), int(raw.max()), key=abs)
        if abs(value) > EXACT_IN_FLOAT32:
            raise InvalidInput(
                f"{source.path} holds {value}, which float32 cannot keep exactly",
                allowed=f"integers up to {EXACT_IN_FLOAT32}",
                hint="subtract an offset, or save the image as uint16",
            )
    with np.errstate(over="ignore"):  # refused below
        block = raw.astype(stored_dtype(source))
    unfit = ~np.isfinite(block) if block.dtype.kind == "f" else np.zeros(1, bool)
    if unfit.any():
        place = tuple(int(i + s.start) for i, s in zip(np.argwhere(unfit)[0], where, strict=True))
        value, is_too_large = raw[unfit][0], bool(np.isfinite(raw[unfit][0]))
        raise InvalidInput(
            f"{source.path} holds {value} at (c, z, y, x) = {place}" + ", too large for float32" * is_too_large,
            allowed=f"numbers from {-LARGEST_FLOAT32:.3g} to {LARGEST_FLOAT32:.3g}"
            if is_too_large
            else "finite numbers",
            hint="divide the image by a constant"
            if is_too_large
            else "replace such pixels, for example with the median of their neighbours",
        )
    return block


class _Spread:
    """Range of the values in the file, to refuse images that float32 would make constant."""

    def __init__(self, source: Source) -> None:
        self._source, self._low, self._high = source, np.inf, -np.inf
        self._is_wide = np.dtype(source.dtype).kind == "f" and np.dtype(source.dtype).itemsize > EXACT_BYTES * 2

    def add(self, raw: NDArray[Any]) -> None:
        """Add a block."""
        if self._is_wide:
            self._low, self._high = min(self._low, float(raw.min())), max(self._high, float(raw.max()))

    def refuse_if_lost(self, low: float, high: float) -> None:
        """Raise InvalidInput if the stored values, `low` to `high`, became constant or have a range beyond float32."""
        if high - low > LARGEST_FLOAT32:
            raise InvalidInput(
                f"{self._source.path} holds {low} to {high}, whose difference is too large for float32",
                allowed=f"a range up to {LARGEST_FLOAT32:.3g}",
                hint="divide the image by a constant",
            )
        if self._is_wide and low == high and self._low < self._high:
            raise InvalidInput(
                f"{self._source.path} holds {self._low} to {self._high}, which are one number in float32",
                allowed="differences that float32 can keep",
                hint="subtract an offset, or multiply the image by a constant",
            )


def _digest_of(values: NDArray[Any], chunk: tuple[int, ...]) -> bytes:
    digest = ShardDigest(chunk)
    digest.add(values, (0,) * values.ndim)
    return digest.value()


def stored_labels(block: NDArray[Any], ignore_label: int | None) -> NDArray[np.int32]:
    """Labels as stored: int32, with IGNORED for `ignore_label`. All others must have been checked to fit int32."""
    labels = block.astype(np.int32)
    if ignore_label is not None:
        labels[block == ignore_label] = IGNORED
    return labels


def cell_values(labels: NDArray[np.int32], by_value: bool, threshold: int = 0) -> NDArray[Any]:
    """What makes pixels one component: labels above a threshold, or `by_value` that are equal; 0 elsewhere."""
    return np.maximum(labels, 0) if by_value else labels > threshold


def label_blocks(source: Source, box: Box, ignore_label: int | None) -> Iterator[NDArray[np.int32]]:
    """The labels in a box of a source, as stored, by blocks."""
    for _, _, block in _blocks(source, (slice(0, 1), *box[1:]), BLOCK):
        yield stored_labels(block[0], ignore_label)


def scan_labels(
    source: Source,
    box: Box,
    shard: tuple[int, ...],
    chunk: tuple[int, ...] | None,
    ignore_label: int | None = None,
    union_find: UnionFind | None = None,
    by_value: bool = False,
    threshold: int = 0,
    screen: LabelScreen | None = None,
) -> tuple[Scan, NDArray[np.int64]]:
    """Read labels once, as `scan_image` reads an image. Adds the cells, see `cell_values`, to `union_find`.

    Returns the scan and up to two of the numbers of the cells.

    Raises InvalidInput for real numbers, and for negative or too large labels, except at ignored pixels.
    """
    if np.dtype(source.dtype).kind not in "bui":
        raise InvalidInput(
            f"{source.path}: labels of dtype {source.dtype}",
            allowed="integers: 0 for background and one number for each cell",
            hint="save them as integers; if they were resized, resize again without interpolation (nearest)",
        )
    low, high, digest, shards, ids = 0, 0, sha256(), bytearray(), np.empty(0, np.int64)
    for index, _, block in _blocks(source, box, shard):
        known = block if ignore_label is None else block[block != ignore_label]
        low, high = min(low, int(known.min(initial=0))), max(high, int(known.max(initial=0)))
        if low < 0 or high > LARGEST_LABEL:
            wrong = low if low < 0 else high
            raise InvalidInput(
                f"{source.path} holds the label {wrong}",
                allowed=f"0 to {LARGEST_LABEL}",
                hint="number the cells 1, 2, 3, ...; 0 is background. If it marks pixels to be ignored in the"
                f" training: --ignore-label {wrong}",
            )
        ids = np.union1d(ids, _some_ids(known))[:2]
        if screen:
            screen.add(block[0], ignore_label, has_ignored=known.size < block.size)
        labels = stored_labels(block[0], ignore_label)
        digest.update(np.ascontiguousarray(labels, "<i4").data)
        shards += _digest_of(labels, chunk) if chunk else b""
        if union_find:
            union_find.add(index, cell_values(labels, by_value, threshold))
    return Scan(low, high, digest.hexdigest(), ShardDigests.of_all(bytes(shards))), ids


def _some_ids(labels: NDArray[Any]) -> NDArray[np.int64]:
    cells = labels[labels != 0]
    return np.array([cells.min(), cells.max()] if cells.size else [], np.int64)


def _blocks(source: Source, box: Box, shard: tuple[int, ...]) -> Iterator[tuple[Index, Box, NDArray[Any]]]:
    """The blocks of a box, shard by shard in order; `shard` is (z, y, x), and so is each index."""
    shape = box_shape(box[1:])
    for index in product(*map(range, shard_counts(shape, shard))):
        inner = shard_box(index, shape, shard)
        where = (box[0], *(slice(b.start + s.start, b.start + s.stop) for b, s in zip(box[1:], inner, strict=True)))
        yield index, where, source.read(where)
