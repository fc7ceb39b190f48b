"""Compression of chunks, and their checksums."""

from typing import Any

import numcodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from unetprep.format.codecs import (
    UNKNOWN_SIZE,
    Compressor,
    append_crc,
    blosc_size,
    codec_documents,
    verify_crc,
    zstd_size,
)

BLOSC = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}


def octets(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize(("name", "configuration"), [("zstd", {"level": 3}), ("blosc", BLOSC)])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 70_000])
def test_a_chunk_is_decoded_to_its_values(name: str, configuration: dict[str, Any], size: int) -> None:
    values = np.random.default_rng(size).integers(0, 9, size).astype(np.uint16)
    compressor, out = Compressor.of(name, configuration, 2), np.zeros(size, np.uint16)
    packed = octets(compressor.encode(values))
    compressor.decode(packed, out)
    np.testing.assert_array_equal(out, values)
    for other in (np.zeros(size + 1, np.uint16), np.zeros(max(0, size - 1), np.uint16)):
        with pytest.raises(ValueError, match=f"a chunk holds {2 * size} bytes, not {other.nbytes}"):
            compressor.decode(packed, other)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 200_000])
def test_the_decoded_size_is_that_of_the_header(size: int) -> None:
    data = np.zeros(size, np.uint8)
    assert blosc_size(octets(numcodecs.Blosc().encode(data))) == size
    assert zstd_size(octets(numcodecs.Zstd().encode(data))) == size


def test_a_frame_header_without_a_size_is_recognised() -> None:
    """RFC 8878, section 3.1.1.1: descriptor 0 has a window byte and no content size."""
    magic = b"\x28\xb5\x2f\xfd"
    assert zstd_size(octets(magic + b"\x00\x58" + bytes(12))) == UNKNOWN_SIZE
    assert zstd_size(octets(magic + b"\x20\x07" + bytes(12))) == 7  # single segment, a size of one byte
    assert zstd_size(octets(magic + b"\x60\x07\x01" + bytes(11))) == 256 + 0x107  # two bytes count from 256
    with pytest.raises(ValueError, match="cut short"):
        zstd_size(octets(magic))


def test_codecs_of_other_software_are_unknown() -> None:
    with pytest.raises(KeyError, match="gzip"):
        Compressor.of("gzip", {"level": 5}, 1)
    with pytest.raises(KeyError):
        Compressor.of("blosc", BLOSC | {"shuffle": "none"}, 1)


def test_every_codec_ends_in_a_checksum_and_weights_are_not_shuffled() -> None:
    for codec, number in (("zstd", 2), ("lz4", 2), ("none", 1)):
        chosen = [document["name"] for document in codec_documents(codec, "uint8")]
        assert (len(chosen), chosen[-1]) == (number, "crc32c")
    shuffles = [codec_documents("lz4", dtype)[0]["configuration"]["shuffle"] for dtype in ("uint16", "float32")]
    assert shuffles == ["shuffle", "noshuffle"]


def test_a_checksum_is_crc32c_and_any_flipped_bit_is_found() -> None:
    data = append_crc(b"123456789")
    assert data[-4:] == (0xE3069283).to_bytes(4, "little")  # the check value of CRC-32C
    assert verify_crc(octets(data)).tobytes() == b"123456789"
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="checksum"):
            verify_crc(octets(bytes(damaged)))
    with pytest.raises(ValueError, match="checksum"):
        verify_crc(octets(b"abc"))
