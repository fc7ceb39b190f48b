"""LAYOUT.md, the writer and the reader say the same."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray
import yaozarrs
import zarr

import unetprep.format.layout
import unettrain.data.intensity
import unettrain.data.opening
import unettrain.data.store
import unettrain.data.tiles
from tests import reference
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.cpu import apply
from unettrain.augment.draw import NO_AUGMENTATION, Draw, transform_of
from unettrain.config import Augmentation
from unettrain.errors import InvalidInput
from unettrain.stream.tile_stream import TileStream

LAYOUT = (Path(unetprep.format.layout.__file__).parents[2] / "LAYOUT.md").read_text()
LOCAL = Scheduler(workers=2)


def build(folder: Path, shapes: dict[str, tuple[int, int]], fractions: float) -> str:
    """A store of some images on which every stage has run."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for name, shape in shapes.items():
        labels = cell_labels(shape, 20)
        tifffile.imwrite(folder / "images" / f"{name}.tif", cell_image(labels))
        tifffile.imwrite(folder / "masks" / f"{name}.tif", labels)
    where = str(folder / "ds.zarr")
    params = ImportParams(val_fraction=fractions, test_fraction=fractions)
    import_images(where, [str(folder / "images")], [str(folder / "masks")], params, LOCAL)
    store = Store.open(where)
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    run_stage(store, STAGES["deform"], DeformParams(fields=10, sigma_px=2.0), LOCAL)
    run_stage(store, STAGES["tiles"], TilesParams(tile_px=60, depth=2, margin_px=8), LOCAL)
    return where


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of images with arrays of their own."""
    return build(tmp_path_factory.mktemp("contract"), {"a": (90, 130), "b": (61, 47), "c": (70, 70)}, 0.3)


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of a stack of images."""
    return build(tmp_path_factory.mktemp("stacked"), {f"{k:02}": (40 + k, 60 - k) for k in range(20)}, 0.2)


@pytest.fixture(scope="module", params=["url", "stacked"])
def either(request: pytest.FixtureRequest) -> str:
    """Each of the two in turn."""
    return str(request.getfixturevalue(request.param))


def arrays(url: str) -> dict[str, "zarr.Array[Any]"]:
    root = zarr.open_group(url, mode="r", use_consolidated=False)
    return {path: node for path, node in root.members(max_depth=None) if isinstance(node, zarr.Array)}


def documented() -> dict[str, tuple[str, ...]]:
    """The arrays of the tree in LAYOUT.md that state their dimensions."""
    found = re.findall(r"[├└]── (\w+)\s+\((.*?)\)\s+(?:u?int|float)\d+", LAYOUT.partition("└── tiles/")[0])
    return {name: tuple(dims.split(", ")) for name, dims in found}


def test_every_array_is_sharded_checksummed_and_has_named_dimensions(either: str) -> None:
    for path, array in arrays(either).items():
        metadata: Any = array.metadata
        assert metadata.dimension_names and all(metadata.dimension_names), path  # noqa: PT018
        assert array.shards is not None, path
        inner = metadata.codecs[0].to_dict()["configuration"]
        assert [c["name"] for c in inner["codecs"]][-1] == "crc32c", path
        assert [c["name"] for c in inner["index_codecs"]][-1] == "crc32c", path


def test_the_documented_arrays_are_those_written(either: str) -> None:
    expected = documented()
    assert {"image", "weights", "instances", "target", "grids", "class_counts"} <= set(expected)
    written = {path: array for path, array in arrays(either).items() if not path.startswith("tiles/")}
    for path, array in written.items():
        name = path.rpartition("/")[2]
        dims = tuple(array.metadata.dimension_names)  # type: ignore[union-attr, arg-type]
        if len(dims) > 1 and not (name == "class_counts" and path.startswith("stacks/")):
            assert expected[name] == dims, path
    named = re.search(r"└── (image_index [\w ]+?) {2,}\(tile\)", LAYOUT)
    assert named
    assert {p.rpartition("/")[2] for p in arrays(either) if p.startswith("tiles/")} == {
        *named[1].split(),
        *("image", "target", "weights"),
    }


def test_both_sides_check_the_documented_version(url: str) -> None:
    version = int(re.search(r"format version (\d+)", LAYOUT)[1])  # type: ignore[index]
    assert version == unetprep.format.metadata.FORMAT_VERSION
    assert Store(url).record("")["format_version"] == version
    assert unetprep.format.layout.SPLITS == unettrain.data.tiles.SPLITS


def test_attributes_are_as_documented(either: str) -> None:
    store = Store(either)
    wanted = {"complete", "fingerprint", "stage", "kernel_version", "parameters", "inputs"}
    for path in arrays(either):
        record = store.record(path)
        assert wanted <= set(record), path
        assert record["complete"] is True
    keys = re.findall(r"^\|[^|]*\| (`[a-z_`, ]+`) \|", LAYOUT, re.MULTILINE)
    groups = ["", "images", "stacks", "tiles", *store.groups]
    of_labels = {f"{group}/labels/instances/instances" for group in store.groups}
    assert {k for row in keys for k in re.findall(r"\w+", row)} >= {
        key for path in (*groups, *of_labels) for key in store.record(path)
    }


def test_xarray_opens_every_group_with_named_dimensions(either: str) -> None:
    groups = {path.rpartition("/")[0] for path in arrays(either)}
    first = Store(either).groups[0]
    assert {first, f"{first}/labels/target", "fields", "tiles"} <= groups
    for group in groups:
        with xarray.open_zarr(either, group=group, consolidated=False, chunks=None) as dataset:
            assert not [dim for dim in dataset.dims if str(dim).startswith("dim_")], group
            assert set(dataset.variables) == {
                path.rpartition("/")[2] for path in arrays(either) if path.rpartition("/")[0] == group
            }
    with xarray.open_zarr(either, group="tiles", consolidated=False, chunks=None) as tiles:
        assert set(tiles.data_vars) == {"image", "target", "weights"}
        assert {"image_index", "z", "y0", "x0", "split", "foreground", "density"} <= set(tiles.coords)
        val = tiles.isel(tile=(tiles.split == 1).values)
        assert 0 < val.sizes["tile"] < tiles.sizes["tile"]


def test_all_arrays_of_tiles_have_the_same_shards(either: str) -> None:
    store = Store(either)
    of_tiles = {store.shards(path).shard[0] for path in arrays(either) if path.startswith("tiles/")}
    assert len(of_tiles) == 1


def test_images_and_labels_are_valid_ome_zarr(either: str) -> None:
    for image in Store(either).groups:
        for group in ("", "/labels", "/labels/instances", "/labels/target"):
            yaozarrs.validate_zarr_store(f"{either}/{image}{group}")


def test_the_trainer_reads_what_the_pipeline_wrote(url: str) -> None:
    store = Store(url)
    stream = TileStream(url, "train")
    tiles = unettrain.data.opening.open_tiles(url)
    assert (tiles.tile_px, tiles.output_px, tiles.margin_px, tiles.depth) == (60, 20, 8, 2)
    for name in ("image", "target", "weights"):
        stored = np.asarray(store.array(f"tiles/{name}")[3])
        np.testing.assert_array_equal(getattr(tiles.read(3), name), stored)
    assert stream.fields.grids.shape == (10, 2, 3, 3)
    image = unettrain.data.opening.open_image(url, "a")
    np.testing.assert_array_equal(image.pixels[:], store.array("images/a/image")[:])


@pytest.mark.parametrize("rule", ["auto", "dtype", "minmax", "percentile"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32"])
def test_a_new_image_is_scaled_as_an_imported_one(tmp_path: Path, rule: str, dtype: str) -> None:
    labels = cell_labels((40, 50), 5)
    image = cell_image(labels).astype(dtype)
    tifffile.imwrite(tmp_path / "i.tif", image)
    tifffile.imwrite(tmp_path / "m.tif", labels)
    where = str(tmp_path / "ds.zarr")
    import_images(where, [str(tmp_path / "i.tif")], [str(tmp_path / "m.tif")], ImportParams(intensity=rule), LOCAL)
    recorded = unettrain.data.opening.stored_intensity(f"{where}/images/i")
    assert recorded == unettrain.data.intensity.intensity_range(image[None, None], rule)


@pytest.fixture(scope="module", params=["none", "raster"])
def with_instances(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store whose tiles keep the cells around them."""
    folder = tmp_path_factory.mktemp("instances")
    labels = cell_labels((150, 170), 60)
    labels[0, 30] = 999
    labels[100:103] = 998
    tifffile.imwrite(folder / "i.tif", cell_image(labels))
    tifffile.imwrite(folder / "m.tif", labels)
    where = str(folder / "ds.zarr")
    import_images(where, [str(folder / "i.tif")], [str(folder / "m.tif")], ImportParams(ignore_label=998), LOCAL)
    store = Store.open(where)
    run_stage(store, STAGES["weights"], WeightsParams(separate=request.param, sigma=3.0), LOCAL)
    run_stage(store, STAGES["deform"], DeformParams(fields=10, sigma_px=3.0), LOCAL)
    run_stage(store, STAGES["tiles"], TilesParams(tile_px=108, depth=3, margin_px=16, instances=True), LOCAL)
    return where


def test_weights_computed_anew_are_the_stored_ones_where_nothing_moves(with_instances: str) -> None:
    still = replace(NO_AUGMENTATION, recompute_weights=True)
    for stored, anew in zip(
        TileStream(with_instances, augmentation=NO_AUGMENTATION, num_steps=20),
        TileStream(with_instances, augmentation=still, num_steps=20),
        strict=True,
    ):
        for name in ("image", "weights"):
            np.testing.assert_array_equal(getattr(anew, name), getattr(stored, name))
        counted = stored.weights > 0  # outside the image the stored target is mirrored
        np.testing.assert_array_equal(anew.target[counted], stored.target[counted])


def test_weights_computed_anew_are_those_of_the_deformed_cells(with_instances: str) -> None:
    tiles, fields = (
        unettrain.data.opening.open_tiles(with_instances),
        unettrain.data.opening.open_fields(with_instances),
    )
    rule = tiles.rule
    assert rule is not None
    for k in range(6):
        stored = tiles.read(k, tiles.empty(instances=True))
        assert stored.instances is not None
        choice = Draw(field=k, turn=k)
        _, target, weights = apply(choice, stored, fields, tiles.tile_px, rule=rule)
        at = transform_of(choice, fields).coordinates(tiles.tile_px)
        cut = (tiles.tile_px - tiles.output_px - 2 * rule.reach_px) // 2
        at = at[:, cut : tiles.tile_px - cut, cut : tiles.tile_px - cut] + tiles.margin_px - cut
        cells = reference.warp(stored.instances, at, 0).astype(int)
        expected = cells > 0 if rule.separate == "none" else reference.separate(np.maximum(cells, 0))
        low, high = rule.class_weights
        weighed = reference.weight_map(np.maximum(cells, 0), expected.astype(np.uint8), (low, high), sigma=3.0)
        weighed[cells < 0] = 0
        core = np.s_[rule.reach_px : -rule.reach_px, rule.reach_px : -rule.reach_px]
        np.testing.assert_array_equal(target, (expected & (cells >= 0))[core])
        np.testing.assert_allclose(weights, weighed[core], atol=1e-5)


def test_beyond_what_is_stored_of_the_cells_nothing_counts(with_instances: str) -> None:
    tiles = unettrain.data.opening.open_tiles(with_instances)
    far = Draw(shift=(100.0, 0.0))
    stored = tiles.read(0, tiles.empty(instances=True))
    _, target, weights = apply(far, stored, unettrain.data.opening.NO_FIELDS, tiles.tile_px, rule=tiles.rule)
    assert not weights[-1].any()
    assert not target[-1].any()


def test_tiles_without_instances_cannot_give_weights(url: str) -> None:
    with pytest.raises(InvalidInput, match="hold no instances") as caught:
        TileStream(url, augmentation=Augmentation(recompute_weights=True))
    assert "--tile 60 --depth 2 --margin 8 --instances --overwrite" in str(caught.value)


def test_the_recipe_for_xarray_selects_the_tiles_of_an_image(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    page = (Path(__file__).parents[2] / "docs/streaming.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "xarray" in block)
    store = Store.open(url)
    (name, *_) = (name for name in store.names if store.record(f"images/{name}")["split"] == "val")
    names: dict[str, Any] = {}
    exec(code.replace("ds.zarr", url).replace('"img"', f'"{name}"'), names)
    found = names["of_one"]
    assert found.sizes["tile"] > 0
    assert set(found.split.values.tolist()) == {1}
    assert {names["names"][k] for k in found.image_index.values.tolist()} == {name}
