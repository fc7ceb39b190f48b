"""Images in a stack have the values that they have in arrays of their own, however the stack is stored and computed."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray

import unetprep
from tests.pipeline.conftest import save, tree
from tests.pipeline.engine.killing import count_writes, kill_and_repeat
from tests.pipeline.stages.test_blocks import check
from tests.synthetic import cell_image, cell_labels
from unetprep import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.estimate import forecaster
from unetprep.estimate.sampled_scan import SampledScan
from unetprep.format import layout
from unetprep.format.boxes import shard_box, shard_counts
from unetprep.format.layout import FIRST_READING, KEY, counts_path, labels_path, pixels_path, weights_path
from unetprep.parameter import Params
from unetprep.stages import STAGES, stacks
from unetprep.stages.importing import plan_import
from unetprep.store import Store

Arrays = dict[str, np.ndarray]
TILES = TilesParams(tile_px=60, depth=2, margin_px=8)
WEIGHTS = WeightsParams(sigma=2.0)  # cells matter up to 13 pixels away, so tiles may keep instances
IGNORED = 999


def shape_of(k: int) -> tuple[int, int]:
    """Sides of image k: all differ, none is a multiple of a chunk."""
    return 21 + 7 * (k % 6), 70 - 3 * (k % 17)


def labels_of(numbers: range) -> Arrays:
    """Labels by name; each image has a region that is ignored, on request, and some have no other cell than that."""
    found = {}
    for k in numbers:
        labels = cell_labels(shape_of(k), 8 if k % 7 else 1, seed=k, radius=6)
        labels[2:6, 3:9] = IGNORED
        found[f"{k:03}"] = labels
    return found


def images_of(labels: Arrays, channels: int = 1, dtype: str = "uint8") -> Arrays:
    """Images (c, y, x) of these labels."""
    return {
        name: np.stack([cell_image(np.minimum(of_image, 50), seed=c) for c in range(channels)]).astype(dtype)
        for name, of_image in labels.items()
    }


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks in each image, three or four images in each shard."""
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 32, 32))
    monkeypatch.setattr(layout, "STACK_SHARD_PX", 7000)


def alone(monkeypatch: pytest.MonkeyPatch, make: Callable[[], object]) -> None:
    """Make a store in which each image has arrays of its own."""
    with monkeypatch.context() as patch:
        patch.setattr(stacks, "FEWEST", 1000)
        make()


def values(store: Store, name: str) -> Arrays:
    """Pixels, labels, target and weights of an image, and how many pixels of each class it has."""
    place = store.place(name)
    group = place.group
    arrays = {}
    for key, path in {
        "image": pixels_path(group),
        "instances": labels_path(group, "instances"),
        "target": labels_path(group, "target"),
        "weights": weights_path(group),
    }.items():
        if store.record(path):
            shape = store.shards(path).shape
            box = tuple(slice(0, n) for n in (*shape[:-3], *place.shape(shape)))
            arrays[key] = store.read(path, place.box(box))
    if store.record(counts_path(group)):
        counts = store.read_all(counts_path(group))
        arrays["counts"] = (counts if place.index is None else counts[place.index]).reshape(-1, 2).sum(axis=0)
    return arrays


def assert_equal(one: Store, other: Store) -> None:
    """Both stores have the same images, and the same values of each."""
    assert one.names == other.names
    for name in one.names:
        expected, found = values(one, name), values(other, name)
        assert expected.keys() == found.keys()
        for key in expected:
            assert expected[key].dtype == found[key].dtype
            np.testing.assert_array_equal(found[key], expected[key], err_msg=f"{key} of {name}")
        of_expected, of_found = one.image_record(name), other.image_record(name)
        assert of_found == of_expected


def tile_values(store: Store) -> Arrays:
    """Every array of the tiles."""
    group = xarray.open_zarr(store.url, group="tiles", consolidated=False)
    return {str(name): array.to_numpy() for name, array in group.variables.items()}


STAGES_RUN: list[Params] = [WEIGHTS, replace(TILES, instances=True)]
LABELS = labels_of(range(20))
IMAGES = images_of(LABELS)


def both(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    params: ImportParams | None = None,
    stages: list[Params] | None = None,
    images: Arrays | None = None,
) -> tuple[Store, Store]:
    """A store of twenty images with arrays of their own, and one that has them in a stack."""

    def make(name: str) -> None:
        given = IMAGES if images is None else images
        unetprep.prepare_store(folder / name, given, LABELS, STAGES_RUN if stages is None else stages, params)

    alone(monkeypatch, lambda: make("alone.zarr"))
    make("stack.zarr")
    stores = Store.open(str(folder / "alone.zarr")), Store.open(str(folder / "stack.zarr"))
    assert [len(store.groups) for store in stores] == [20, 1]
    return stores


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunk", "shard_px", "images_a_shard"),
    [(256, 2**25, 20), (32, 2**25, 20), (32, 20000, 10), (32, 7000, 4), (32, 1, 1)],
)
def test_images_of_a_stack_have_the_values_of_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, shard_px: int, images_a_shard: int
) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, chunk, chunk))
    monkeypatch.setattr(layout, "STACK_SHARD_PX", shard_px)
    one, other = both(tmp_path, monkeypatch)
    assert_equal(one, other)
    shards = other.shards("stacks/0/weights")
    assert shards.chunk == (1, *(min(chunk, n) for n in (64, 80)))
    assert shards.shard[0] == images_a_shard
    expected, found = tile_values(one), tile_values(other)
    assert "instances" in found
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize(
    "params",
    [
        {"ignore_label": IGNORED},
        {"instances": "components"},
        {"instances": "components", "connectivity": 4, "ignore_label": IGNORED},
        {"instances": "pieces", "connectivity": 8},
        {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 3},
        {"intensity": "percentile", "spacing": (1.0, 0.5, 0.5), "unit": "micrometer"},
    ],
)
def test_the_parameters_of_an_import_mean_the_same_in_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None, params: dict[str, object]
) -> None:
    one, other = both(tmp_path, monkeypatch, ImportParams(**params), [WEIGHTS])  # type: ignore[arg-type]
    assert_equal(one, other)
    if "ignore_label" in params:
        assert (values(other, "003")["instances"][0, 2:6, 3:9] == -1).all()
        assert (values(other, "003")["weights"][0, 2:6, 3:9] == 0).all()
    if "val_fraction" in params:
        assert {other.image_record(name)["split"] for name in other.names} == {"train", "val", "test"}


@pytest.mark.parametrize(
    "params",
    [
        WeightsParams(),
        WeightsParams(engine="edt", separate="symmetric"),
        WeightsParams(formula="falk2019"),
        WeightsParams(class_weights=(1, 3), border_on="all"),
    ],
)
def test_weight_maps_of_a_stack_are_those_of_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None, params: WeightsParams
) -> None:
    assert_equal(*both(tmp_path, monkeypatch, ImportParams(ignore_label=IGNORED), [params]))


@pytest.mark.parametrize(
    "params",
    [
        replace(TILES, index_only=True),
        replace(TILES, stride_px=9),
        replace(TILES, random=5, seed=2, codec="zstd"),
    ],
)
def test_tiles_of_a_stack_are_those_of_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None, params: TilesParams
) -> None:
    imported = ImportParams(ignore_label=IGNORED, val_fraction=0.2, axes="cyx")
    one, other = both(tmp_path, monkeypatch, imported, [WEIGHTS, params], images_of(LABELS, channels=2))
    expected, found = tile_values(one), tile_values(other)
    assert expected.keys() == found.keys() >= {"foreground", "density", "z", "split"}
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_images_of_a_kind_share_a_stack_and_others_are_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    labels = labels_of(range(40))
    images = images_of(labels)
    for name in list(images)[:18]:
        images[name] = images[name].astype(np.uint16)
    for name in list(images)[18:20]:
        images[name] = images[name].astype(np.float32)
    monkeypatch.setattr(stacks, "LARGEST_SIDE", 69)
    images["large"], labels["large"] = (
        np.pad(images["039"], ((0, 0), (0, 50), (0, 0))),
        np.pad(labels["039"], ((0, 50), (0, 0))),
    )
    unetprep.prepare_store(tmp_path / "ds.zarr", images, labels, [WEIGHTS, TILES])
    store = Store.open(str(tmp_path / "ds.zarr"))
    alone_there = [name for name in store.names if store.place(name).index is None]
    wide = {name for name in images if max(images[name].shape) > 69}
    assert set(alone_there) == {*wide, "018", "019"}
    kinds = {store.shards(pixels_path(group)).dtype.name for group in store.groups if group.startswith("stacks/")}
    assert kinds == {"uint8", "uint16"}
    for name in images:
        np.testing.assert_array_equal(values(store, name)["image"][:, 0], images[name])
        np.testing.assert_array_equal(values(store, name)["instances"][0], labels[name])


def test_padding_is_zero_and_takes_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    unetprep.prepare_store(tmp_path / "ds.zarr", IMAGES, LABELS, [WEIGHTS])
    store = Store.open(str(tmp_path / "ds.zarr"))
    sizes = store.sizes("stacks/0")
    assert sizes is not None
    assert sizes.tolist() == [list(shape_of(k)) for k in range(20)]
    for path in ("image", "weights", "labels/instances/instances", "labels/target/target"):
        whole = store.read_all(f"stacks/0/{path}")
        for k, (height, width) in enumerate(sizes):
            assert not whole[..., k, height:, :].any()
            assert not whole[..., k, :, width:].any()
        shards = store.shards(f"stacks/0/{path}")
        counts = shard_counts(shards.shape, shards.shard)
        keys = [shards.key_of(shard_box(index, shards.shape, shards.shard)) for index in product(*map(range, counts))]
        chunks = [list(shards.chunks_of(store.storage.get(f"stacks/0/{path}/{key}"))) for key in keys]
        assert sum(map(len, chunks)) == np.prod(-(-sizes // 32), axis=1).sum()


def test_images_may_be_added_to_labels_that_are_there(tmp_path: Path, small_chunks: None) -> None:
    """Image and labels of one name have one path, "array NAME": their pixels are not exchanged."""
    unetprep.weights(tmp_path / "ds.zarr", LABELS, WEIGHTS)
    unetprep.import_images(tmp_path / "ds.zarr", IMAGES, LABELS)
    store = Store.open(str(tmp_path / "ds.zarr"))
    for name in IMAGES:
        np.testing.assert_array_equal(values(store, name)["image"][:, 0], IMAGES[name])
        np.testing.assert_array_equal(values(store, name)["instances"][0], LABELS[name])


# -- memory and blocks ------------------------------------------------------------------------------------------------


def test_every_stage_writes_the_same_bytes_of_a_stack_in_any_blocks(tmp_path: Path, small_chunks: None) -> None:
    store = Store.open_or_create(str(tmp_path / "ds.zarr"))
    images, masks = map(str, files_of(tmp_path, LABELS))
    planned = plan_import([images], [masks], ImportParams(ignore_label=IGNORED, instances="components"))
    store.add_groups(planned.groups)
    assert check(store, list(planned.jobs)) >= 2 * 20
    for name, params in (("weights", WEIGHTS), ("tiles", replace(TILES, instances=True))):
        for step in STAGES[name].steps:
            assert check(store, list(step(store, params)))


@pytest.mark.parametrize("scheduler", ["local", "processes"])
def test_a_bounded_run_writes_the_same_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None, scheduler: str
) -> None:
    files = files_of(tmp_path, LABELS)
    unetprep.prepare_store(tmp_path / "free.zarr", *files, STAGES_RUN)
    blocks = []
    if scheduler == "local":
        from unetprep.stages.base import Job

        def smallest(self: Job, room_bytes: float) -> Job:
            blocks.append(min(self.block_shapes()))
            return replace(self, block=blocks[-1])

        monkeypatch.setattr(Job, "within", smallest)
    unetprep.prepare_store(tmp_path / "bounded.zarr", *files, STAGES_RUN, scheduler=scheduler, workers=2, memory="1GiB")
    assert tree(tmp_path / "bounded.zarr") == tree(tmp_path / "free.zarr")
    assert {block[-3] for block in blocks if len(block) == 3} <= {1}


# -- other software ---------------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, small_chunks: None) -> Store:
    """A store of one stack and its tiles, each of several shards."""
    unetprep.prepare_store(tmp_path / "ds.zarr", IMAGES, LABELS, [WEIGHTS, replace(TILES, stride_px=9)])
    return Store.open(str(tmp_path / "ds.zarr"))


def test_zarr_reads_every_array_of_a_stack_as_we_do(prepared: Store) -> None:
    paths = [str(p.parent.relative_to(prepared.url)) for p in Path(prepared.url).rglob("zarr.json")]
    arrays = [path for path in paths if path.startswith("stacks/") and "fingerprint" in prepared.record(path)]
    assert len(arrays) == 5
    for path in arrays:
        np.testing.assert_array_equal(np.asarray(prepared.array(path)[:]), prepared.read_all(path))


@pytest.mark.parametrize(("group", "axis"), [("stacks/0", "z"), ("tiles", "tile")])
def test_xarray_and_dask_work_with_stacks_and_tiles(prepared: Store, tmp_path: Path, group: str, axis: str) -> None:
    """By whole shards, as every array of the group has the same ones along its first axis."""
    shards = prepared.shards(f"{group}/weights")
    assert shards.shard[0] < shards.shape[0]
    chunks = {axis: shards.shard[0], "y": -1, "x": -1}
    opened = xarray.open_zarr(prepared.url, group=group, consolidated=False, chunks=chunks)
    for name in ("image", "weights"):
        one, expected = opened[name], prepared.read_all(f"{group}/{name}")
        assert one.chunksizes[axis][0] == shards.shard[0]
        assert len(one.chunksizes[axis]) == -(-shards.shape[0] // shards.shard[0])
        np.testing.assert_array_equal(one.map_blocks(lambda block: block * 2, template=one), expected * 2)
    opened.to_zarr(tmp_path / "copy.zarr", consolidated=False)
    again = xarray.open_zarr(tmp_path / "copy.zarr", consolidated=False)
    for name in opened.variables:
        np.testing.assert_array_equal(again[name].to_numpy(), opened[name].to_numpy())


def test_the_table_of_a_stack_names_its_slices(prepared: Store) -> None:
    opened = xarray.open_zarr(prepared.url, group="stacks/0", consolidated=False)
    table = opened.attrs[KEY]["images"]
    k = table["names"].index("007")
    height, width = table["sizes"][k]
    np.testing.assert_array_equal(opened["image"][:, k, :height, :width].to_numpy(), IMAGES["007"])


# -- additions and changes --------------------------------------------------------------------------------------------


def test_more_images_make_another_stack_and_leave_the_first_as_it_is(tmp_path: Path, small_chunks: None) -> None:
    url, labels = tmp_path / "ds.zarr", labels_of(range(40))
    images, params = images_of(labels), ImportParams(val_fraction=0.2, seed=3)
    unetprep.prepare_store(url, IMAGES, LABELS, STAGES_RUN, params)
    first = tree(url / "stacks/0")
    splits = {name: Store.open(str(url)).image_record(name)["split"] for name in LABELS}
    added = unetprep.import_images(url, images, labels, params)
    assert tree(url / "stacks/0") == first
    store = Store.open(str(url))
    assert store.groups == ["stacks/0", "stacks/1"]
    assert store.names == list(labels)
    assert {name: store.image_record(name)["split"] for name in LABELS} == splits
    assert sum(store.image_record(name)["split"] == "val" for name in labels) == 8
    assert added.shards_written == store.written("stacks/1/image").size * 2
    assert unetprep.import_images(url, images, labels, params).shards_written == 0
    for name in labels:
        np.testing.assert_array_equal(values(store, name)["image"][:, 0], images[name])
    fixed = replace(WEIGHTS, class_weights=(1, 2))
    unetprep.prepare_store(url, stages=[fixed, TILES], overwrite=True)
    assert {int(n) for n in store.read_all("tiles/image_index")} == set(range(40))


def test_new_images_alone_are_added(tmp_path: Path, small_chunks: None) -> None:
    """A later import may name only the new images; they make another stack."""
    url, labels = tmp_path / "ds.zarr", labels_of(range(23))
    new = {name: labels[name] for name in list(labels)[20:]}
    unetprep.prepare_store(url, IMAGES, LABELS, [WEIGHTS])
    first = tree(url / "stacks/0")
    unetprep.import_images(url, images_of(new), new)
    store = Store.open(str(url))
    assert store.groups == ["stacks/0", "stacks/1"]
    assert tree(url / "stacks/0") == first
    assert len(store.names) == 23


def test_some_images_of_a_stack_may_be_imported_again(tmp_path: Path, small_chunks: None) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    before = tree(url)
    some = list(LABELS)[3:9]
    again = unetprep.import_images(url, {n: IMAGES[n] for n in some}, {n: LABELS[n] for n in some})
    assert again.shards_written == 0
    assert tree(url) == before
    (url / "stacks/0/image/c/0/0/0/0").unlink()
    with pytest.raises(Failure, match=r"slice 0 of stacks/0/image has to be written again.*\n.*all files"):
        unetprep.import_images(url, {n: IMAGES[n] for n in some}, {n: LABELS[n] for n in some})
    unetprep.import_images(url, IMAGES, LABELS)
    assert tree(url) == before


@pytest.mark.parametrize("kind", ["image", "labels", "size"])
def test_a_changed_image_is_refused_by_name_and_nothing_changes(tmp_path: Path, small_chunks: None, kind: str) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.prepare_store(url, IMAGES, LABELS, STAGES_RUN)
    before = tree(url)
    images, labels = dict(IMAGES), dict(LABELS)
    if kind == "image":
        images["007"] = images["007"] // 2
    elif kind == "labels":
        labels["007"] = np.where(labels["007"] == 1, 0, labels["007"])
    else:  # the same pixels in another shape
        labels["007"] = labels["007"].T.reshape(labels["007"].shape[::-1])
        images["007"] = images["007"].reshape(1, *images["007"].shape[:0:-1])
    with pytest.raises(Conflict, match=r"array 007 is in .*, as image '007', with other"):
        unetprep.import_images(url, images, labels)
    assert tree(url) == before


@pytest.mark.parametrize("shape", [None, (90, 80), (10, 12)])
def test_overwriting_replaces_a_changed_image(
    tmp_path: Path, small_chunks: None, shape: tuple[int, int] | None
) -> None:
    """Also one that is now larger than all others, or smaller."""
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    labels = LABELS | {"007": cell_labels(shape or shape_of(7), 3, seed=99)}
    images = IMAGES | images_of({"007": labels["007"]})
    unetprep.import_images(url, images, labels, overwrite=True)
    store = Store.open(str(url))
    for name in images:
        np.testing.assert_array_equal(values(store, name)["image"][:, 0], images[name])
        np.testing.assert_array_equal(values(store, name)["instances"][0], labels[name])


def test_overwriting_some_images_of_a_stack_is_refused(tmp_path: Path, small_chunks: None) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, IMAGES, LABELS)
    before = tree(url)
    with pytest.raises(Conflict, match=r"array 007 is in .* with other pixels\n.*--overwrite, together with the other"):
        unetprep.import_images(url, {"007": IMAGES["007"] // 2}, {"007": LABELS["007"]}, overwrite=True)
    assert tree(url) == before


def test_an_unusable_image_among_many_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    images = {name: image.astype(np.float32) for name, image in IMAGES.items()}
    images["013"][0, 4, 5] = np.nan
    with pytest.raises(InvalidInput, match=r"array 013 holds nan at \(c, z, y, x\) = \(0, 0, 4, 5\)"):
        unetprep.import_images(tmp_path / "ds.zarr", images, LABELS)
    assert not (tmp_path / "ds.zarr").exists()


# -- kills ------------------------------------------------------------------------------------------------------------


def files_of(folder: Path, labels: Arrays) -> tuple[Path, Path]:
    """Folders of image files and of label files."""
    for kind, arrays in (("images", images_of(labels)), ("masks", labels)):
        (folder / kind).mkdir()
        for name, array in arrays.items():
            save(folder / kind / f"{name}.npy", array)
    return folder / "images", folder / "masks"


def make_in_two_steps(folder: Path, url: Path) -> None:
    """Import twenty images and then sixteen more, and run the stages."""
    more = [*LABELS, *(f"{k:03}" for k in range(20, 36))]
    for names in (list(LABELS), more):
        images, labels = ([folder / kind / f"{name}.npy" for name in names] for kind in ("images", "masks"))
        unetprep.import_images(url, images, labels, workers=1)
    stages = [WEIGHTS, DeformParams(fields=3), TILES]
    unetprep.prepare_store(url, stages=stages, workers=1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes], int]]:
    """A folder of files, the store made of them in one go, and how many writes and deletions that took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    files_of(folder, labels_of(range(36)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout.PIXEL_CHUNK, 2, (1, 32, 32))
        patch.setattr(layout, "STACK_SHARD_PX", 12000)
        count = count_writes(lambda: make_in_two_steps(folder, folder / "whole.zarr"))
        yield folder, tree(folder / "whole.zarr"), count


@pytest.mark.parametrize("when", [(k + 0.5) / 16 for k in range(16)])
@pytest.mark.parametrize("done", [False, True])
def test_a_kill_at_any_write_of_a_stack_is_made_good(
    undisturbed: tuple[Path, dict[str, bytes], int], tmp_path: Path, when: float, done: bool
) -> None:
    folder, whole, count = undisturbed
    left = int((when + 0.25 * done / 16) * count)
    kill_and_repeat(lambda: make_in_two_steps(folder, tmp_path / "ds.zarr"), left, done)
    assert tree(tmp_path / "ds.zarr") == whole


# -- what is lost and what is planned ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "stacks/zarr.json",
        "images/zarr.json",
        "stacks/0/labels/zarr.json",
        "stacks/0/labels/target/zarr.json",
    ],
)
def test_documents_of_stacks_that_are_lost_are_written_again(
    undisturbed: tuple[Path, dict[str, bytes], int], tmp_path: Path, key: str
) -> None:
    folder, whole, _ = undisturbed
    shutil.copytree(folder / "whole.zarr", tmp_path / "ds.zarr")
    (tmp_path / "ds.zarr" / key).unlink()
    make_in_two_steps(folder, tmp_path / "ds.zarr")
    assert tree(tmp_path / "ds.zarr") == whole


def test_a_stack_whose_table_is_lost_is_refused_with_the_way_out(tmp_path: Path, small_chunks: None) -> None:
    """No other document says which image is in which slice."""
    unetprep.import_images(tmp_path / "ds.zarr", IMAGES, LABELS)
    whole = tree(tmp_path / "ds.zarr")
    (tmp_path / "ds.zarr/stacks/0/zarr.json").unlink()
    before = tree(tmp_path / "ds.zarr")
    with pytest.raises(InvalidInput, match=r"stacks/0 of .* lacks images\n.*restore stacks/0/zarr\.json from a copy"):
        unetprep.import_images(tmp_path / "ds.zarr", IMAGES, LABELS)
    assert tree(tmp_path / "ds.zarr") == before
    (tmp_path / "ds.zarr/stacks/0/zarr.json").write_bytes(whole["stacks/0/zarr.json"])
    assert unetprep.import_images(tmp_path / "ds.zarr", IMAGES, LABELS).shards_written == 0


@pytest.mark.parametrize("whole_px", [2**24, 0])
def test_a_plan_of_a_stack_says_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None, whole_px: int
) -> None:
    """Whether the images are read whole for it or not."""
    monkeypatch.setattr(forecaster, "SampledScan", partial(SampledScan, left_px=whole_px))
    files = files_of(tmp_path, LABELS)
    stages = [WEIGHTS, replace(TILES, instances=True)]
    said = unetprep.plan(tmp_path / "ds.zarr", *files, stages)
    done = unetprep.prepare_store(tmp_path / "ds.zarr", *files, stages)
    assert [stage.tasks for stage in said.stages] == [stage.shards_written for stage in done]
    written = {key: data for key, data in tree(tmp_path / "ds.zarr").items() if not key.startswith(FIRST_READING)}
    assert said.files == len(written)  # the cache of the first reading is not counted
    assert said.bytes == pytest.approx(sum(map(len, written.values())), rel=0.1)
    assert bool(said.stages[0].guesses) == (whole_px == 0)
    again = unetprep.plan(tmp_path / "ds.zarr", *files, stages)
    assert [(stage.tasks, stage.files, stage.bytes) for stage in again.stages] == [(0, 0, 0)] * 3
    replaced = unetprep.plan(tmp_path / "ds.zarr", *files, stages, overwrite=True)
    assert [stage.tasks for stage in replaced.stages] == [stage.tasks for stage in said.stages]
