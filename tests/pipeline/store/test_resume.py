import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from tests import reference
from tests.pipeline.conftest import LOCAL, tree
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.pending import plan_job
from unetprep.engine.run import Scheduler, run_stage
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.format import layout
from unetprep.format.boxes import Box, box_shape
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.base import Blocks, Job
from unetprep.store import Store

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards so small that every image has many."""
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 32, 48))


@pytest.fixture
def chopped(small_shards: None, store: Store) -> Store:
    """The store of the other tests, in small shards."""
    assert store.written("images/a/image").sum() > 4
    return store


def weights(store: Store, **options: object) -> int:
    return run_stage(store, STAGES["weights"], WeightsParams(**options), LOCAL).shards_written  # type: ignore[arg-type]


def test_weights_equal_the_formula_over_the_whole_image(chopped: Store) -> None:
    weights(chopped, class_weights=(0.5, 2))
    for name in chopped.names:
        labels = np.asarray(chopped.array(f"images/{name}/labels/instances/instances")[0])
        target = np.asarray(chopped.array(f"images/{name}/labels/target/target")[0])
        np.testing.assert_array_equal(target, reference.separate(labels))
        expected = reference.weight_map(labels, target, (0.5, 2))
        found = np.asarray(chopped.array(f"images/{name}/weights")[0])
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_any_chunking_gives_the_same_bits(files: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    weights(store)
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 8, 8))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 16, 24))
    url = str(files / "chopped.zarr")
    import_images(url, [str(files / "images")], [str(files / "masks")], ImportParams(), LOCAL)
    chopped = Store.open(url)
    weights(chopped)
    for name in store.names:
        for path in (f"images/{name}/labels/target/target", f"images/{name}/weights"):
            np.testing.assert_array_equal(chopped.array(path)[:], store.array(path)[:])


def test_the_halo_holds_every_cell_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the edge of a shard one cell is beside the pixel and the other 29 pixels away, just within reach (31)."""
    labels = np.zeros((120, 200), np.int32)
    labels[30, [14, 44]] = 1, 2  # pixel (30, 15), the last of its shard
    labels[100, [49, 19]] = 3, 4  # pixel (100, 48), the first of its shard
    labels[[14, 44], 120], labels[[49, 19], 190] = (5, 6), (7, 8)  # and the same upright
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    found = []
    for side in (256, 16):
        monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, side, side))
        monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, side, side))
        url = str(tmp_path / f"{side}.zarr")
        import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(), LOCAL)
        weights(Store.open(url), class_weights=(0, 1))
        found.append(np.asarray(Store(url).array("images/labels/weights")[0]))
    at_edges = found[1][[30, 100, 15, 48], [15, 48, 120, 190]]
    np.testing.assert_allclose(at_edges, 10 * np.exp(-(30**2) / 50), rtol=1e-5)
    np.testing.assert_array_equal(found[0], found[1])


def test_class_weights_balance_the_training_images(chopped: Store) -> None:
    weights(chopped)
    target = [np.asarray(chopped.array(f"images/{n}/labels/target/target")[:]).ravel() for n in chopped.names]
    share = np.concatenate(target).mean()
    used = chopped.record("images/a/weights")["parameters"]["class_weights"]
    assert used == pytest.approx([0.5 / (1 - share), 0.5 / share])


@pytest.mark.parametrize("options", [{"formula": "falk2019"}, {"border_on": "all"}, {"engine": "edt"}])
def test_every_way_is_the_same_for_every_chunking(
    files: Path, store: Store, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    options = {"separate": "symmetric", **options}
    weights(store, **options)
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 8, 8))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 24, 40))
    url = str(files / "chopped.zarr")
    import_images(url, [str(files / "images")], [str(files / "masks")], ImportParams(), LOCAL)
    weights(Store.open(url), **options)
    for path in ("images/a/labels/target/target", "images/a/weights"):
        np.testing.assert_array_equal(Store(url).array(path)[:], store.array(path)[:])


def test_the_engines_fill_a_store_alike(files: Path, small_shards: None) -> None:
    found = []
    for engine in ("numba", "edt"):
        url = str(files / f"{engine}.zarr")
        import_images(url, [], [str(files / "masks")], ImportParams(), LOCAL)
        weights(Store.open(url), engine=engine)
        found.append(np.asarray(Store(url).array("images/a/weights")[:]))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=2e-6)


def test_a_volume_of_flat_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 3, (2, 8, 8))
    monkeypatch.setitem(layout.PIXEL_SHARD, 3, (4, 16, 24))
    labels = np.stack([cell_labels((40, 50), 9, seed, radius=8) for seed in range(7)]).astype(np.int32)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(dims=3, instances="ids"), LOCAL)
    weights(Store.open(url), spacing=(4, 1, 1), class_weights=(0.5, 2))
    target = reference.separate(labels)
    expected = reference.weight_map(labels, target, (0.5, 2), spacing=(4, 1, 1))
    found = np.asarray(Store(url).array("images/labels/weights")[:])
    np.testing.assert_allclose(found, expected, atol=2e-6)
    with pytest.raises(Conflict, match=r"spacing is \[4.0, 1.0, 1.0\] there and \[1.0, 1.0, 1.0\] now"):
        weights(Store.open(url), class_weights=(0.5, 2))
    with pytest.raises(InvalidInput, match="spacing is 4,1, but images/labels is a volume"):
        weights(Store.open(url), spacing=(4, 1))


def test_a_second_run_does_nothing(chopped: Store) -> None:
    assert weights(chopped) > 10
    before = tree(chopped.url)
    assert weights(chopped) == 0
    assert tree(chopped.url) == before


def test_an_interrupted_run_is_continued_to_the_same_bytes(chopped: Store, tmp_path: Path) -> None:
    weights(chopped)
    whole = tree(chopped.url)
    array = Path(chopped.url) / "images/a/weights"
    lost = sorted(p for p in array.rglob("*") if p.is_file() and p.name != "zarr.json")[::2]
    for shard in lost:
        shard.unlink()
    Store(chopped.url).set_complete("images/a/weights", False)
    assert weights(chopped) == len(lost) > 1
    assert tree(chopped.url) == whole


def test_a_shard_of_zeros_is_written_too(tmp_path: Path, small_shards: None) -> None:
    labels = np.zeros((64, 96), np.uint8)
    labels[:4, :4] = 1
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    import_images(url := str(tmp_path / "ds.zarr"), [], [str(tmp_path / "labels.tif")], ImportParams(), LOCAL)
    weights(store := Store.open(url), class_weights=(0, 1), w0=0.0)
    assert not np.asarray(store.array("images/labels/weights")[0, 32:]).any()
    assert store.written("images/labels/weights").all()
    assert store.written("images/labels/weights").size == 4


def test_another_parameter_is_a_conflict_that_names_it(chopped: Store) -> None:
    weights(chopped)
    before = tree(chopped.url)
    with pytest.raises(Conflict, match=r"images/a/weights is in .*: sigma is 5\.0 there and 6\.0 now"):
        weights(chopped, sigma=6.0)
    assert tree(chopped.url) == before
    run_stage(chopped, STAGES["weights"], WeightsParams(sigma=6.0), LOCAL, overwrite=True)
    assert chopped.record("images/a/weights")["parameters"]["sigma"] == 6.0
    assert weights(chopped, sigma=6.0) == 0


def test_an_array_of_other_software_is_replaced_only_when_asked(store: Store) -> None:
    path = "images/a/weights"
    foreign = zarr.create_array(f"{store.url}/{path}", data=np.ones((1, 4, 4), np.float32))
    with pytest.raises(Conflict, match=r"images/a/weights is in .* unetprep did not make it"):
        weights(store)
    assert np.asarray(foreign[:]).min() == 1
    assert run_stage(store, STAGES["weights"], WeightsParams(), LOCAL, overwrite=True).shards_written


def test_what_came_from_replaced_arrays_is_a_conflict(chopped: Store) -> None:
    weights(chopped)
    run_stage(chopped, STAGES["tiles"], TILES, LOCAL)
    run_stage(chopped, STAGES["weights"], WeightsParams(w0=5.0), LOCAL, overwrite=True)
    with pytest.raises(Conflict, match=r"tiles/image is in .*: from other images/a/weights, images/b/weights"):
        run_stage(chopped, STAGES["tiles"], TILES, LOCAL)


@dataclass(frozen=True)
class Broken(Job):
    """A job whose second shard cannot be read."""

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        if any(b.start for b in boxes[0]):
            raise OSError("disk on fire")
        return (np.ones(box_shape(boxes[0])),)

    def compute_bytes(self) -> int:
        return 0


def test_a_failing_shard_is_named_and_the_array_stays_unfinished(chopped: Store) -> None:
    from unetprep.engine.run import run_plans

    made = layout.Provenance("broken", 1, {}, {})
    spec = layout.ArraySpec("images/a/weights", (1, 64, 64), "float32", layout.AXES, (1, 8, 8), (1, 32, 64), made)
    with pytest.raises(Failure, match=r"shard \(0, 1, 0\) of images/a/weights could not be read or written: disk on"):
        run_plans(chopped, [plan_job(chopped, Broken((spec,)))], LOCAL, lambda done, total, **shown: None)
    assert not chopped.record("images/a/weights")["complete"]
    with pytest.raises(InvalidInput, match="images/a/weights is unfinished"):
        chopped.finished_array("images/a/weights", "unetprep weights")


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Dask cluster of two workers in this process."""
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as made:
        yield made.scheduler_address


def test_a_cluster_gives_the_same_bytes(chopped: Store, cluster: str, tmp_path: Path) -> None:
    copy = Store(shutil.copytree(chopped.url, tmp_path / "copy.zarr").as_posix())
    seen: list[tuple[int, int]] = []
    for name, params in (("weights", WeightsParams()), ("deform", DeformParams(fields=5000)), ("tiles", TILES)):
        run_stage(chopped, STAGES[name], params, LOCAL)
        run_stage(copy, STAGES[name], params, Scheduler(cluster), on_progress=lambda d, t, **shown: seen.append((d, t)))
    assert tree(copy.url) == tree(chopped.url)
    assert all(done <= total for done, total in seen)
    assert sum(done == total for done, total in seen) == 5  # weights and tiles have two steps


def test_a_scheduler_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(InvalidInput, match="scheduler is 'slurmy'"):
        Scheduler("slurmy")


def test_fields_have_their_place_in_the_store(store: Store) -> None:
    run_stage(store, STAGES["deform"], DeformParams(fields=7, grid=(4, 4), sigma_px=3.0, seed=9), LOCAL)
    grids = store.array("fields/grids")
    assert grids.shape == (7, 2, 4, 4)
    assert store.record("fields/grids")["interpolation"] == "cubic-bspline"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightsParams(sigma=0), r"sigma is 0\n  allowed: at least 0.001"),
        (lambda: WeightsParams(sigma=float("nan")), "sigma is nan"),
        (
            lambda: WeightsParams(class_weights=(1,)),
            "class-weights is 1\n  allowed: auto, balanced, none, or a number for each class",
        ),
        (lambda: WeightsParams(class_weights=(-1, 2)), "class-weights is"),
        (lambda: WeightsParams(class_weights=(1, math.inf)), "class-weights is"),
        (lambda: WeightsParams(formula="falk2019", class_weights=(1, 2)), "but the formula falk2019 has its own"),
        (lambda: WeightsParams(rim_sigma=3), "the formula 'paper' has no rim-sigma, only w0, sigma"),
        (lambda: WeightsParams(formula="falk2019", background_weight=2), "background-weight is 2.0\n  allowed: 0 to 1"),
        (lambda: WeightsParams(spacing=(4, 1, 0)), "spacing is 4,1,0\n  allowed: two or three numbers over 0"),
        (lambda: WeightsParams(separate="yes"), "separate is 'yes'\n  allowed: raster, symmetric, none"),
        (lambda: DeformParams(grid=(1, 1)), "grid is 1,1"),
        (lambda: DeformParams(fields=0), "fields is 0"),
        (lambda: ImportParams(dims=4), "dims is 4"),
    ],
)
def test_parameters_are_checked(make: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()  # type: ignore[operator]
