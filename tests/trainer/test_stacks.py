"""Stores with stacks: many small images in one array, each a slice of it in its upper left corner."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import unetprep
from tests.servers import upload
from tests.synthetic import cell_image, cell_labels
from tests.trainer.reporting.helpers import QUICK, Page
from unetprep.format.metadata import encode, parse_document
from unetprep.sources import open_source
from unetprep.sources.calibration import Calibration, read_calibration
from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.data.checked_array import CheckedArray
from unettrain.data.opening import image_names, open_fields, open_image, open_tiles, stored_intensity
from unettrain.data.store import image_places, image_record, image_records, recorded, storage_of
from unettrain.errors import Failure, InvalidInput
from unettrain.evaluation.files import evaluate_files
from unettrain.model import UNet
from unettrain.prediction.files import predict_files
from unettrain.reporting import report as write_report
from unettrain.reporting.inputs import image_shapes, images_of, read_labels, read_run, read_weights
from unettrain.reporting.regions import Region
from unettrain.stream.tile_stream import TileStream
from unettrain.training_loop import fit

NUM = 20
TILES = unetprep.TilesParams(tile_px=60, depth=2, margin_px=8)
ON_THE_FLY = replace(TILES, index_only=True)


def small_images() -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
    """Images and labels by name: of 1 x 1 pixels, smaller and larger than a tile, and than a chunk."""
    sides = [(1, 1), (300, 40), (41, 280), (20, 20), *((30 + 3 * k, 90 - 4 * k) for k in range(NUM - 4))]
    labels = [cell_labels((h, w), max(1, h * w // 400), k, radius=8.0) for k, (h, w) in enumerate(sides)]
    return {f"n{k:02}": (cell_image(found, k), found) for k, found in enumerate(labels)}


IMAGES = small_images()


def build(path: Path, tiles: unetprep.TilesParams = TILES, num: int = NUM) -> Path:
    """A store of the first `num` images."""
    some = dict(list(IMAGES.items())[:num])
    importing = unetprep.ImportParams(val_fraction=0.2, test_fraction=0.2, spacing=(0.25, 0.25), unit="micrometer")
    stages = [unetprep.WeightsParams(sigma=2.0), unetprep.DeformParams(fields=5, sigma_px=2.0), tiles]
    unetprep.prepare_store(
        path, {k: v for k, (v, _) in some.items()}, {k: v for k, (_, v) in some.items()}, stages, importing, workers=1
    )
    return path


@pytest.fixture(scope="session")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images in one stack, with stored tiles; not to be written to."""
    return build(tmp_path_factory.mktemp("stacked") / "ds.zarr")


@pytest.fixture(scope="session")
def on_the_fly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images in one stack, with on-the-fly tiles; not to be written to."""
    return build(tmp_path_factory.mktemp("on_the_fly") / "ds.zarr", ON_THE_FLY)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images in arrays of their own, with stored tiles; not to be written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unetprep.stages.stacks.FEWEST", NUM + 1)
        return build(tmp_path_factory.mktemp("alone") / "ds.zarr")


def group_of(store: Path, name: str) -> str:
    return image_places(store)[name].group


def change(store: Path, path: str, **values: Any) -> None:
    """Change unetprep attributes of a group, and its checksum."""
    file = store / path / "zarr.json"
    document = parse_document(file.read_bytes(), path)
    document["attributes"]["unetprep"] |= values
    file.write_bytes(encode(document))


def test_the_images_are_where_this_test_wants_them(stacked: Path, on_the_fly: Path, alone: Path) -> None:
    for store in (stacked, on_the_fly):
        assert {group_of(store, name) for name in IMAGES} == {"stacks/0"}
        assert not [path for path in (store / "images").iterdir() if path.is_dir()]
    assert {group_of(alone, name) for name in IMAGES} == {f"images/{name}" for name in IMAGES}


def test_every_image_is_read_without_padding(stacked: Path, alone: Path) -> None:
    assert image_names(stacked) == tuple(IMAGES)
    for name, (pixels, _) in IMAGES.items():
        image, other = open_image(stacked, name), open_image(alone, name)
        assert image.pixels.shape == (1, 1, *pixels.shape)
        np.testing.assert_array_equal(image.pixels[0, 0], pixels)
        np.testing.assert_array_equal(image.pixels[:, -1:, 2:9, -5:], pixels[None, None, 2:9, -5:])
        assert (image.intensity, image.dims, image.split) == (other.intensity, other.dims, other.split)
        assert stored_intensity(f"{stacked}/images/{name}") == image.intensity
        assert image_record(stacked, name) == image_records(stacked)[name]
    with pytest.raises(InvalidInput, match=r"no image 'liver'\n  allowed: n00, n01, n02, n03, n04, \.\.\."):
        open_image(stacked, "liver")


def test_tiles_are_those_of_images_with_arrays_of_their_own(stacked: Path, on_the_fly: Path, alone: Path) -> None:
    tiles, *others = (open_tiles(store) for store in (alone, stacked, on_the_fly))
    narrow = open_tiles(on_the_fly, cache_bytes=1)
    for found in (*others, narrow):
        assert (found.geometry, found.names, found.training_intensity) == (
            *(tiles.geometry, tiles.names, tiles.training_intensity),
        )
        np.testing.assert_array_equal(found.split, tiles.split)
        np.testing.assert_array_equal(found.density, tiles.density)
        for k in np.random.default_rng(0).permutation(len(tiles.split)).tolist():
            expected, tile = tiles.read(k), found.read(k)
            assert tile.intensity == expected.intensity
            for name in ("image", "target", "weights"):
                np.testing.assert_array_equal(getattr(tile, name), getattr(expected, name), f"{name} of tile {k}")


def test_so_are_the_cells_of_tiles_with_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = unetprep.TilesParams(tile_px=108, depth=3, instances=True)
    stores = [build(tmp_path / "a.zarr", replace(params, index_only=True), 16)]
    monkeypatch.setattr("unetprep.stages.stacks.FEWEST", NUM)
    stores += [build(tmp_path / "b.zarr", params, 16)]
    assert [group_of(store, "n01") for store in stores] == ["stacks/0", "images/n01"]
    tiles, expected = (open_tiles(store) for store in stores)
    for k in range(len(expected.split)):
        cells, others = (found.read(k, found.empty(instances=True)).instances for found in (tiles, expected))
        np.testing.assert_array_equal(cells, others)


def test_the_cache_holds_the_chunks_of_the_images_and_no_padding(on_the_fly: Path) -> None:
    tiles = open_tiles(on_the_fly)
    for k in range(len(tiles.split)):
        tiles.read(k)
    num_chunks = sum(-(-pixels.shape[0] // 256) * -(-pixels.shape[1] // 256) for pixels, _ in IMAGES.values())
    num_bytes = (1 + 1 + 4) * 256**2  # of image, target and weights
    assert tiles.pixels._decoded.num_bytes == num_chunks * num_bytes  # type: ignore[attr-defined]


def test_changes_of_a_stack_are_noticed(tmp_path: Path) -> None:
    store = build(tmp_path / "ds.zarr", ON_THE_FLY)
    tiles = open_tiles(store)
    damaged = next(file for file in (store / "stacks/0/image/c").rglob("*") if file.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(Failure, match=r"stacks/0/image/c/0/0/0/0 cannot be read"):
        tiles.read(0)
    change(store, "stacks/0/weights", fingerprint="another")
    with pytest.raises(InvalidInput, match=r"tiles/foreground of .* is stale: it was computed from stacks/0/weights"):
        open_tiles(store)


def test_a_table_that_contradicts_the_arrays_is_refused(tmp_path: Path) -> None:
    store = build(tmp_path / "ds.zarr", ON_THE_FLY)
    table = recorded(store, "stacks/0")["images"]
    change(store, "stacks/0", images=table | {"sizes": [[301, 20], *table["sizes"][1:]]})
    for read in (lambda: open_image(store, "n00"), lambda: open_tiles(store).read(0)):
        with pytest.raises(InvalidInput, match=r"stacks/0 of .* has an array of .* too small for image 'n00'"):
            read()


def test_an_image_that_was_removed_is_not_read(tmp_path: Path) -> None:
    store = build(tmp_path / "ds.zarr", ON_THE_FLY)
    unetprep.remove(store, "n19")
    with pytest.raises(InvalidInput, match=r"tiles/image_index of .* is not finished"):
        open_tiles(store)
    assert "n19" not in image_names(store)
    assert stored_intensity(f"{store}/images/n19") is None
    with pytest.raises(InvalidInput, match="no image 'n19'"):
        open_image(store, "n19")
    unetprep.tiles(store, ON_THE_FLY, overwrite=True, workers=1)
    tiles = open_tiles(store)
    assert tiles.names == tuple(IMAGES)[:-1]
    assert tiles.read(len(tiles.split) - 1).intensity == open_image(store, "n18").intensity


def test_tiles_of_an_image_that_is_missing_are_refused(tmp_path: Path) -> None:
    store = build(tmp_path / "ds.zarr", ON_THE_FLY)
    table = recorded(store, "stacks/0")["images"]
    change(store, "stacks/0", images=table | {"split": [*table["split"][:-1], None]})
    with pytest.raises(InvalidInput, match=r"has tiles of image 'n19', which it no longer has(.|\n)*--index-only"):
        open_tiles(store)


def network(folder: Path) -> Path:
    config = UNetConfig(base_channels=2, depth=1)
    save_checkpoint(folder / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    return folder / "net.pt"


def test_an_image_is_predicted_and_evaluated_by_its_name(stacked: Path, alone: Path, tmp_path: Path) -> None:
    checkpoint = network(tmp_path)
    for name in ("n01", "n02"):
        written = [
            predict_files(checkpoint, f"{store}/images/{name}", tmp_path / f"{name} {store.parent.name}.tif")
            for store in (stacked, alone)
        ]
        assert written[0].shape == IMAGES[name][0].shape
        assert written[0].intensity == written[1].intensity
        np.testing.assert_array_equal(tifffile.imread(written[0].path), tifffile.imread(written[1].path))
        sizes = [read_calibration(open_source(str(done.path))) for done in written]
        assert sizes == 2 * [Calibration(None, 0.25, 0.25, "micrometer")]
        np.save(tmp_path / "labels.npy", IMAGES[name][1])
        scores = [evaluate_files(written[0].path, f"{store}/images/{name}").as_dict() for store in (stacked, alone)]
        assert scores[0] == scores[1]
        perfect = evaluate_files(tmp_path / "labels.npy", f"{stacked}/images/{name}/")
        assert (perfect.scores.mean_ap, perfect.dims_reason) == (1, "as the store says")
        parts = [
            evaluate_files(f"{store}/images/{name}/labels/target", f"{store}/images/{name}/labels/instances").as_dict()
            for store in (stacked, alone)
        ]
        assert parts[0] == parts[1]
    with pytest.raises(InvalidInput, match=r"images/liver is not there"):
        predict_files(checkpoint, f"{stacked}/images/liver", tmp_path / "p.tif")


def test_an_image_group_outside_of_a_store_is_no_image_of_one(alone: Path, tmp_path: Path) -> None:
    cells = shutil.copytree(alone / "images/n02", tmp_path / "images/of/cells")
    np.save(tmp_path / "labels.npy", IMAGES["n02"][1])
    assert evaluate_files(tmp_path / "labels.npy", cells).dims_reason == "a single slice"


@pytest.mark.parametrize("where", ["s3", "file"])
def test_it_is_named_by_a_url_as_well(stacked: Path, tmp_path: Path, s3: str, where: str) -> None:
    storage_of.cache_clear()  # each test has an address of its own
    url = upload(stacked, f"{s3}/ds.zarr") if where == "s3" else f"file://{stacked}"
    done = [
        predict_files(network(tmp_path), f"{store}/images/n01", tmp_path / f"{k}.npy")
        for k, store in enumerate((url, stacked))
    ]
    assert done[0].intensity == done[1].intensity
    np.testing.assert_array_equal(np.load(done[0].path), np.load(done[1].path))
    np.save(tmp_path / "labels.npy", IMAGES["n01"][1])
    assert evaluate_files(tmp_path / "labels.npy", f"{url}/images/n01").scores.mean_ap == 1
    with pytest.raises(InvalidInput, match="images/liver"):
        predict_files(network(tmp_path), f"{url}/images/liver", tmp_path / "p.npy")


def test_a_run_on_a_stack_is_the_run_on_the_images(
    stacked: Path, on_the_fly: Path, alone: Path, tmp_path: Path
) -> None:
    streams = (TileStream(store, batch_size=3, num_steps=4) for store in (stacked, on_the_fly, alone))
    for first, *others in zip(*streams, strict=True):
        for batch in others:
            np.testing.assert_array_equal(batch.image, first.image)
            np.testing.assert_array_equal(batch.weights, first.weights)


def test_a_report_names_the_images_of_a_stack(on_the_fly: Path, alone: Path, tmp_path: Path) -> None:
    reports = []
    for store in (on_the_fly, alone):
        run = tmp_path / store.parent.name
        fit(store, run, QUICK)
        reports.append(write_report(run))
    assert reports[0].images == reports[1].images == tuple(n for n in IMAGES if open_image(alone, n).split == "test")
    assert reports[0].as_dict()["scores"] == reports[1].as_dict()["scores"]
    pages = [Page(report.path) for report in reports]
    assert pages[0].tags == pages[1].tags
    for name in reports[0].images[:1]:
        assert name in pages[0].words
    found, expected = read_run(tmp_path / on_the_fly.parent.name), read_run(tmp_path / alone.parent.name)
    assert images_of(found, "val") == images_of(expected, "val")
    assert image_shapes(found, [*IMAGES]) == image_shapes(expected, [*IMAGES])
    region = Region("n04", 2, 0, 1, 3, 20, 4, 50)
    np.testing.assert_array_equal(read_labels(found, region)[0], IMAGES["n04"][1][3:20, 4:50])
    np.testing.assert_array_equal(read_weights(found, region), read_weights(expected, region))
    assert isinstance(found.pixels("n00"), CheckedArray)


@pytest.mark.parametrize("tiles", [TILES, ON_THE_FLY])
def test_a_store_of_version_1_is_read(tmp_path: Path, tiles: unetprep.TilesParams) -> None:
    new, old = build(tmp_path / "new.zarr", tiles, 4), build(tmp_path / "old.zarr", tiles, 4)
    change(old, "", format_version=1)
    found, expected = open_tiles(old), open_tiles(new)
    for k in range(len(expected.split)):
        for name in ("image", "target", "weights"):
            np.testing.assert_array_equal(getattr(found.read(k), name), getattr(expected.read(k), name))
    np.testing.assert_array_equal(open_fields(old).grids, open_fields(new).grids)
    np.testing.assert_array_equal(open_image(old, "n01").pixels[0, 0], IMAGES["n01"][0])
    assert fit(old, tmp_path / "run", QUICK).step == QUICK.steps
    change(old, "", format_version=3)
    with pytest.raises(InvalidInput, match=r"has format version 3\n  allowed: 1 or 2, which this unettrain reads"):
        open_tiles(old)
