"""Codecs of chunks: compression, followed by a crc32c checksum."""

from typing import Any

import numpy as np
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec, ZstdCodec


def compressors(codec: str, dtype: str) -> list[Any]:
    """zstd for what is kept, lz4 for what is read once a step, or none; a crc32c over these bytes in all cases.

    Bytes of integers are shuffled for lz4, which makes noisy images smaller. Those of weights are not: most are one
    constant, and are read in 0.6 of the time as they are, at about the same size.
    """
    shuffle = BloscShuffle.noshuffle if np.dtype(dtype).kind == "f" else BloscShuffle.shuffle
    chosen: dict[str, list[Any]] = {
        "zstd": [ZstdCodec(level=3)],
        "lz4": [BloscCodec(cname="lz4", clevel=5, shuffle=shuffle, typesize=np.dtype(dtype).itemsize)],
        "none": [],
    }
    return [*chosen[codec], Crc32cCodec()]
