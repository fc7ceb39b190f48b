"""Codecs of chunks: zstd, Blosc or no compression, followed by a CRC32C checksum.

Encoding and decoding release the GIL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

CRC_BYTES = 4
BLOSC_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
UNKNOWN_SIZE = -1


def codec_documents(codec: str, dtype: str) -> list[dict[str, Any]]:
    """The codec "zstd", "lz4" or "none" in a Zarr document, followed by CRC32C; also `compressors` for zarr-python.

    lz4 shuffles the bytes of integers, which makes noisy images smaller. It does not shuffle weights, most of which
    have one constant value: unshuffled they are read in 0.6 of the time, at about the same size.
    """
    shuffle = "noshuffle" if np.dtype(dtype).kind == "f" else "shuffle"
    blosc = {"typesize": np.dtype(dtype).itemsize, "cname": "lz4", "clevel": 5, "shuffle": shuffle, "blocksize": 0}
    chosen: dict[str, list[dict[str, Any]]] = {
        "zstd": [{"name": "zstd", "configuration": {"level": 3, "checksum": False}}],
        "lz4": [{"name": "blosc", "configuration": blosc}],
        "none": [],
    }
    return [*chosen[codec], {"name": "crc32c"}]


@dataclass(frozen=True)
class Compressor:
    """Compression of one chunk by zstd or Blosc. Thread-safe."""

    _codec: Any
    _decoded_size: Callable[[NDArray[np.uint8]], int]

    @staticmethod
    def of(name: str, configuration: dict[str, Any], itemsize: int) -> "Compressor":
        """The compressor of a codec in a Zarr document. Raises KeyError for an unknown name or configuration."""
        if name == "zstd":
            return Compressor(Zstd(level=configuration["level"]), zstd_size)
        if name != "blosc":
            raise KeyError(name)
        shuffle = BLOSC_SHUFFLES[configuration["shuffle"]]
        cname, level, block = (configuration[key] for key in ("cname", "clevel", "blocksize"))
        return Compressor(Blosc(cname, level, shuffle, block, itemsize), blosc_size)

    def encode(self, values: NDArray[Any]) -> bytes:
        """Compress the bytes of a contiguous array."""
        return bytes(self._codec.encode(values))

    def decode(self, packed: NDArray[np.uint8], out: NDArray[Any]) -> None:
        """Decompress into a contiguous array. Raises ValueError or RuntimeError for invalid data or another size."""
        size = self._decoded_size(packed)
        if size == UNKNOWN_SIZE:
            decoded = np.frombuffer(self._codec.decode(packed), np.uint8)
            refuse_size(len(decoded), out)
            out.reshape(-1).view(np.uint8)[...] = decoded
        else:
            refuse_size(size, out)  # the libraries would leave the rest of `out` unchanged
            self._codec.decode(packed, out)


def refuse_size(num_bytes: int, out: NDArray[Any]) -> None:
    """Raise ValueError unless a decoded chunk of `num_bytes` fills `out` exactly."""
    if num_bytes != out.nbytes:
        raise ValueError(f"a chunk holds {num_bytes} bytes, not {out.nbytes}")


def blosc_size(packed: NDArray[np.uint8]) -> int:
    """Decompressed bytes, from the header: https://github.com/Blosc/c-blosc, README_CHUNK_FORMAT."""
    return int.from_bytes(packed[4:8].tobytes(), "little")


def zstd_size(packed: NDArray[np.uint8]) -> int:
    """Decompressed bytes, from the frame header; UNKNOWN_SIZE where it has none: RFC 8878, section 3.1.1.1."""
    header = packed[4:18].tobytes()
    if not header:
        raise ValueError("a chunk is cut short")
    kind, is_single = header[0] >> 6, header[0] >> 5 & 1
    length = (is_single, 2, 4, 8)[kind]
    start = 2 - is_single + (0, 1, 2, 4)[header[0] & 3]
    return int.from_bytes(header[start : start + length], "little") + 256 * (kind == 1) if length else UNKNOWN_SIZE


def append_crc(data: bytes | NDArray[np.uint8]) -> bytes:
    """The data followed by their CRC32C checksum."""
    checksum = int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
    return b"".join((data if isinstance(data, bytes) else data.data, checksum))


def verify_crc(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The data without the checksum at their end. Raises ValueError if the checksum is wrong."""
    body = data[:-CRC_BYTES]
    if len(data) < CRC_BYTES or google_crc32c.value(body) != int.from_bytes(data[-CRC_BYTES:].tobytes(), "little"):
        raise ValueError("a checksum (crc32c) is wrong: the file is damaged")
    return body
