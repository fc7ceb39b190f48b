"""Training on tiles while they are being made."""

import shutil
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.params import ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import FitConfig
from unettrain.data.opening import open_tiles
from unettrain.errors import Failure, InvalidInput
from unettrain.fitting import fit
from unettrain.run_dir import RunDir
from unettrain.stream.tile_stream import TileStream

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)
CUT = ("image", "target", "weights", "foreground", "density")
NUM = 5 * 64
SMALL = FitConfig(deform=False, base_channels=2, threads=1, validate_every=2, log_every=1, growing=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five shards of tiles."""
    folder = tmp_path_factory.mktemp("whole")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for name in "abcde":
        labels = cell_labels((160, 160), 40, seed=ord(name))
        save(folder / "masks" / f"{name}.npy", labels)
        save(folder / "images" / f"{name}.npy", cell_image(labels))
    url = folder / "ds.zarr"
    params = ImportParams(val_fraction=0.2)
    import_images(str(url), [str(folder / "images")], [str(folder / "masks")], params, LOCAL)
    run_stage(Store.open(str(url)), STAGES["weights"], WeightsParams(), LOCAL)
    run_stage(Store.open(str(url)), STAGES["tiles"], TILES, LOCAL)
    assert len(open_tiles(url).split) == NUM
    return url


@pytest.fixture
def growing(whole: Path, tmp_path: Path) -> Path:
    """The same, as it is while the stage `tiles` runs and has made nothing yet."""
    url = tmp_path / "ds.zarr"
    shutil.copytree(whole, url)
    store = Store.open(str(url))
    for name in CUT:
        store.set_complete(f"tiles/{name}", False)
        shutil.rmtree(url / f"tiles/{name}/c")
    return url


def grow(whole: Path, url: Path, *shards: int, arrays: tuple[str, ...] = CUT) -> None:
    """Some shards more."""
    for name in arrays:
        for k in shards:
            (file,) = (f for f in (whole / f"tiles/{name}/c").rglob("*") if f.is_file() and _shard(f) == k)
            target = url / file.relative_to(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def _shard(file: Path) -> int:
    return int(str(file).rpartition("/c/")[2].partition("/")[0])


def finish(whole: Path, url: Path) -> None:
    grow(whole, url, *range(5))
    for name in CUT:
        Store.open(str(url)).set_complete(f"tiles/{name}", True)


def stream_of(url: Path, batch_size: int = 4) -> TileStream:
    return TileStream(
        url, batch_size=batch_size, augmentation=NO_AUGMENTATION, growing=True, num_threads=1, num_ahead=1
    )


def test_only_finished_shards_are_used_and_new_ones_as_they_appear(whole: Path, growing: Path) -> None:
    expected = open_tiles(whole)
    train = set(expected.indices("train").tolist())
    of_shard = [sorted(train & set(range(64 * k, 64 * k + 64))) for k in range(5)]
    trained = [k for k in range(5) if of_shard[k]]
    first, second, *_ = trained
    grow(whole, growing, first)
    grow(whole, growing, second, arrays=("image", "target"))  # not yet its weights
    stream = stream_of(growing)
    assert stream.is_growing()
    with closing(stream.batches(0)) as batches:
        seen = [k for batch in islice(batches, 2 * len(of_shard[first]) // 4) for k in batch.indices.tolist()]
        assert Counter(seen) == Counter(2 * of_shard[first])
        assert seen[: len(seen) // 2] != seen[len(seen) // 2 :]
        grow(whole, growing, second)
        seen = [k for batch in islice(batches, 60) for k in batch.indices.tolist()]  # four rounds of the first's length
        assert set(seen) == {*of_shard[first], *of_shard[second]}
        for batch in islice(batches, 3):
            for row, tile in enumerate(batch.indices.tolist()):
                stored = expected.read(tile)
                np.testing.assert_array_equal(batch.weights[row], stored.weights[8:-8, 8:-8])
        finish(whole, growing)
        seen = [k for batch in islice(batches, 400) for k in batch.indices.tolist()]
        assert set(seen) == train
    assert not stream.is_growing()


def test_when_all_is_there_the_order_is_the_usual_one(whole: Path, growing: Path) -> None:
    finish(whole, growing)
    usual = TileStream(whole, batch_size=4, augmentation=NO_AUGMENTATION, num_steps=20)
    for ours, theirs in zip(islice(stream_of(growing), 20), usual, strict=True):
        assert ours.indices.equal(theirs.indices)


def test_what_is_not_there_yet_is_said(whole: Path, growing: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tiles/foreground of .* is not finished\n.*unettrain fit --growing"):
        TileStream(growing, augmentation=NO_AUGMENTATION)
    with pytest.raises(InvalidInput, match=r"has \d+, of which 0 are finished\n.*\n.*wait until unetprep tiles"):
        stream_of(growing)
    with pytest.raises(InvalidInput, match="growing with world_size 2"):
        TileStream(growing, augmentation=NO_AUGMENTATION, growing=True, world_size=2)
    with pytest.raises(InvalidInput, match="sampling foreground"):
        TileStream(growing, augmentation=NO_AUGMENTATION, growing=True, sampling="foreground")


def test_tiles_that_are_begun_anew_meanwhile_end_the_training(whole: Path, growing: Path) -> None:
    trained = sorted({int(k) // 64 for k in open_tiles(whole).indices("train")})
    grow(whole, growing, trained[0])
    with closing(stream_of(growing).batches(0)) as batches:
        next(batches)
        store = Store.open(str(growing))
        for name in CUT:
            store.void(f"tiles/{name}")
        grow(whole, growing, *trained[1:])
        with pytest.raises(Failure, match="was made anew while it was read"):
            list(islice(batches, 100))


def test_fit_begins_on_part_of_the_tiles_and_validates_once_all_are_there(
    whole: Path, growing: Path, tmp_path: Path
) -> None:
    trained = sorted({int(k) // 64 for k in open_tiles(whole).indices("train")})
    grow(whole, growing, trained[0])
    done = threading.Event()

    def on_progress(progress: object) -> None:
        if getattr(progress, "step", 0) == 5 and not done.is_set():
            finish(whole, growing)
            done.set()

    result = fit(growing, tmp_path / "run", replace(SMALL, steps=10), on_progress=on_progress)
    assert done.is_set()
    assert result.best_loss is not None
    log = RunDir(tmp_path / "run").log.read_text().splitlines()
    assert ["val_loss" in line for line in log] == [False] * 5 + [True, False, True, False, True]
    again = fit(whole, tmp_path / "run", replace(SMALL, steps=12, growing=False))
    assert again.updates == 2
