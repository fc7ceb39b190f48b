"""An edited store is, byte for byte, the one that the edited labels would have given; and few shards are computed."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.pipeline.conftest import LOCAL, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format import layout
from unetprep.params import ImportParams, TilesParams, VerifyParams, WeightsParams
from unetprep.relabeling.relabeler import Relabelled, relabel
from unetprep.stages import STAGES
from unetprep.stages.tiles import plan_tiles
from unetprep.storage.local import LocalStorage
from unetprep.store import Store
from unetprep.verification import verify

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)
FIXED = {"class_weights": (0.5, 2)}

Labels = np.ndarray
Edit = Callable[[Labels], None]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 32, 48))
    monkeypatch.setitem(layout.PIXEL_CHUNK, 3, (2, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 3, (4, 32, 32))
    monkeypatch.setattr("unetprep.stages.tile_positions.TILES_A_SHARD", 8)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no power cuts here, and thousands of small files


def files(folder: Path, labels: dict[str, Labels], with_images: bool = True) -> Path:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for seed, (name, values) in enumerate(labels.items()):
        tifffile.imwrite(folder / "masks" / f"{name}.tif", values, photometric="minisblack")
        if with_images:  # the same whatever the labels are
            shape = values.shape
            image = cell_image(np.zeros(shape[-2:], np.uint16), seed=seed)
            tifffile.imwrite(folder / "images" / f"{name}.tif", np.broadcast_to(image, shape), photometric="minisblack")
    return folder


def make(folder: Path, url: Path, params: ImportParams, options: Mapping[str, object], tiles: bool = True) -> Path:
    import_images(str(url), [str(folder / "images")] if tiles else [], [str(folder / "masks")], params, LOCAL)
    run_stage(Store.open(str(url)), STAGES["weights"], WeightsParams(**options), LOCAL)  # type: ignore[arg-type]
    if tiles:
        run_stage(Store.open(str(url)), STAGES["tiles"], TILES, LOCAL)
    return url


def equal(one: Path, two: Path) -> None:
    mine, other = tree(one), tree(two)
    assert sorted(mine) == sorted(other)
    assert [key for key in mine if mine[key] != other[key]] == []


def relabelled(url: Path, *paths: Path, image: str | None = None, keep: bool = False) -> Relabelled:
    return relabel(str(url), [str(path) for path in paths], LOCAL, image=image, keep_class_weights=keep)


def flat() -> dict[str, Labels]:
    return {"a": cell_labels((160, 240), 50, seed=1), "b": cell_labels((61, 47), 8, seed=2)}


def move(labels: Labels) -> None:
    cell = labels == labels[labels > 0][0]
    labels[cell] = 0
    labels[np.roll(cell, 2, axis=1) & (labels == 0)] = 1


def delete(labels: Labels) -> None:
    labels[labels == np.unique(labels)[7]] = 0


def add(labels: Labels) -> None:
    labels[50:58, 100:109] = labels.max() + 1


def at_an_edge(labels: Labels) -> None:
    labels[10, 47] = labels[10, 47] + 60


def at_a_corner(labels: Labels) -> None:
    labels[64, 96] = labels[64, 96] + 60


def at_the_border(labels: Labels) -> None:
    labels[-1, -1] = 77


@pytest.mark.parametrize("edit", [move, delete, add, at_an_edge, at_a_corner, at_the_border])
def test_an_edit_costs_few_shards_and_gives_the_store_of_the_edited_labels(tmp_path: Path, edit: Edit) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(val_fraction=0.3), FIXED)
    edit(labels["a"])
    edited = files(tmp_path / "new", labels)
    scratch = make(edited, tmp_path / "scratch.zarr", ImportParams(val_fraction=0.3), FIXED)
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, scratch)
    assert done.images == ("a",)
    assert done.class_weights is None
    assert 1 <= done.shards["instances"].recomputed <= 4 < done.shards["instances"].kept
    for kind in ("target", "weights"):
        assert 1 <= done.shards[kind].recomputed < done.shards[kind].kept, kind
    assert done.shards["tiles"].recomputed > 0 < done.shards["tiles"].kept
    assert verify(str(url), VerifyParams(samples=1)).faults == ()
    before = tree(url)
    assert relabelled(url, edited / "masks/a.tif").shards == {}
    assert tree(url) == before


@pytest.mark.parametrize("how", [{"instances": True}, {"stride_px": 7}, {"random": 300, "seed": 1}])
def test_tiles_of_other_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    monkeypatch.setattr("tests.pipeline.relabeling.test_relabeler.TILES", replace(TILES, **how))
    labels, options = flat(), {"sigma": 2.0, **FIXED}
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), options)
    at_an_edge(labels["a"])
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), options))
    assert done.shards["tiles"].recomputed > 0 < done.shards["tiles"].kept
    assert verify(str(url), VerifyParams(all=True)).faults == ()


@pytest.mark.parametrize(
    "options",
    [
        {"formula": "falk2019"},
        {"border_on": "all", "separate": "symmetric", "engine": "edt", **FIXED},
        {"separate": "none", "spacing": (2, 0.5), **FIXED},
    ],
)
def test_whatever_the_weights_were_made_with(tmp_path: Path, options: dict[str, str]) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), options, tiles=False)
    move(labels["a"])
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), options, tiles=False))
    assert done.shards["weights"].kept > 5


def test_balanced_class_weights_follow_the_labels_or_are_kept(tmp_path: Path) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), {})
    kept = Path(shutil.copytree(url, tmp_path / "kept.zarr"))
    numbers = Store(str(url)).record("images/a/weights")["parameters"]["class_weights"]
    delete(labels["a"])
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), {}))
    assert done.class_weights
    assert done.class_weights[0] == numbers != done.class_weights[1]
    assert done.shards["weights"].kept == done.shards["tiles"].kept == 0
    assert done.shards["target"].kept > 5
    done = relabelled(kept, edited / "masks/a.tif", keep=True)
    given = {"class_weights": tuple(numbers)}
    equal(kept, make(edited, tmp_path / "given.zarr", ImportParams(), given))
    assert done.class_weights is None
    assert done.shards["weights"].kept > 5


def test_an_edit_that_leaves_the_balance_as_it_is_costs_no_more(tmp_path: Path) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), {})
    labels["a"][labels["a"] == 5] = 99
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), {}))
    assert done.class_weights is None
    assert done.shards["weights"].kept > 5


def test_several_images_at_once(tmp_path: Path) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), {})
    delete(labels["a"])
    at_an_edge_of_b = labels["b"]
    at_an_edge_of_b[31:33, 5] = 60
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/a.tif", edited / "masks/b.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), {}))
    assert set(done.changed) == {"a", "b"}


def test_connected_pieces_may_change_their_names_far_away(tmp_path: Path) -> None:
    params = ImportParams(instances="components", connectivity=8, ignore_label=255)
    masks = {name: (values > 0).astype(np.uint8) for name, values in flat().items()}
    masks["a"][100:110, 30:40] = 255
    url = make(files(tmp_path / "old", masks), tmp_path / "ds.zarr", params, FIXED)
    masks["a"][40, :30] = 1
    edited = files(tmp_path / "new", masks)
    relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", params, FIXED))


@pytest.mark.parametrize("dims", [2, 3])
def test_stacks_and_volumes(tmp_path: Path, dims: int) -> None:
    params = ImportParams(dims=dims)
    stack = np.stack([cell_labels((100, 110), 9, seed, radius=8) for seed in range(9)]).astype(np.uint16)
    options = {"spacing": (4, 1, 1), **FIXED} if dims == 3 else FIXED
    url = make(files(tmp_path / "old", {"a": stack}), tmp_path / "ds.zarr", params, options)
    stack[4, 31:33, 60:70] = 50
    edited = files(tmp_path / "new", {"a": stack})
    done = relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", params, options))
    for kind in ("target", "weights"):
        assert done.shards[kind].kept >= done.shards[kind].recomputed > 0


def test_a_single_image_that_was_cut_into_strips(tmp_path: Path) -> None:
    params = ImportParams(val_fraction=0.2, test_fraction=0.2)
    labels = {"x": flat()["a"]}
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", params, {})
    assert Store(str(url)).names == ["x-train", "x-val", "x-test"]
    labels["x"][50:60, 140:150] = 90
    edited = files(tmp_path / "new", labels)
    done = relabelled(url, edited / "masks/x.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", params, {}))
    assert [n for n, px in done.changed.items() if px] == ["x-train", "x-val"]


def test_labels_alone_that_were_never_weighed(tmp_path: Path) -> None:
    labels = flat()
    old, new = files(tmp_path / "old", labels, with_images=False), tmp_path / "new"
    import_images(str(tmp_path / "ds.zarr"), [], [str(old / "masks")], ImportParams(), LOCAL)
    delete(labels["a"])
    edited = files(new, labels, with_images=False)
    relabelled(tmp_path / "ds.zarr", edited / "masks/a.tif")
    import_images(str(tmp_path / "scratch.zarr"), [], [str(edited / "masks")], ImportParams(), LOCAL)
    equal(tmp_path / "ds.zarr", tmp_path / "scratch.zarr")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Kill:
    """Makes a folder raise at the write of some number, counting those that change anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.count = 0
        for name in ("put", "delete"):
            self._watch(monkeypatch, name, getattr(LocalStorage, name))

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, real: Callable[..., None]) -> None:
        def counting(folder: LocalStorage, key: str, *data: bytes) -> None:
            if key != ".lock":
                self.count += 1
                if self.left == 0:
                    raise Killed
                self.left -= 1
            real(folder, key, *data)

        monkeypatch.setattr(LocalStorage, name, counting)


@pytest.mark.parametrize("balanced", [False, True])
def test_killed_at_any_write_it_is_finished_by_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balanced: bool
) -> None:
    options = {} if balanced else FIXED
    labels = {"a": cell_labels((60, 90), 12, seed=1), "b": cell_labels((30, 40), 4, seed=2)}
    start = make(files(tmp_path / "old", labels), tmp_path / "start.zarr", ImportParams(), options)
    labels["a"][20:24, 20:30] = 40
    edited = files(tmp_path / "new", labels)
    scratch = make(edited, tmp_path / "scratch.zarr", ImportParams(), options)
    kill, url, k = Kill(monkeypatch), tmp_path / "ds.zarr", 0
    while True:
        shutil.copytree(start, url)
        kill.left = k
        try:
            relabelled(url, edited / "masks/a.tif")
        except Killed:
            kill.left = -1
            assert not is_mixed(url)
        else:
            break
        relabelled(url, edited / "masks/a.tif")
        equal(url, scratch)
        shutil.rmtree(url)
        k += 9 if balanced else 7
    equal(url, scratch)
    assert k > 50


def is_mixed(url: Path) -> bool:
    """Whether some arrays that call themselves complete are the old ones, and some the new ones."""
    store, old = Store(str(url)), Store(str(url.parent / "start.zarr"))
    paths = ("tiles/image", "images/a/weights", "images/a/labels/target/target", "images/a/labels/instances/instances")
    complete = [path for path in paths if store.record(path)["complete"]]
    return len({store.record(path)["fingerprint"] == old.record(path)["fingerprint"] for path in complete}) > 1


def test_killed_while_it_was_killed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"a": cell_labels((60, 90), 12, seed=1)}
    start = make(files(tmp_path / "old", labels), tmp_path / "start.zarr", ImportParams(), {})
    labels["a"][20:24, 20:30] = 40
    edited = files(tmp_path / "new", labels)
    scratch = make(edited, tmp_path / "scratch.zarr", ImportParams(), {})
    kill, url = Kill(monkeypatch), tmp_path / "ds.zarr"
    shutil.copytree(start, url)
    rounds = 0
    while rounds < 200:
        kill.left = 5 + rounds % 20  # what is begun again takes a write for each array of the tiles
        try:
            relabelled(url, edited / "masks/a.tif")
            break
        except Killed:
            rounds += 1
    assert 3 < rounds < 200
    equal(url, scratch)


@pytest.mark.parametrize("survived", [3, 20, 40])
@pytest.mark.parametrize("second", ["other labels", "the old labels", "kept class weights"])
def test_a_killed_run_may_be_followed_by_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int, second: str
) -> None:
    labels = {"a": cell_labels((60, 90), 12, seed=1), "b": cell_labels((30, 40), 4, seed=2)}
    old = files(tmp_path / "old", labels)
    url = make(old, tmp_path / "ds.zarr", ImportParams(), {})
    numbers = Store(str(url)).record("images/a/weights")["parameters"]["class_weights"]
    labels["a"][20:24, 20:30] = 40
    edited = files(tmp_path / "new", labels)
    kill = Kill(monkeypatch)
    kill.left = survived
    with pytest.raises(Killed):
        relabelled(url, edited / "masks/a.tif")
    kill.left = -1
    if second == "other labels":
        labels["a"][50:55, 2:9] = 41
        edited = files(tmp_path / "third", labels)
    if second == "the old labels":
        edited = old
    options = {"class_weights": tuple(numbers)} if second == "kept class weights" else {}
    relabelled(url, edited / "masks/a.tif", keep=bool(options))
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), options))


def test_tiles_of_an_edit_that_was_given_up_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when most tiles had the new class weights; the old labels come back, and with them the old numbers."""
    labels = {**flat(), "c": cell_labels((100, 120), 20, seed=3)}
    old = files(tmp_path / "old", labels)
    url = make(old, tmp_path / "ds.zarr", ImportParams(), {})
    whole, kill = tree(url), Kill(monkeypatch)
    copy = Path(shutil.copytree(url, tmp_path / "copy.zarr"))
    delete(labels["a"])
    edited = files(tmp_path / "new", labels)
    kill.count = 0
    relabelled(copy, edited / "masks/a.tif")
    kill.left = kill.count - 20
    with pytest.raises(Killed):
        relabelled(url, edited / "masks/a.tif")
    kill.left = -1
    assert not Store(str(url)).record("tiles/image")["complete"]
    assert Store(str(url)).written("tiles/image").sum() > 3
    relabelled(url, old / "masks/a.tif")
    assert tree(url) == whole


def test_what_is_half_done_refuses_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"a": cell_labels((60, 90), 12, seed=1), "b": cell_labels((30, 40), 4, seed=2)}
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    for name in labels:
        labels[name][20:24, 20:30] = 40
    edited = files(tmp_path / "new", labels)
    kill = Kill(monkeypatch)
    kill.left = 20
    with pytest.raises(Killed):
        relabelled(url, edited / "masks/a.tif")
    kill.left = -1
    with pytest.raises(Conflict, match=r"an update of the labels of a of .* was stopped"):
        relabelled(url, edited / "masks/b.tif")
    relabelled(url, edited / "masks/a.tif", edited / "masks/b.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), FIXED))


def test_what_does_not_fit_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    before = tree(url)
    new = files(tmp_path / "new", {"a": labels["a"][:90], "c": labels["a"]})
    with pytest.raises(InvalidInput, match=r"a.tif has \(1, 90, 240\) pixels \(z, y, x\), and a \(1, 160, 240\)"):
        relabelled(url, new / "masks/a.tif")
    with pytest.raises(InvalidInput, match=r"has no image 'c'\n  allowed: a, b"):
        relabelled(url, new / "masks/c.tif")
    with pytest.raises(InvalidInput, match="has no image 'd'"):
        relabelled(url, new / "masks/c.tif", image="d")
    with pytest.raises(InvalidInput, match=r"hold labels for one image twice: \['a', 'a'\]"):
        relabelled(url, new / "masks/c.tif", new / "masks/c.tif", image="a")
    mask = files(tmp_path / "mask", {"a": (labels["a"] > 0).astype(np.uint8)})
    with pytest.raises(InvalidInput, match="looks like a binary mask"):
        relabelled(url, mask / "masks/a.tif")
    with pytest.raises(InvalidInput, match=r"none\.zarr is not there"):
        relabelled(tmp_path / "none.zarr", mask / "masks/a.tif")
    assert tree(url) == before
    Store(str(url)).set_complete("images/b/weights", False)
    labels["a"][3, 3] += 1
    edited = files(tmp_path / "edited", labels)
    with pytest.raises(InvalidInput, match="images/b/weights is unfinished"):
        relabelled(url, edited / "masks/a.tif")


def test_an_image_is_named_where_the_file_is_not(tmp_path: Path) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    delete(labels["a"])
    tifffile.imwrite(tmp_path / "by hand.tif", labels["a"])
    relabelled(url, tmp_path / "by hand.tif", image="a")
    assert Store(str(url)).record("images/a")["source"] == ["a.tif", "by hand.tif"]


def test_virtual_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.pipeline.relabeling.test_relabeler.TILES", replace(TILES, index_only=True))
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    before = Store(str(url)).read_all("tiles/foreground")
    at_an_edge(labels["a"])
    edited = files(tmp_path / "new", labels)
    relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), FIXED))
    assert 1 <= (Store(str(url)).read_all("tiles/foreground") != before).sum() < len(before)


def test_tiles_of_far_corners_see_each_other_in_the_mirror(tmp_path: Path) -> None:
    """An image smaller than a tile: every tile sees all of it."""
    labels = {"a": cell_labels((12, 15), 2, seed=1, radius=3)}
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    labels["a"][11, 14] = 9
    edited = files(tmp_path / "new", labels)
    relabelled(url, edited / "masks/a.tif")
    equal(url, make(edited, tmp_path / "scratch.zarr", ImportParams(), FIXED))
    (job,) = plan_tiles(Store(str(url)), TILES)
    assert job.num_shards[0] == 1


@pytest.mark.parametrize("name", ["a_mask", "a_cp_masks", "mask_a", "a"])
def test_labels_are_matched_by_the_names_that_an_import_knows(tmp_path: Path, name: str) -> None:
    labels = flat()
    url = make(files(tmp_path / "old", labels), tmp_path / "ds.zarr", ImportParams(), FIXED)
    delete(labels["a"])
    tifffile.imwrite(tmp_path / f"{name}.tif", labels["a"])
    assert relabelled(url, tmp_path / f"{name}.tif").images == ("a",)
