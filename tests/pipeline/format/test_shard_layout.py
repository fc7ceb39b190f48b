"""Layout of sharded arrays, read from the documents that zarr-python writes."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from unetprep.format.codecs import append_crc
from unetprep.format.documents import array_document
from unetprep.format.layout import ArraySpec, Provenance
from unetprep.format.shard_layout import EMPTY, ShardLayout, index_bytes, shard_key


def document(codec: str = "zstd") -> dict[str, Any]:
    spec = ArraySpec("a", (100, 70), "uint16", ("y", "x"), (8, 16), (32, 32), Provenance("", 0, {}, {}), codec)
    return array_document(spec, {})


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
def test_a_layout_has_the_numbers_of_the_array(codec: str) -> None:
    layout = ShardLayout.of(document(codec))
    assert (layout.shape, layout.dtype, layout.chunk, layout.shard) == (
        (100, 70),
        np.dtype("uint16"),
        (8, 16),
        (32, 32),
    )
    assert (layout.counts, layout.chunk_counts, layout.num_chunks) == ((4, 3), (4, 2), 8)
    assert layout.index_bytes == index_bytes(8) == 16 * 8 + 4
    assert (layout.compressor is None) == (codec == "none")


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with another value at a path of keys."""
    result = deepcopy(document())
    at: Any = result
    *keys, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in keys:
        at = at[key]
    at[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("codecs", []),
        ("codecs/0/name", "sharding"),
        ("codecs/0/configuration/index_location", "start"),
        ("codecs/0/configuration/index_codecs", [{"name": "bytes"}]),
        ("codecs/0/configuration/codecs/0/configuration/endian", "big"),
        ("codecs/0/configuration/codecs/1/name", "gzip"),
        ("codecs/0/configuration/chunk_shape", [8, 15]),
        ("codecs/0/configuration/chunk_shape", [8]),
        ("codecs/0/configuration/chunk_shape", [0, 16]),
        ("chunk_key_encoding", {"name": "v2"}),
        ("fill_value", 1),
        ("data_type", "complex64"),
        ("shape", None),
    ],
)
def test_another_layout_is_refused(path: str, value: object) -> None:
    ShardLayout.of(document())
    with pytest.raises(ValueError, match="not stored as unetprep stores them"):
        ShardLayout.of(changed(path, value))


def test_an_index_gives_offset_and_length_of_each_chunk() -> None:
    layout = ShardLayout.of(document())
    entries = np.arange(16, dtype="<u8").reshape(8, 2)
    entries[3] = EMPTY
    footer = np.frombuffer(append_crc(entries.tobytes()), np.uint8)
    np.testing.assert_array_equal(layout.parse_index(footer), entries)
    with pytest.raises(ValueError, match="cut short"):
        layout.parse_index(footer[1:])
    damaged = footer.copy()
    damaged[5] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        layout.parse_index(damaged)


def test_shards_have_the_keys_of_zarr() -> None:
    assert (shard_key((0, 12, 3)), shard_key((5,))) == ("c/0/12/3", "c/5")
