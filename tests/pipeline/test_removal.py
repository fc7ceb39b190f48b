"""Images that are removed are seen by no later stage, and all others stay as they are."""

import shutil
from pathlib import Path

import pytest

import unetprep
from tests.pipeline.conftest import tree
from tests.pipeline.engine.killing import count_writes, killed
from tests.synthetic import cell_image, cell_labels
from unetprep import ImportParams, TilesParams, WeightsParams
from unetprep.errors import Conflict, InvalidInput
from unetprep.relabeling.journal import Journal
from unetprep.stages import stacks
from unetprep.storage import lock
from unetprep.store import Store

LABELS = {f"{k:02}": cell_labels((40 + k, 60 - k), 9, seed=k, radius=7) for k in range(17)}
IMAGES = {name: cell_image(labels) for name, labels in LABELS.items()}
FIXED = WeightsParams(class_weights=(1, 2))
TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


@pytest.fixture(params=["stack", "alone"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of seventeen images, in a stack or with arrays of their own, and its tiles."""
    if request.param == "alone":
        monkeypatch.setattr(stacks, "FEWEST", 1000)
    made = tmp_path / "ds.zarr"
    unetprep.prepare_store(made, IMAGES, LABELS, [FIXED, TILES], ImportParams(val_fraction=0.2))
    return made


def index_of(url: Path) -> set[str]:
    """The names of the images that have tiles."""
    store = Store.open(str(url))
    names = store.record("tiles")["names"]
    return {names[k] for k in store.read_all("tiles/image_index")}


def test_an_image_that_is_removed_is_in_no_list_and_no_tile(url: Path) -> None:
    gone = ("tiles", "images/03", "images/11")
    weights = {n: d for n, d in tree(url).items() if "/weights/c/" in n and not n.startswith(gone)}
    done = unetprep.remove(url, ["03", "11"])
    assert (done.images, done.tiles) == (("03", "11"), True)
    store = Store.open(str(url))
    assert store.names == [name for name in LABELS if name not in ("03", "11")]
    with pytest.raises(InvalidInput, match="has no image '03'"):
        store.place("03")
    assert unetprep.info(url).tiles.array.state == "unfinished"
    assert unetprep.weights(url, params=FIXED)[0].shards_written == 0
    unetprep.tiles(url, TILES, overwrite=True)
    assert index_of(url) == set(LABELS) - {"03", "11"}
    now = tree(url)
    assert {name: now[name] for name in weights} == weights
    assert unetprep.verify(url, workers=1).faults == ()
    assert len(unetprep.lint(url)) == 15


def test_class_weights_are_balanced_over_the_images_that_are_left(url: Path, tmp_path: Path) -> None:
    removed = list(LABELS)[:9]
    splits = {name: Store.open(str(url)).image_record(name)["split"] for name in LABELS}
    unetprep.remove(url, removed)
    unetprep.weights(url, params=WeightsParams(), overwrite=True)
    left = {name: LABELS[name] for name in LABELS if name not in removed and splits[name] == "train"}
    unetprep.weights(tmp_path / "left.zarr", left, WeightsParams())
    found, expected = (
        store.record(f"{store.place('16').group}/weights")["parameters"]["class_weights"]
        for store in (Store.open(str(url)), Store.open(str(tmp_path / "left.zarr")))
    )
    assert found == expected


def test_an_import_does_not_bring_an_image_of_a_stack_back(tmp_path: Path) -> None:
    url, params = tmp_path / "ds.zarr", ImportParams(val_fraction=0.2)
    unetprep.prepare_store(url, IMAGES, LABELS, [FIXED, TILES], params)
    unetprep.remove(url, "05")
    before = tree(url / "stacks")
    assert unetprep.import_images(url, IMAGES, LABELS, params).shards_written == 0
    assert tree(url / "stacks") == before
    assert "05" not in Store.open(str(url)).names


def test_a_removed_image_with_arrays_of_its_own_may_be_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "FEWEST", 1000)
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    before = tree(url)
    unetprep.remove(url, "05")
    assert not (url / "images/05").exists()
    unetprep.import_images(url, IMAGES, LABELS)
    store = Store.open(str(url))
    assert store.names == [*(name for name in LABELS if name != "05"), "05"]
    after = tree(url)
    assert {k: v for k, v in after.items() if k != "images/zarr.json"} == {
        k: v for k, v in before.items() if k != "images/zarr.json"
    }


@pytest.mark.parametrize("names", [["03", "x"], ["x"]])
def test_an_unknown_image_is_refused_before_anything_is_changed(url: Path, names: list[str]) -> None:
    before = tree(url)
    with pytest.raises(InvalidInput, match="has no image 'x'"):
        unetprep.remove(url, names)
    assert tree(url) == before
    unetprep.remove(url, "03")
    with pytest.raises(InvalidInput, match="has no image '03'"):
        unetprep.remove(url, "03")


def test_nothing_is_removed_while_an_update_of_labels_is_not_finished(url: Path) -> None:
    Store.open(str(url)).update_record("images", relabelling=Journal({}, {}, None, balanced=False).as_record())
    before = tree(url)
    with pytest.raises(Conflict, match=r"an update of the labels of .* was stopped\n.*relabel"):
        unetprep.remove(url, "03")
    assert tree(url) == before


def test_removing_all_images_leaves_a_store_that_says_so(url: Path) -> None:
    unetprep.remove(url, list(LABELS))
    assert Store.open(str(url)).names == []
    for stage in (lambda: unetprep.weights(url, params=FIXED), lambda: unetprep.tiles(url, TILES)):
        with pytest.raises(InvalidInput, match="holds no images"):
            stage()


@pytest.mark.parametrize("done", [False, True])
def test_a_removal_that_is_killed_is_finished_by_repeating_it(
    url: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    names = ["03", "11"]
    shutil.copytree(url, tmp_path / "whole.zarr")
    count = count_writes(lambda: unetprep.remove(tmp_path / "whole.zarr", names))
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.1)  # the process lives on, so its lock looks alive
    for left in range(done, count, 3):
        again = tmp_path / f"{left}.zarr"
        shutil.copytree(url, again)
        with killed(left, done):
            unetprep.remove(again, names)
        there = [name for name in names if name in Store.open(str(again)).names]
        unetprep.remove(again, there or list(LABELS)[-1])
        if there:
            assert tree(again) == tree(tmp_path / "whole.zarr"), left


def test_a_lost_shard_can_be_written_again_after_a_removal(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    unetprep.remove(url, "05")
    before = tree(url)
    (url / "stacks/0/image/c/0/0/0/0").unlink()
    unetprep.import_images(url, IMAGES, LABELS)
    assert tree(url) == before


def test_images_can_be_added_to_labels_after_a_removal(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.weights(url, LABELS, FIXED)
    unetprep.remove(url, "05")
    unetprep.import_images(url, IMAGES, LABELS)
    assert unetprep.verify(url, workers=1).faults == ()
    assert "05" not in Store.open(str(url)).names


def test_changed_images_can_be_overwritten_after_a_removal(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    unetprep.remove(url, "05")
    unetprep.import_images(url, IMAGES | {"07": 255 - IMAGES["07"]}, LABELS, overwrite=True)
    assert unetprep.verify(url, workers=1).faults == ()
    assert "05" not in Store.open(str(url)).names
