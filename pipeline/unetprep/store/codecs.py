"""How arrays are compressed, and the checksum behind every chunk."""

from typing import Any

from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from unetprep.layout import ArraySpec


def compressors(spec: ArraySpec) -> list[Any]:
    """zstd for what is kept, lz4 for what is read once a step; a crc32c over the compressed bytes in both cases."""
    itemsize = int(spec.dtype[-1]) if spec.dtype[-1].isdigit() else 1
    chosen = {
        "zstd": ZstdCodec(level=3),
        "lz4": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=itemsize),
    }
    return [chosen[spec.codec], Crc32cCodec()]
