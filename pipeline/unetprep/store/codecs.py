"""How arrays are compressed, and the checksum behind every chunk."""

from typing import Any

import numpy as np
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec


def compressors(codec: str, dtype: str) -> list[Any]:
    """zstd for what is kept, lz4 for what is read once a step; a crc32c over the compressed bytes in both cases."""
    chosen = {
        "zstd": ZstdCodec(level=3),
        "lz4": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=np.dtype(dtype).itemsize),
    }
    return [chosen[codec], Crc32cCodec()]
