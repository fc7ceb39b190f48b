import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.boxes import Index
from unetprep.format.sharding import Shards
from unetprep.kernels.mirror import mirrored_tile
from unetprep.kernels.random_crops import random_origins
from unetprep.kernels.tiling import tile_origins
from unetprep.params import ImportParams, TilesParams, VerifyParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.from_provenance import tiles_params
from unetprep.stages.importing import Import
from unetprep.storage.base import Storage
from unetprep.store import Store
from unetprep.verification import verify

SMALL = TilesParams(tile_px=60, depth=2, margin_px=8)  # output 20, 20 pixels of context on every side
OUTPUT, CONTEXT = 20, 20


ARRAYS = ("image", "target", "weights", "image_index", "z", "y0", "x0", "split", "foreground", "density")


def tiled(store: Store, params: TilesParams = SMALL) -> dict[str, np.ndarray]:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    run_stage(store, STAGES["tiles"], params, LOCAL)
    return {name: np.asarray(store.array(f"tiles/{name}")[:]) for name in ARRAYS if store.record(f"tiles/{name}")}


def test_every_pixel_is_the_output_of_one_tile_and_the_centres_give_the_image_back(store: Store) -> None:
    tiles = tiled(store)
    middle = np.s_[SMALL.margin_px : SMALL.margin_px + OUTPUT]
    for k, name in enumerate(store.names):
        for kind, path in (("target", "labels/target/target"), ("weights", "weights")):
            whole = np.asarray(store.array(f"images/{name}/{path}")[0])
            back, seen = np.zeros(np.add(whole.shape, OUTPUT), whole.dtype), np.zeros(np.add(whole.shape, OUTPUT), int)
            for t in np.flatnonzero(tiles["image_index"] == k):
                y, x = tiles["y0"][t], tiles["x0"][t]
                back[y : y + OUTPUT, x : x + OUTPUT] = tiles[kind][t][middle, middle]
                seen[y : y + OUTPUT, x : x + OUTPUT] += 1
            inside = np.s_[: whole.shape[0], : whole.shape[1]]
            assert (seen[inside] == 1).all()
            np.testing.assert_array_equal(back[inside], whole)


def test_context_is_mirrored_as_numpy_pads(store: Store) -> None:
    tiles, pad = tiled(store), 120
    for t in range(len(tiles["z"])):
        name = store.names[tiles["image_index"][t]]
        whole = np.asarray(store.array(f"images/{name}/image")[:, tiles["z"][t]])
        padded = np.pad(whole, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
        corner = [pad + tiles[a][t] - CONTEXT - SMALL.margin_px for a in ("y0", "x0")]
        side = SMALL.tile_px + 2 * SMALL.margin_px
        expected = padded[:, corner[0] :, corner[1] :][:, :side, :side]
        np.testing.assert_array_equal(tiles["image"][t], expected)


def test_weights_are_zero_outside_the_image_and_only_there(store: Store) -> None:
    tiles = tiled(store)
    for t in range(len(tiles["z"])):
        name = store.names[tiles["image_index"][t]]
        height, width = store.array(f"images/{name}/weights").shape[1:]
        rows = tiles["y0"][t] - SMALL.margin_px + np.arange(OUTPUT + 2 * SMALL.margin_px)
        columns = tiles["x0"][t] - SMALL.margin_px + np.arange(OUTPUT + 2 * SMALL.margin_px)
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        np.testing.assert_array_equal(tiles["weights"][t] > 0, inside)


def test_no_chunk_is_decoded_twice_for_a_shard(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    monkeypatch.setattr("unetprep.stages.tiles.TILES_A_BLOCK", 1)
    read_parts, wanted = Shards._parts, list[tuple[str, Index]]()

    def recording(self: Shards, storage: Storage, key: str, places: list[Index]) -> Any:
        wanted.extend((key, place) for place in places if "/image/c/" in key)
        return read_parts(self, storage, key, places)

    monkeypatch.setattr(Shards, "_parts", recording)
    run_stage(store, STAGES["tiles"], SMALL, LOCAL)
    assert store.shards("tiles/image").shape[0] > len(wanted) == len({*wanted})


def test_foreground_is_the_share_of_cell_pixels_in_the_image(store: Store) -> None:
    tiles = tiled(store)
    target = np.asarray(store.array("images/a/labels/target/target")[0])
    for t in np.flatnonzero(tiles["image_index"] == 0):
        part = target[tiles["y0"][t] :, tiles["x0"][t] :][:OUTPUT, :OUTPUT]
        assert tiles["foreground"][t] == pytest.approx(part.mean())
        expected = (part.sum() + 0.1 * (part.size - part.sum())) / OUTPUT**2  # nothing is ignored, and outside is 0
        assert tiles["density"][t] == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 30), (33, 2)])
def test_an_image_smaller_than_a_tile_works_by_mirroring(tmp_path: Path, shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint8)
    labels[0, 0] = 1
    image, mask = save(tmp_path / "x.npy", cell_image(labels.astype(np.uint16))), save(tmp_path / "y.npy", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [image], [mask], ImportParams(), LOCAL)
    tiles = tiled(Store.open(url))
    side = SMALL.tile_px + 2 * SMALL.margin_px
    start = CONTEXT + SMALL.margin_px
    whole = np.load(image)
    for axis, n in enumerate(shape):
        index = np.abs(np.arange(-start, side - start))
        folded = [i % (2 * n - 2) if n > 1 else 0 for i in index]
        whole = whole.take([min(i, 2 * n - 2 - i) if n > 1 else 0 for i in folded], axis=axis)
    np.testing.assert_array_equal(tiles["image"][0, 0], whole)


def test_slices_of_a_stack_and_channels_are_tiled(tmp_path: Path) -> None:
    labels = np.stack([cell_labels((30, 30), 4, seed) for seed in range(3)])
    image = np.stack([np.stack([cell_image(s, seed=c) for s in labels]) for c in range(2)])
    url = str(tmp_path / "ds.zarr")
    import_images(url, [save(tmp_path / "x.npy", image)], [save(tmp_path / "y.npy", labels)], ImportParams(), LOCAL)
    tiles = tiled(Store.open(url))
    assert tiles["image"].shape == (12, 2, 76, 76)
    assert tiles["z"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(tiles["image"][5, 1, 28:48, 28:38], image[1, 1, :20, 20:])


def test_images_of_different_dtypes_keep_their_values(tmp_path: Path) -> None:
    labels = cell_labels((30, 30), 4)
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
    for name, scale in (("a", np.uint8(1)), ("b", np.uint16(200))):
        save(tmp_path / "i" / f"{name}.npy", cell_image(labels) * scale)
        save(tmp_path / "m" / f"{name}.npy", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [str(tmp_path / "i")], [str(tmp_path / "m")], ImportParams(), LOCAL)
    store = Store.open(url)
    tiles = tiled(store)
    assert tiles["image"].dtype == np.uint16
    np.testing.assert_array_equal(tiles["image"][0, 0, 28:48, 28:48], cell_image(labels)[:20, :20])
    highs = {name: store.record(f"images/{name}")["intensity"][1] for name in ("a", "b")}
    assert highs == {"a": 255.0, "b": 200 * store.record("images/a")["percentiles"][1]}
    assert np.asarray(store.array("tiles/intensity_high")[:]).tolist() == [highs["a"]] * 4 + [highs["b"]] * 4


def test_images_of_different_channels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, url = cell_labels((30, 30), 4), str(tmp_path / "ds.zarr")

    def imported(name: str, *shape: int) -> None:
        image = save(tmp_path / f"{name}.png", np.zeros(shape, np.uint8))
        import_images(url, [image], [save(tmp_path / f"{name}_mask.png", labels)], ImportParams(), LOCAL)

    imported("a", 30, 30)
    with pytest.raises(Conflict, match=r"images/b/image would have 3 channels, and images/a/image of .* has 1"):
        imported("b", 30, 30, 3)
    monkeypatch.setattr(Import, "refuse_other_channels", lambda self, store: None)  # as in stores of earlier releases
    imported("b", 30, 30, 3)
    with pytest.raises(InvalidInput, match="images/a has 1 channels and images/b has 3"):
        tiled(Store.open(url))


NARROW = WeightsParams(sigma=2.0)  # cells matter up to 13 pixels away


def test_instances_reach_as_far_as_a_cell_matters_and_know_nothing_outside(store: Store) -> None:
    run_stage(store, STAGES["weights"], NARROW, LOCAL)
    run_stage(store, STAGES["tiles"], replace(SMALL, instances=True), LOCAL)
    reach, side = 13, OUTPUT + 2 * SMALL.margin_px + 2 * 13
    tiles = {
        name: np.asarray(store.array(f"tiles/{name}")[:]) for name in ("instances", "image_index", "z", "y0", "x0")
    }
    for t, instances in enumerate(tiles["instances"]):
        whole = store.array(f"images/{store.names[tiles['image_index'][t]]}/labels/instances/instances")
        padded = np.pad(np.asarray(whole[tiles["z"][t]]), 100, constant_values=-1)
        y, x = (100 + tiles[a][t] - SMALL.margin_px - reach for a in ("y0", "x0"))
        np.testing.assert_array_equal(instances, padded[y : y + side, x : x + side])
    run_stage(store, STAGES["weights"], replace(NARROW, spacing=(2, 2)), LOCAL, overwrite=True)
    run_stage(store, STAGES["tiles"], replace(SMALL, instances=True), LOCAL, overwrite=True)
    assert store.record("tiles/instances")["parameters"]["instances"]["reach_px"] == 7
    assert store.array("tiles/instances").shape[1:] == (side - 2 * (13 - 7),) * 2


def test_instances_go_with_the_tiles_that_had_them(store: Store) -> None:
    run_stage(store, STAGES["weights"], NARROW, LOCAL)
    run_stage(store, STAGES["tiles"], replace(SMALL, instances=True), LOCAL)
    with pytest.raises(Conflict, match="made in another way"):
        run_stage(store, STAGES["tiles"], SMALL, LOCAL)
    run_stage(store, STAGES["tiles"], SMALL, LOCAL, overwrite=True)
    assert not store.record("tiles/instances")
    assert not Path(store.url, "tiles/instances").exists()
    assert verify(store.url, VerifyParams(all=True)).faults == ()


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_another_codec_holds_the_same_values_and_is_another_store(store: Store, codec: str) -> None:
    tiled(store, SMALL)
    names = ("image", "target", "weights", "foreground")
    before = [store.read_all(f"tiles/{name}") for name in names]
    with pytest.raises(Conflict, match=f"codec is lz4 there and {codec} now"):
        run_stage(store, STAGES["tiles"], replace(SMALL, codec=codec), LOCAL)
    run_stage(store, STAGES["tiles"], replace(SMALL, codec=codec), LOCAL, overwrite=True)
    store = Store.open(store.url)
    inside = json.loads(Path(store.url, "tiles/image/zarr.json").read_text())["codecs"][0]["configuration"]["codecs"]
    assert [one["name"] for one in inside] == ["bytes", *([] if codec == "none" else [codec]), "crc32c"]
    for name, values in zip(names, before, strict=True):
        np.testing.assert_array_equal(store.read_all(f"tiles/{name}"), values)
        np.testing.assert_array_equal(np.asarray(store.array(f"tiles/{name}")[:]), values)
    assert verify(store.url, VerifyParams(all=True)).faults == ()
    assert tiles_params(store) == replace(SMALL, codec=codec)


def test_instances_that_could_not_give_the_weights_are_refused(store: Store, tmp_path: Path) -> None:
    wide = replace(SMALL, instances=True)
    with pytest.raises(InvalidInput, match="up to 31 pixels away, and a tile of depth 2 reaches 20") as caught:
        tiled(store, wide)
    assert "greater --depth" in str(caught.value)
    run_stage(store, STAGES["weights"], NARROW, LOCAL, overwrite=True)
    path = f"images/{store.names[1]}/weights"
    store.update_record(path, parameters={**store.record(path)["parameters"], "w0": 3.0})
    with pytest.raises(InvalidInput, match=r"were made with different w0: 10\.0 and 3\.0"):
        run_stage(store, STAGES["tiles"], wide, LOCAL)
    for name in store.names:
        path = f"images/{name}/weights"
        store.update_record(path, parameters={**store.record(path)["parameters"], "spacing": [2.0, 1.0], "w0": 3.0})
    with pytest.raises(InvalidInput, match=r"spacing \[2\.0, 1\.0\], which a quarter turn would exchange"):
        run_stage(store, STAGES["tiles"], wide, LOCAL)
    labels, url = np.stack([cell_labels((30, 30), 4)] * 3), str(tmp_path / "volume.zarr")
    import_images(
        url, [save(tmp_path / "x.npy", labels)], [save(tmp_path / "y.npy", labels)], ImportParams(dims=3), LOCAL
    )
    run_stage(Store.open(url), STAGES["weights"], NARROW, LOCAL)
    with pytest.raises(InvalidInput, match="images/x is a volume"):
        run_stage(Store.open(url), STAGES["tiles"], wide, LOCAL)


@pytest.fixture
def parted(files: Path) -> Store:
    """The images, some of them for validation."""
    images, masks = str(files / "images"), str(files / "masks")
    import_images(str(files / "parted.zarr"), [images], [masks], ImportParams(val_fraction=0.4), LOCAL)
    store = Store.open(str(files / "parted.zarr"))
    assert {store.record(f"images/{name}")["split"] for name in store.names} == {"train", "val"}
    return store


def test_overlapping_tiles_are_of_training_images_alone_and_reach_every_edge(parted: Store) -> None:
    store = parted
    tiles = tiled(store, replace(SMALL, stride_px=7))
    for k, name in enumerate(store.names):
        of_image = tiles["image_index"] == k
        is_train = store.record(f"images/{name}")["split"] == "train"
        for axis, length in zip(("y0", "x0"), store.array(f"images/{name}/weights").shape[1:], strict=True):
            origins, step = np.unique(tiles[axis][of_image]), 7 if is_train else OUTPUT
            assert (np.diff(origins) == step).all()
            assert origins[0] == 0
            assert origins[-1] + OUTPUT >= length > origins[-1] + OUTPUT - step
    assert tiles_params(store) == replace(SMALL, stride_px=7)
    check_against_images(store, tiles)


def test_random_tiles_lie_in_training_images_and_depend_on_seed_name_and_number_alone(parted: Store) -> None:
    store = parted
    tiles = tiled(store, replace(SMALL, random=200, seed=3))
    for k, name in enumerate(store.names):
        of_image = tiles["image_index"] == k
        if store.record(f"images/{name}")["split"] == "train":
            _, height, width = store.array(f"images/{name}/weights").shape
            places = np.stack([tiles[axis][of_image] for axis in ("z", "y0", "x0")], axis=1)
            np.testing.assert_array_equal(places, random_origins(3, name, 0, 200, (1, height, width), OUTPUT))
            for axis, length in ((1, height), (2, width)):
                free = max(0, length - OUTPUT)
                assert places[:, axis].min() >= 0
                assert places[:, axis].max() <= free
                assert abs(places[:, axis].mean() - free / 2) < 4 * (free + 1) / np.sqrt(12 * 200)
        else:
            covering = tile_origins(store.array(f"images/{name}/weights").shape[1], OUTPUT)
            assert np.unique(tiles["y0"][of_image]).tolist() == list(covering)
    check_against_images(store, tiles)
    assert verify(store.url, VerifyParams(all=True)).faults == ()


def check_against_images(store: Store, tiles: dict[str, np.ndarray]) -> None:
    """Each tile is the window of its image at its place."""
    inner = OUTPUT + 2 * SMALL.margin_px
    for t in range(len(tiles["z"])):
        name, z = store.names[tiles["image_index"][t]], tiles["z"][t]
        for kind, path in (("image", "image"), ("target", "labels/target/target")):
            whole = np.asarray(store.array(f"images/{name}/{path}"))[..., z, :, :]
            before, side = (CONTEXT, SMALL.tile_px + 16) if kind == "image" else (0, inner)
            start = (tiles["y0"][t] - before - 8, tiles["x0"][t] - before - 8)
            np.testing.assert_array_equal(tiles[kind][t], mirrored_tile(whole, start, (side, side)))


def test_virtual_tiles_hold_their_places_alone(store: Store) -> None:
    stored = tiled(store)
    with pytest.raises(Conflict, match="index-only is None there and"):
        run_stage(store, STAGES["tiles"], replace(SMALL, index_only=True), LOCAL)
    assert verify(store.url, VerifyParams(all=True)).faults == ()  # nothing was taken away
    run_stage(store, STAGES["tiles"], replace(SMALL, index_only=True), LOCAL, overwrite=True)
    virtual = tiled(Store.open(store.url), replace(SMALL, index_only=True))
    assert set(ARRAYS) - set(virtual) == {"image", "target", "weights"}
    for name, values in virtual.items():
        np.testing.assert_array_equal(values, stored[name])
    others = {"intensity_low", "intensity_high", "zarr.json"}
    assert {path.name for path in Path(store.url, "tiles").iterdir()} == {*virtual} | others
    assert verify(store.url, VerifyParams(all=True)).faults == ()
    assert tiles_params(Store.open(store.url)) == replace(SMALL, index_only=True)
    run_stage(Store.open(store.url), STAGES["tiles"], SMALL, LOCAL, overwrite=True)
    np.testing.assert_array_equal(Store.open(store.url).read_all("tiles/image"), stored["image"])
    assert verify(store.url, VerifyParams(all=True)).faults == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_px": 21}, "stride is 21, .*\n  allowed: 1 to 20"),
        ({"stride_px": 0}, "stride is 0\n  allowed: at least 1"),
        ({"stride_px": 5, "random": 3}, "stride is 5 and random is 3\n  allowed: one of the two"),
    ],
)
def test_places_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(SMALL, **options)


def test_an_illegal_tile_names_the_nearest_legal_ones(store: Store) -> None:
    with pytest.raises(InvalidInput, match=r"tile is 500 pixels.*\n  allowed: 492 or 508, and so on in steps of 16"):
        tiled(store, TilesParams(tile_px=500))
    with pytest.raises(InvalidInput, match="allowed: 188, and so on"):
        tiled(store, TilesParams(tile_px=100))


def test_what_is_missing_is_named_with_its_command(store: Store) -> None:
    with pytest.raises(InvalidInput, match=r"images/a/labels/target/target is missing in .*\n.*unetprep weights --out"):
        run_stage(store, STAGES["tiles"], SMALL, LOCAL)


def test_labels_alone_cannot_be_tiled(tmp_path: Path) -> None:
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [save(tmp_path / "y.npy", cell_labels((30, 30), 4))], ImportParams(), LOCAL)
    with pytest.raises(InvalidInput, match=r"images/y/image is missing in .*\n.*unetprep import --image"):
        tiled(Store.open(url))
