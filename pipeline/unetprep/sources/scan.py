"""A first reading of a source, before anything is written: what its values are, and whether they can be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.grid import Box, Index, box_shape, shard_box, shard_counts
from unetprep.kernels.formula import IGNORED
from unetprep.kernels.percentiles import RangeFinder, RobustRange
from unetprep.sources.pieces import Joiner
from unetprep.sources.source import Source

LARGEST_LABEL = int(np.iinfo(np.int32).max)
EXACT_IN_FLOAT32 = 2**24
IMAGE_DTYPES = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}  # every other one is kept as float32


@dataclass(frozen=True)
class Scan:
    """What was seen: range of the values, a digest of the pixels as they will be stored, the robust range of images."""

    low: float
    high: float
    digest: str
    robust: RobustRange | None = None


def stored_dtype(source: Source) -> str:
    """The dtype that an image of this source has in the store."""
    return IMAGE_DTYPES.get(source.dtype, "float32")


def scan_image(source: Source, box: Box, shard: tuple[int, ...]) -> Scan:
    """Read an image once, or twice for the exact percentiles of other values than integers of up to 16 bits.

    Raises InvalidInput for complex numbers, NaN or infinity, naming the place.
    """
    if np.dtype(source.dtype).kind not in "buif":
        raise InvalidInput(f"{source.path} has dtype {source.dtype}", allowed="integers or real numbers")
    low, high, digest, finder = np.inf, -np.inf, sha256(), RangeFinder(source.dtype)
    for _, where, read in _blocks(source, box, shard):
        block = read.astype(stored_dtype(source))
        if not np.isfinite(block).all():
            place = np.argwhere(~np.isfinite(block))[0] + [s.start for s in where]
            value = block[~np.isfinite(block)][0]
            raise InvalidInput(
                f"{source.path} holds {value} at (c, z, y, x) = {tuple(map(int, place))}",
                allowed="finite numbers",
                hint="replace such pixels, for example with the median of their neighbours",
            )
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        if np.dtype(source.dtype).kind in "ui" and max(-low, high) > EXACT_IN_FLOAT32:
            raise InvalidInput(
                f"{source.path} holds {max(low, high, key=abs):.0f}, which float32 cannot keep exactly",
                allowed=f"integers up to {EXACT_IN_FLOAT32}",
                hint="subtract an offset, or save the image as uint16",
            )
        digest.update(np.ascontiguousarray(block).data)
        finder.add(read)
    finder.end_pass()
    if finder.needs_pass():
        for _, _, read in _blocks(source, box, shard):
            finder.add(read)
        finder.end_pass()
    return Scan(low, high, digest.hexdigest(), finder.result())


def stored_labels(block: NDArray[Any], ignore_label: int | None) -> NDArray[np.int32]:
    """Labels as they are stored: int32, IGNORED where they are `ignore_label`. All others have been checked to fit."""
    labels = block.astype(np.int32)
    if ignore_label is not None:
        labels[block == ignore_label] = IGNORED
    return labels


def scan_labels(
    source: Source, box: Box, shard: tuple[int, ...], ignore_label: int | None = None, joiner: Joiner | None = None
) -> tuple[Scan, NDArray[np.int64]]:
    """Read labels once; also up to two of the numbers in them, and the pieces of the cells for a joiner.

    Raises InvalidInput for real numbers, and for negative or too large ones. Pixels to be ignored are none of these.
    """
    if np.dtype(source.dtype).kind not in "bui":
        raise InvalidInput(
            f"{source.path}: labels of dtype {source.dtype}",
            allowed="integers: 0 for background and one number for each cell",
            hint="save them as integers; if they were resized, resize again without interpolation (nearest)",
        )
    low, high, digest, ids = 0, 0, sha256(), np.empty(0, np.int64)
    for index, _, block in _blocks(source, box, shard):
        known = block if ignore_label is None else block[block != ignore_label]
        low, high = min(low, int(known.min(initial=0))), max(high, int(known.max(initial=0)))
        if low < 0 or high > LARGEST_LABEL:
            wrong = low if low < 0 else high
            raise InvalidInput(
                f"{source.path} holds the label {wrong}",
                allowed=f"0 to {LARGEST_LABEL}",
                hint="number the cells 1, 2, 3, ...; 0 is background. Where it marks pixels to be left out of the"
                f" training: --ignore-label {wrong}",
            )
        ids = np.union1d(ids, _some_ids(known))[:2]
        labels = stored_labels(block[0], ignore_label)
        digest.update(np.ascontiguousarray(labels, "<i4").data)
        if joiner:
            joiner.add(index, labels > 0)
    return Scan(low, high, digest.hexdigest()), ids


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
