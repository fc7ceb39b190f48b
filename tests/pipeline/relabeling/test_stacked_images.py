"""Edited images of a stack give, byte for byte, the store of the edited labels, and the other files are not needed."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unetprep
from tests.pipeline.conftest import tree
from tests.pipeline.engine.killing import count_writes, killed
from tests.pipeline.stages.test_stacks import IGNORED, files_of, labels_of, shape_of
from tests.synthetic import cell_labels
from unetprep import ImportParams, TilesParams, VerifyParams, WeightsParams
from unetprep.errors import Conflict, InvalidInput
from unetprep.format import layout
from unetprep.format.layout import FIRST_READING, KEY
from unetprep.relabeling.relabeler import Relabelled
from unetprep.storage import lock
from unetprep.store import Store

FIXED = WeightsParams(sigma=2.0, class_weights=(0.5, 2.0))
BALANCED = replace(FIXED, class_weights="balanced")
TILES = TilesParams(tile_px=60, depth=2, margin_px=8)
LABELS = labels_of(range(20))


@pytest.fixture(autouse=True)
def several_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four shards of five images each, and several of tiles."""
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 32, 32))
    monkeypatch.setattr(layout, "STACK_SHARD_PX", 12000)
    for name in ("TILES_A_SHARD", "VALUES_A_SHARD"):
        monkeypatch.setattr(f"unetprep.stages.tile_positions.{name}", 16)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no power cuts here, and thousands of small files
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.1)  # a killed process lives on, so its lock looks alive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of twenty images."""
    files_of(tmp_path, LABELS)
    return tmp_path


def make(folder: Path, name: str, params: ImportParams, stages: Sequence[Any]) -> Path:
    """A store of the files in a folder."""
    files = folder / "images", folder / "masks"
    unetprep.prepare_store(folder / name, *files, list(stages), params, workers=1)
    return folder / name


def edit(labels: np.ndarray) -> np.ndarray:
    """One cell less, one more, and one of another shape."""
    edited = labels.copy()
    edited[edited == np.unique(edited)[1]] = 0
    edited[-9:-4, -9:-4] = 500
    edited[12:15, 20:25] = labels[-1, 0] or 501
    return edited


def edit_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Edit the labels of some images; all other label files and all images go."""
    (folder / "edited").mkdir(exist_ok=True)
    for name in names:
        np.save(folder / "edited" / f"{name}.npy", edit(np.load(folder / "masks" / f"{name}.npy")))
    return [folder / "edited" / f"{name}.npy" for name in names]


def scratch(folder: Path, params: ImportParams, stages: Sequence[Any]) -> Path:
    """The store that the edited labels give."""
    for path in (folder / "edited").iterdir():
        shutil.copy(path, folder / "masks")
    return make(folder, "scratch.zarr", params, stages)


def equal(one: Path, two: Path) -> None:
    """Both stores have the same files, except for the cache of the first reading."""
    mine, other = (
        {key: data for key, data in tree(url).items() if not key.startswith(f"{FIRST_READING}/")} for url in (one, two)
    )
    assert sorted(mine) == sorted(other)
    assert [key for key in mine if mine[key] != other[key]] == []


def relabelled(url: Path, paths: Sequence[Path], *, keep: bool = False, image: str | None = None) -> Relabelled:
    return unetprep.relabel(url, paths, image=image, keep_class_weights=keep, workers=1)


# -- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "stages"),
    [
        (ImportParams(val_fraction=0.2), [FIXED, TILES]),
        (ImportParams(ignore_label=IGNORED), [FIXED, replace(TILES, instances=True)]),
        (ImportParams(instances="components", ignore_label=IGNORED), [FIXED, replace(TILES, stride_px=9)]),
        (ImportParams(instances="components", connectivity=4), [BALANCED, replace(TILES, index_only=True)]),
        (ImportParams(intensity="percentile", spacing=(0.5, 0.5), unit="micrometer"), [BALANCED, TILES]),
        (ImportParams(), [WeightsParams(formula="falk2019"), replace(TILES, random=7)]),
        (ImportParams(), [replace(FIXED, border_on="all", separate="symmetric", engine="edt")]),
        (ImportParams(), []),
    ],
)
@pytest.mark.parametrize("names", [["007"], ["001", "007", "008", "019"]])
def test_the_store_is_that_of_the_edited_labels(
    folder: Path, params: ImportParams, stages: list[Any], names: list[str]
) -> None:
    url = make(folder, "ds.zarr", params, stages)
    edited = edit_files(folder, names)
    for kind in ("images", "masks"):
        (folder / kind).rename(folder / f"{kind} that are gone")
    done = relabelled(url, edited)
    for kind in ("images", "masks"):
        (folder / f"{kind} that are gone").rename(folder / kind)
    equal(url, scratch(folder, params, stages))
    assert done.images == tuple(names)
    assert all(done.changed[name] for name in names)
    assert (done.class_weights is not None) == (BALANCED in stages)
    assert unetprep.verify(url, VerifyParams(all=True), workers=1).faults == ()
    before = tree(url)
    assert relabelled(url, edited).shards == {}
    assert tree(url) == before


def test_one_image_costs_one_shard_of_each_array(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [FIXED, TILES])
    before = {key: (url / key).stat().st_mtime_ns for key in tree(url)}
    done = relabelled(url, edit_files(folder, ["007"]))
    for kind in ("instances", "target", "weights"):
        assert (done.shards[kind].recomputed, done.shards[kind].kept) == (1, 3), kind
    assert done.shards["tiles"].recomputed < done.shards["tiles"].kept
    written = {key for key in before if "/c/" in key and (url / key).stat().st_mtime_ns != before[key]}
    assert {key for key in written if key.startswith("stacks/")} == {
        "stacks/0/labels/instances/instances/c/1/0/0",
        "stacks/0/labels/target/target/c/1/0/0",
        "stacks/0/labels/target/class_counts/c/1/0/0/0",
        "stacks/0/weights/c/1/0/0",
    }


def test_images_of_a_stack_and_one_with_arrays_of_its_own(folder: Path) -> None:
    large = cell_labels((70, 2100), 30, seed=5)
    np.save(folder / "masks/large.npy", large)
    np.save(folder / "images/large.npy", (large > 0).astype(np.uint8)[None])
    url = make(folder, "ds.zarr", ImportParams(), [BALANCED, TILES])
    assert Store.open(str(url)).groups == ["images/large", "stacks/0"]
    done = relabelled(url, edit_files(folder, ["large", "003", "012"]))
    equal(url, scratch(folder, ImportParams(), [BALANCED, TILES]))
    assert set(done.changed) == {"large", "003", "012"}


def test_images_of_two_stacks(folder: Path) -> None:
    def prepare(name: str) -> Path:
        images, masks = sorted((folder / "images").iterdir()), sorted((folder / "masks").iterdir())
        for some in (16, None):
            unetprep.import_images(folder / name, images[:some], masks[:some], workers=1)
        unetprep.prepare_store(folder / name, stages=[BALANCED, TILES], workers=1)
        return folder / name

    url = prepare("ds.zarr")
    assert Store.open(str(url)).groups == ["stacks/0", "stacks/1"]
    relabelled(url, edit_files(folder, ["003", "018"]))
    for path in (folder / "edited").iterdir():
        shutil.copy(path, folder / "masks")
    equal(url, prepare("scratch.zarr"))


def test_class_weights_may_be_kept(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [BALANCED, TILES])
    numbers = Store(str(url)).record("stacks/0/weights")["parameters"]["class_weights"]
    done = relabelled(url, edit_files(folder, ["007", "008"]), keep=True)
    assert done.class_weights is None
    assert done.shards["weights"].recomputed == 1
    equal(url, scratch(folder, ImportParams(), [replace(BALANCED, class_weights=tuple(numbers)), TILES]))


def test_cells_that_get_other_numbers_change_the_labels_alone(folder: Path) -> None:
    """The labels are other ones, so everything is recorded anew, but no weight changes."""
    url = make(folder, "ds.zarr", ImportParams(), [BALANCED, TILES])
    (folder / "edited").mkdir()
    labels = LABELS["004"].astype(np.uint16)
    np.save(folder / "edited/004.npy", np.where(labels == labels.max(), 60000, labels).astype(np.uint16))
    done = relabelled(url, [folder / "edited/004.npy"])
    assert done.class_weights is None
    equal(url, scratch(folder, ImportParams(), [BALANCED, TILES]))


def test_an_image_is_named_where_the_file_is_not(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [FIXED])
    np.save(folder / "by hand.npy", edit(LABELS["005"]))
    relabelled(url, [folder / "by hand.npy"], image="005")
    assert Store.open(str(url)).image_record("005")["source"] == ["005.npy", "by hand.npy"]
    table = Store.open(str(url)).record("stacks/0")["images"]
    assert [files[-1] for files in table["source"] if "by hand.npy" not in files] == [
        f"{name}.npy" for name in LABELS if name != "005"
    ]


def test_an_image_that_was_removed_is_left_out_and_others_are_edited(folder: Path) -> None:
    """Its labels balance nothing any more, and stay as they are."""
    url = make(folder, "ds.zarr", ImportParams(), [BALANCED])
    unetprep.remove(url, "006")
    with pytest.raises(InvalidInput, match="has no image '006'"):
        relabelled(url, edit_files(folder, ["006"]))
    (folder / "edited/006.npy").unlink()
    relabelled(url, edit_files(folder, ["007"]), keep=True)
    assert unetprep.verify(url, VerifyParams(all=True), workers=1).faults == ()
    labels = Store.open(str(url)).read_all("stacks/0/labels/instances/instances")
    for name, expected in (LABELS | {"007": edit(LABELS["007"])}).items():
        height, width = expected.shape
        np.testing.assert_array_equal(labels[int(name), :height, :width], expected)


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_nothing_is_touched(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [FIXED, TILES])
    before = tree(url)
    height, width = shape_of(7)
    for shape in ((height - 1, width), (height, width + 1), (63, 70), (width, height)):
        np.save(folder / "007.npy", cell_labels(shape, 5, seed=1))
        with pytest.raises(InvalidInput, match=rf"007.npy has \(1, {shape[0]}, {shape[1]}\) pixels"):
            relabelled(url, [folder / "007.npy"])
    np.save(folder / "x.npy", edit(LABELS["007"]))
    with pytest.raises(InvalidInput, match="has no image 'x'"):
        relabelled(url, [folder / "x.npy"])
    np.save(folder / "007.npy", (LABELS["007"] > 0).astype(np.uint8))
    with pytest.raises(InvalidInput, match="looks like a binary mask"):
        relabelled(url, [folder / "007.npy"])
    assert tree(url) == before


def test_a_stack_that_is_not_finished_is_refused(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [FIXED, TILES])
    edited, whole = edit_files(folder, ["007"]), tree(url)
    lost = "stacks/0/labels/instances/instances/c/2/0/0"
    (url / lost).unlink()
    with pytest.raises(InvalidInput, match=r"stacks/0/labels/instances/instances of .* lacks shards"):
        relabelled(url, edited)
    (url / lost).write_bytes(whole[lost])
    Store(str(url)).set_complete("stacks/0/weights", False)
    with pytest.raises(InvalidInput, match="stacks/0/weights is unfinished"):
        relabelled(url, edited)


# -- kills ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Path], dict[str, Path]]]:
    """A folder with edited files; by kind of class weights, the store to be edited, and that of the edited labels."""
    folder = tmp_path_factory.mktemp("kills")
    files_of(folder, LABELS)
    with pytest.MonkeyPatch.context() as patch:
        several_shards.__wrapped__(patch)  # type: ignore[attr-defined]
        stages = {"fixed": [FIXED, TILES], "balanced": [BALANCED, TILES]}
        old = {kind: make(folder, f"{kind}.zarr", ImportParams(), run) for kind, run in stages.items()}
        for path in edit_files(folder, ["002", "007", "008"]):
            shutil.copy(path, folder / "masks")
        new = {kind: make(folder, f"new {kind}.zarr", ImportParams(), run) for kind, run in stages.items()}
        yield folder, old, new


@pytest.mark.parametrize("kind", ["fixed", "balanced"])
@pytest.mark.parametrize("done", [False, True])
def test_killed_at_any_write_it_is_finished_by_repeating_it(
    started: tuple[Path, dict[str, Path], dict[str, Path]], tmp_path: Path, kind: str, done: bool
) -> None:
    folder, old, new = started
    edited = [folder / "edited" / f"{name}.npy" for name in ("002", "007", "008")]
    whole = Path(shutil.copytree(old[kind], tmp_path / "whole.zarr"))
    count = count_writes(lambda: relabelled(whole, edited))
    equal(whole, new[kind])
    assert count > 40
    for left in range(7 * done, count, 14):
        url = Path(shutil.copytree(old[kind], tmp_path / f"{left}.zarr"))
        with killed(left, done):
            relabelled(url, edited)
        assert not is_mixed(url, old[kind]), left
        relabelled(url, edited)
        equal(url, new[kind])
        shutil.rmtree(url)


def is_mixed(url: Path, before: Path) -> bool:
    """Whether some arrays that call themselves complete are the old ones, and some the new ones."""
    store, old = Store(str(url)), Store(str(before))
    labels = "stacks/0/labels"
    paths = ("tiles/image", "stacks/0/weights", f"{labels}/target/target", f"{labels}/instances/instances")
    complete = [path for path in paths if store.record(path)["complete"]]
    return len({store.record(path)["fingerprint"] == old.record(path)["fingerprint"] for path in complete}) > 1


@pytest.mark.parametrize("left", [6, 30])
@pytest.mark.parametrize("second", ["other labels", "the old labels", "more images", "kept class weights"])
def test_a_killed_run_may_be_followed_by_another_one(folder: Path, left: int, second: str) -> None:
    stages = [BALANCED, TILES]
    url = make(folder, "ds.zarr", ImportParams(), stages)
    numbers = Store(str(url)).record("stacks/0/weights")["parameters"]["class_weights"]
    with killed(left, done=False):
        relabelled(url, edit_files(folder, ["002", "007"]))
    with pytest.raises(Conflict, match=r"an update of the labels of 002, 007 of .* was stopped"):
        relabelled(url, edit_files(folder, ["012"]))
    (folder / "edited/012.npy").unlink()
    keep = second == "kept class weights"
    if keep:
        stages = [replace(BALANCED, class_weights=tuple(numbers)), TILES]
    elif second == "the old labels":
        shutil.copy(folder / "masks/007.npy", folder / "edited/007.npy")
    elif second == "more images":
        edit_files(folder, ["008", "019"])
    else:
        np.save(folder / "edited/007.npy", edit(edit(LABELS["007"])[::-1, ::-1]))
    relabelled(url, sorted((folder / "edited").iterdir()), keep=keep)
    equal(url, scratch(folder, ImportParams(), stages))


def test_a_removal_waits_for_an_edit_that_was_killed(folder: Path) -> None:
    url = make(folder, "ds.zarr", ImportParams(), [FIXED])
    with killed(8, done=True):
        relabelled(url, edit_files(folder, ["002"]))
    assert "relabelling" in Store.open(str(url)).record("images")
    assert KEY in (url / "images/zarr.json").read_text()
    with pytest.raises(Conflict, match="was stopped"):
        unetprep.remove(url, "003")
