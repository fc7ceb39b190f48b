"""Memory for reading a box of a source, in addition to its pixels."""

from collections.abc import Iterable
from math import prod

import numpy as np

from unetprep.sources.chunk_cache import KEPT_BYTES
from unetprep.sources.source import Source

PICTURES_KEPT = 4


def reading_bytes(source: Source, shape: tuple[int, ...]) -> int:
    """Memory for reading a box (c, z, y, x) of this shape, besides its pixels: parts of a file are decoded whole.

    A picture is one part, which Pillow decodes and which is then copied. The parts of a TIFF file are strips, tiles or
    pages, those of a Zarr array chunks.
    """
    if source.is_decoded_whole:
        return _whole_bytes(source)
    part = source.part_shape()
    if not part:
        return 0
    import zarr

    sides = dict(zip("czyx", shape, strict=True))
    box = [min(sides.get(a, 1), n) for a, n in zip(source.axes, source.file_shape, strict=True)]
    touched = prod(min(-(-b // p) + 1, -(-n // p)) for b, p, n in zip(box, part, source.file_shape, strict=True))
    at_once = min(touched, int(zarr.config.get("async.concurrency")))
    return 2 * prod(part) * np.dtype(source.dtype).itemsize * at_once


def kept_bytes(source: Source) -> int:
    """Memory of caches after reading a source: the last pictures, and the last large parts of TIFF files."""
    if source.is_decoded_whole:
        return PICTURES_KEPT * _whole_bytes(source)
    return min(KEPT_BYTES, _whole_bytes(source)) if source.keeps_parts() else 0


def kept_of_all(sources: Iterable[Source]) -> int:
    """Memory of caches after reading many sources in one process."""
    each = [(source, kept_bytes(source)) for source in {source.path: source for source in sources}.values()]
    parts = sum(kept for source, kept in each if not source.is_decoded_whole)
    return min(KEPT_BYTES, parts) + max((kept for source, kept in each if source.is_decoded_whole), default=0)


def _whole_bytes(source: Source) -> int:
    return prod(source.file_shape) * np.dtype(source.dtype).itemsize
