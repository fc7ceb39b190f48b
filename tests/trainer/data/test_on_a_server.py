"""Training from a bucket, and what is said where its server is silent, dead, or has lost something."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zarr

import unetprep.storage.object_store as objects
from tests.pipeline.conftest import LOCAL, save
from tests.servers import S3Server, upload
from tests.synthetic import cell_image, cell_labels
from tests.trainer.data.test_chunk_reader import make
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.params import ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.storage.registry import open_storage
from unetprep.store import Store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import FitConfig
from unettrain.data.chunk_reader import ChunkReader
from unettrain.data.opening import open_image, open_tiles, stored_intensity
from unettrain.data.store import reading, storage_of
from unettrain.errors import Failure, InvalidInput
from unettrain.run_dir import RunDir
from unettrain.stream.dataset import TileDataset
from unettrain.stream.tile_stream import TileStream
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]
ARRAYS = ("image", "target", "weights")


@pytest.fixture
def bucket(make_store: MakeStore, s3: str) -> tuple[Path, str]:
    """A store on a disk, and the same in a bucket."""
    storage_of.cache_clear()  # each test has an address of its own
    store = make_store()
    return store, upload(store, f"{s3}/ds.zarr")


def test_a_bucket_gives_what_the_disk_gives(bucket: tuple[Path, str]) -> None:
    store, url = bucket
    there = TileStream(url, batch_size=3, num_steps=6, num_threads=5)
    here = TileStream(store, batch_size=3, num_steps=6)
    assert there.fingerprints == here.fingerprints
    for ours, theirs in zip(there, here, strict=True):
        for name in (*ARRAYS, "indices"):
            assert getattr(ours, name).equal(getattr(theirs, name))
    image = open_image(url, "cells0")
    np.testing.assert_array_equal(image.pixels[:], open_image(store, "cells0").pixels[:])
    assert stored_intensity(f"{url}/images/cells0") == image.intensity == (0.0, 255.0)
    assert len(list(TileDataset(url, num_steps=2))) == 2


def test_fit_trains_from_a_bucket(bucket: tuple[Path, str], tmp_path: Path) -> None:
    config = FitConfig(base_channels=2, threads=1, steps=3, validate_every=3, log_every=1)
    losses: list[list[tuple[float, float | None]]] = []
    for where in bucket:
        fit(where, tmp_path / str(len(losses)), config)
        log = RunDir(tmp_path / str(len(losses))).log.read_text().splitlines()
        losses.append([(line["loss"], line.get("val_loss")) for line in map(json.loads, log)])
    assert losses[0] == losses[1]


def test_virtual_tiles_of_a_bucket(s3: str, tmp_path: Path) -> None:
    labels = cell_labels((90, 70), 12)
    image, mask = save(tmp_path / "a.npy", cell_image(labels)), save(tmp_path / "m.npy", labels)
    urls = f"{s3}/ds.zarr", str(tmp_path / "ds.zarr")
    for url, virtual in zip(urls, (True, False), strict=True):
        import_images(url, [image], [mask], ImportParams(), LOCAL)
        run_stage(Store.open(url), STAGES["weights"], WeightsParams(), LOCAL)
        params = TilesParams(tile_px=60, depth=2, margin_px=8, index_only=virtual)
        run_stage(Store.open(url), STAGES["tiles"], params, LOCAL)
    there, here = map(open_tiles, urls)
    for k in range(len(here.split)):
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(there.read(k), name), getattr(here.read(k), name))


def test_what_is_missing_or_damaged_in_a_bucket_is_named(bucket: tuple[Path, str]) -> None:
    _, url = bucket
    storage, key = open_storage(url), "tiles/weights/c/0/0/0"
    data = bytearray(storage.get(key))
    data[20] ^= 4
    storage.put(key, bytes(data))
    stream = TileStream(url, augmentation=NO_AUGMENTATION, num_steps=20)
    with pytest.raises(Failure, match=r"tiles/weights/c/0/0/0 cannot be read: a checksum \(crc32c\) is wrong"):
        list(stream)
    storage.put(key, bytes(data[:-100]))
    with pytest.raises(Failure, match=f"{key} cannot be read"):
        list(TileStream(url, augmentation=NO_AUGMENTATION, num_steps=20))
    storage.delete(key)
    with pytest.raises(Failure, match=rf"{key} is missing, in {url}\n  to do:   unetprep verify"):
        list(TileStream(url, augmentation=NO_AUGMENTATION, num_steps=20))
    with pytest.raises(InvalidInput, match=f"there is no store at {url}/nothing"):
        open_tiles(f"{url}/nothing")


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_pixels_of_the_same_length_that_take_the_place_of_others_are_noticed(
    s3: str, tmp_path: Path, codec: str
) -> None:
    storage_of.cache_clear()
    array, values = make(tmp_path / "old", (8, 40), (1, 40), (4, 40), codec)
    other, _ = make(tmp_path / "new", (8, 40), (1, 40), (4, 40), codec)
    array.attrs["unetprep"], other.attrs["unetprep"] = {"fingerprint": "old"}, {"fingerprint": "new"}
    other[...] = values[::-1]
    url = upload(tmp_path / "old", f"{s3}/x.zarr")
    with reading(url) as place:
        opened = zarr.open_array(place, path="a", mode="r")
    chunks, out = ChunkReader(opened, url, storage=storage_of(url)), np.empty(40, "uint16")
    for _ in range(2):
        chunks.read_row(1, out)
        np.testing.assert_array_equal(out, values[1])
    upload(tmp_path / "old", url)
    chunks.read_row(1, out)  # the same again
    np.testing.assert_array_equal(out, values[1])
    upload(tmp_path / "new", url)
    for _ in range(2):
        with pytest.raises(Failure, match="was replaced while it was read"):
            chunks.read_row(1, out)


def test_a_server_that_dies_is_one_error_after_bounded_tries_and_comes_back(
    bucket: tuple[Path, str], s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "RETRY_SECONDS", 1)
    storage_of.cache_clear()
    _, url = bucket
    stream = TileStream(url, augmentation=NO_AUGMENTATION, num_threads=2)
    with closing(stream.batches(0)) as batches:
        next(batches)
        s3_server.kill()
        try:
            begun = time.monotonic()
            with pytest.raises(Failure, match=r"tiles/\w+/c/.* cannot be read: .*\n  to do:   see that the server"):
                for _ in batches:
                    pass
            with pytest.raises(Failure, match=r"no answer from http.*\n  to do:   see that the server answers"):
                open_tiles(url)
            assert time.monotonic() - begun < 60
        finally:
            s3_server.restart()
    assert len(list(TileStream(url, augmentation=NO_AUGMENTATION, num_steps=3))) == 3


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that lets everybody connect (the kernel does) and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_is_silent_is_one_error(
    bucket: tuple[Path, str], silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(objects, "RETRY_SECONDS", 1)
    _, url = bucket
    stream = TileStream(url, augmentation=NO_AUGMENTATION, num_threads=2)
    clients = stream.tiles.pixels.image._storage._clients  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    storage_of.cache_clear()
    clients.clear()
    monkeypatch.setattr(stream.tiles.pixels.image._storage, "endpoint", silent)  # type: ignore[attr-defined]
    begun = time.monotonic()
    with pytest.raises(Failure, match=rf"no answer from {silent}"):
        next(iter(stream))
    with pytest.raises(Failure, match=rf"no answer from {silent}"):
        open_tiles(url)
    assert time.monotonic() - begun < 60
