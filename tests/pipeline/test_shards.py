"""Shards that are encoded here are what zarr-python, the reference, reads."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from tests.pipeline.conftest import LOCAL
from unetprep.grid import shard_box, shard_counts
from unetprep.params import WeightsParams
from unetprep.run import run_stage
from unetprep.stages import STAGES
from unetprep.store import Store
from unetprep.store.codecs import compressors
from unetprep.store.shards import encode_shard


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "int64"])
@pytest.mark.parametrize(
    ("shape", "chunk", "shard"),
    [((100, 130), (16, 16), (32, 48)), ((5, 33, 20), (1, 16, 16), (2, 32, 32)), ((7,), (4,), (8,)), ((3,), (3,), (3,))],
)
def test_zarr_reads_what_was_encoded(
    tmp_path: Path, codec: str, dtype: str, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...]
) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=shape, dtype=dtype, chunks=chunk, shards=shard, compressors=compressors(codec, dtype)
    )
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    for index in product(*map(range, shard_counts(shape, shard))):
        data = encode_shard(values[shard_box(index, shape, shard)], array.metadata, shard)
        key = "c/" + "/".join(map(str, index))
        sync(array.store.set(key, default_buffer_prototype().buffer.from_bytes(data)))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[:], values)


def test_both_readers_see_the_same_in_a_store(store: Store) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    for path in ("images/a/image", "images/a/labels/instances/instances", "images/a/weights"):
        reference = zarr.open_array(store.url, path=path, mode="r")
        box = (..., slice(11, 70), slice(3, 129))
        assert type(store.array(path).async_array.codec_pipeline) is not type(reference.async_array.codec_pipeline)
        np.testing.assert_array_equal(np.asarray(store.array(path)[box]), np.asarray(reference[box]))


def test_a_damaged_chunk_is_noticed(store: Store) -> None:
    shard = next(p for p in (Path(store.url) / "images/a/image/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 255
    shard.write_bytes(data)
    with pytest.raises(Exception, match=r"(?i)checksum|crc32c"):
        store.read("images/a/image", (slice(0, 1), slice(0, 1), slice(0, 90), slice(0, 130)))
