"""A store on a real S3 server: the same bytes as on a disk, also when the server dies in the middle."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pipeline.conftest import LOCAL, tree
from tests.servers import S3Server
from unetprep.contents import info
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.format import layout
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.storage import lock
from unetprep.storage.registry import open_storage
from unetprep.store import Store

STAGE_PARAMS = {
    "weights": WeightsParams(),
    "deform": DeformParams(fields=9),
    "tiles": TilesParams(tile_px=60, depth=2, margin_px=8),
}


def do_it_all(files: Path, url: str) -> None:
    import_images(url, [str(files / "images")], [str(files / "masks")], ImportParams(), LOCAL)
    store = Store.open(url)
    for name, params in STAGE_PARAMS.items():
        run_stage(store, STAGES[name], params, LOCAL)


def objects(url: str) -> dict[str, bytes]:
    storage = open_storage(url)
    return {key: storage.get(key) for key, _ in storage.listing()}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 32, 48))


@pytest.mark.usefixtures("small_shards")
def test_a_server_that_dies_in_the_middle_costs_time_and_nothing_else(
    files: Path, s3: str, s3_server: S3Server
) -> None:
    """What the server had not kept is found missing by the next run, and written again."""
    url = f"{s3}/ds.zarr"
    do_it_all(files, str(files / "disk.zarr"))
    whole = tree(files / "disk.zarr")
    kills = 0
    for moment in (0.05, 0.2, 0.5, 1.0, 2.0, None):
        done = threading.Event()

        def kill(after: float | None = moment, done: threading.Event = done) -> None:
            nonlocal kills
            if after is not None and not done.wait(after):
                kills += 1
                s3_server.kill()
                time.sleep(0.5)
                s3_server.restart()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with suppress(OSError, Failure):  # it may come through: the storage waits for a while
                do_it_all(files, url)
        finally:
            done.set()
            killer.join()
    do_it_all(files, url)
    assert objects(url) == whole
    assert kills


def test_what_a_server_lost_is_found_and_written_again(files: Path, s3: str) -> None:
    url = f"{s3}/ds.zarr"
    do_it_all(files, url)
    before, storage = objects(url), open_storage(url)
    for key in ("images/a/weights/c/0/0/0", "images/b/labels/target/target/c/0/0/0", "tiles/image/c/0/0/0/0"):
        storage.delete(key)
    whole = storage.get("images/b/image/c/0/0/0/0")
    storage.put("images/b/image/c/0/0/0/0", whole[: len(whole) // 2])
    storage.put("images/a/image/c/0/0/0/0", b"")
    do_it_all(files, url)
    assert objects(url) == before
    assert {image.arrays["weights"].state for image in info(url).images} == {"finished"}


def test_two_runs_at_once_and_a_place_without_a_store(files: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "TOUCH_S", 0.2)
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 5.0)
    url = f"{s3}/ds.zarr"
    with pytest.raises(InvalidInput, match=f"{url} is not there"):
        Store.open(url)
    with (
        lock.locked(open_storage(url), url),
        ThreadPoolExecutor(1) as executor,
        pytest.raises(Conflict, match=f"another run works on {url}"),
    ):
        executor.submit(do_it_all, files, url).result()
    assert objects(url) == {}
