"""Shards that are encoded here are what zarr-python, the reference, reads."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from tests.pipeline.conftest import LOCAL
from unetprep.engine.run import run_stage
from unetprep.format.boxes import shard_box, shard_counts
from unetprep.format.codecs import codec_documents
from unetprep.format.sharding import Damaged, Shards
from unetprep.params import TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.storage.local import LocalStorage
from unetprep.store import Store


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "int64"])
@pytest.mark.parametrize(
    ("shape", "chunk", "shard"),
    [((100, 130), (16, 16), (32, 48)), ((5, 33, 20), (1, 16, 16), (2, 32, 32)), ((7,), (4,), (8,)), ((3,), (3,), (3,))],
)
def test_zarr_reads_what_was_encoded(
    tmp_path: Path, codec: str, dtype: str, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...]
) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=shape, dtype=dtype, chunks=chunk, shards=shard, compressors=codec_documents(codec, dtype)
    )
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    shards, folder = Shards(json.loads((tmp_path / "a/zarr.json").read_text())), LocalStorage(str(tmp_path))
    for index in product(*map(range, shard_counts(shape, shard))):
        data = shards.encode(values[shard_box(index, shape, shard)])
        key = "c/" + "/".join(map(str, index))
        sync(array.store.set(key, default_buffer_prototype().buffer.from_bytes(data)))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[:], values)
    whole = tuple(slice(0, n) for n in shape)
    part = tuple(slice(n // 3, n - n // 4) for n in shape)
    for box in (whole, part):
        np.testing.assert_array_equal(shards.read(folder, "a", box), values[box])
    array[:] = values[::-1]  # zarr's own encoding is read too
    np.testing.assert_array_equal(shards.read(folder, "a", part), values[::-1][part])


def test_a_store_is_read_as_zarr_reads_it(store: Store) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    run_stage(store, STAGES["tiles"], TilesParams(tile_px=60, depth=2, margin_px=8), LOCAL)
    for path in (
        "images/a/image",
        "images/a/labels/instances/instances",
        "images/a/weights",
        "tiles/image",
        "tiles/y0",
    ):
        reference = zarr.open_array(store.url, path=path, mode="r")
        box = tuple(slice(n // 5, n - n // 7) for n in reference.shape)
        found = store.read(path, box)
        assert found.dtype == reference.dtype
        np.testing.assert_array_equal(found, np.asarray(reference[box]))


def test_a_shard_that_is_not_there_is_no_background(store: Store) -> None:
    box = (slice(0, 1), slice(3, 20), slice(5, 9))
    for shard in (Path(store.url) / "images/a/labels/instances/instances/c").rglob("*"):
        if shard.is_file():
            shard.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"^images/a/labels/instances/instances/c/0/0/0 is missing\n  to do:   unetprep verify"
    ):
        store.read("images/a/labels/instances/instances", box)


def test_a_damaged_chunk_is_noticed(store: Store) -> None:
    shard = next(p for p in (Path(store.url) / "images/a/image/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 255
    shard.write_bytes(data)
    with pytest.raises(Damaged, match=r"images/a/image/c/.*a checksum \(crc32c\) is wrong"):
        store.read("images/a/image", (slice(0, 1), slice(0, 1), slice(0, 90), slice(0, 130)))
