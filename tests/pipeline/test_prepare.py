"""The Python API of the pipeline does what the commands do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import unetprep
from tests.pipeline.conftest import tree
from tests.synthetic import cell_image, cell_labels
from unetprep import TilesParams, WeightsParams
from unetprep.errors import Conflict, InvalidInput
from unetprep.sources.arrays import ArraySource
from unetprep.sources.formats.npy import NpySource
from unetprep.sources.source import Source
from unetprep.stages.table import STAGES
from unetprep.store import Store

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, seed in (("a", 0), ("b", 1)):
        labels = cell_labels((70, 80), 9, seed)
        for folder, array in (("images", cell_image(labels)), ("masks", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{name}.npy", array)
    return tmp_path


def arrays(files: Path, kind: str) -> dict[str, np.ndarray]:
    """The arrays of the files, by name."""
    return {path.stem: np.load(path) for path in sorted((files / kind).iterdir())}


def test_stages_on_a_store(files: Path) -> None:
    url = files / "ds.zarr"
    told: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int, **shown: float) -> None:
        told.append((stage, done, total))

    imported = unetprep.import_images(url, files / "images", files / "masks", on_progress=note)
    assert (imported.stage, imported.shards_written) == ("import", 4)
    assert told[0] == ("import", 0, 0)
    assert told[-1] == ("import", 4, 4)
    (weights,) = unetprep.weights(url, params=WeightsParams(class_weights=(1, 2)))
    assert weights.shards_written == 4
    assert unetprep.deform(url, unetprep.DeformParams(fields=3)).shards_written
    assert unetprep.tiles(url, TILES).shards_written
    assert unetprep.tiles(url, TILES).shards_written == 0
    with pytest.raises(Conflict, match="class-weights"):
        unetprep.weights(url, params=WeightsParams(class_weights=(1, 3)))
    labels = np.load(files / "masks/a.npy")
    expected = unetprep.weight_map(labels, class_weights=(1, 2))
    np.testing.assert_allclose(np.asarray(Store.open(str(url)).array("images/a/weights")[0]), expected, atol=2e-6)


def test_every_command_is_a_function(files: Path) -> None:
    url = files / "ds.zarr"
    assert set(STAGES) <= set(unetprep.__all__)
    unetprep.prepare_store(url, files / "images", files / "masks", [WeightsParams(), unetprep.DeformParams(fields=3)])
    assert [image.arrays["weights"].state for image in unetprep.info(url).images] == ["finished"] * 2
    assert unetprep.verify(url, workers=1).faults == ()
    assert [len(image.findings) for image in unetprep.lint(files / "masks", ignored=["touching"])] == [0, 0]
    edited = np.load(files / "masks/a.npy")
    edited[edited == 1] = 0
    np.save(files / "a.npy", edited)
    assert unetprep.relabel(url, files / "a.npy", keep_class_weights=True).shards["weights"].recomputed == 1
    drawn = unetprep.preview(url, "b", size_px=40, out=files / "p.png")
    assert drawn.shown.weights.shape == (40, 40)
    assert (files / "p.png").read_bytes()[1:4] == b"PNG"
    assert len(unetprep.preview_fields(url, [2], size_px=40).figure.axes) == 4


def test_labels_alone(files: Path) -> None:
    summaries = unetprep.weights(files / "ds.zarr", files / "masks/a.npy")
    assert [s.stage for s in summaries] == ["import", "weights"]


def test_a_recipe_and_a_call_give_the_same_store(files: Path) -> None:
    (files / "r.toml").write_text(
        'out = "of-recipe.zarr"\n[import]\nimage = "images"\nlabels = "masks"\n[deform]\nfields = 3\n'
        "[tiles]\ntile = 60\ndepth = 2\nmargin = 8\n"
    )
    unetprep.run_recipe(files / "r.toml")
    stages = [WeightsParams(), unetprep.DeformParams(fields=3), TILES]
    unetprep.prepare_store(files / "of-call.zarr", files / "images", files / "masks", stages)
    assert tree(files / "of-recipe.zarr") == tree(files / "of-call.zarr")


def test_an_estimate_writes_nothing(files: Path) -> None:
    before = sorted(files.rglob("*"))
    for labels in (files / "masks", arrays(files, "masks")):
        found = unetprep.plan(files / "ds.zarr", (), labels, [WeightsParams()], memory="2GiB")
        assert [stage.stage for stage in found.stages] == ["import", "weights"]
        assert found.files > 8
    assert sorted(files.rglob("*")) == before


# -- where it runs ----------------------------------------------------------------------------------------------------


def test_keywords_override_the_cluster(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[unetprep.ClusterParams] = []

    def refuse(params: unetprep.ClusterParams) -> None:
        seen.append(params)
        raise InvalidInput("seen")

    monkeypatch.setattr("unetprep.engine.scheduler.Scheduler.of", refuse)
    for options in ({"scheduler": "processes", "workers": 8}, {"memory": "8GiB"}):
        with pytest.raises(InvalidInput, match="seen"):
            unetprep.deform(files / "ds.zarr", cluster=unetprep.ClusterParams(workers=2), **options)
    assert seen == [
        unetprep.ClusterParams(scheduler="processes", workers=8),
        unetprep.ClusterParams(workers=2, memory="8GiB"),
    ]
    with pytest.raises(TypeError, match="wokers"):
        unetprep.deform(files / "ds.zarr", wokers=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("stages", [[WeightsParams()], []])
def test_work_that_cannot_fit_is_refused_before_anything_is_written(files: Path, stages: list[Any]) -> None:
    with pytest.raises(InvalidInput, match="memory"):
        unetprep.prepare_store(files / "ds.zarr", (), files / "masks/a.npy", stages, memory="1MiB")
    assert not (files / "ds.zarr").exists()


def test_stages_that_cannot_fit_are_refused_after_the_first_pass(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.stages.weights.WeightsJob.compute_bytes", lambda job: 2**40)
    with pytest.raises(InvalidInput, match=r"--memory \d+GiB or more"):
        unetprep.weights(files / "ds.zarr", files / "masks/a.npy", memory="4GiB")
    assert not (files / "ds.zarr").exists()


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many pixels of files have been read since the last call."""
    total = [0]
    read = NpySource._read_file

    def counting(source: NpySource, box: Any) -> np.ndarray:
        found = read(source, box)
        total[0] += found.size
        return found

    monkeypatch.setattr(NpySource, "_read_file", counting)

    def since() -> int:
        total[0], found = 0, total[0]
        return found

    return since


@pytest.mark.parametrize("memory", [{}, {"memory": "4GiB"}])
def test_a_memory_limit_adds_no_reading(files: Path, num_read: Callable[[], int], memory: dict[str, Any]) -> None:
    num_pixels = sum(array.size for kind in ("images", "masks") for array in arrays(files, kind).values())
    stages = [WeightsParams(), TILES]
    unetprep.prepare_store(files / "ds.zarr", files / "images", files / "masks", stages, **memory)
    assert num_read() == 2 * num_pixels  # the first pass, and the copy


def test_a_store_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not there"):
        unetprep.tiles(tmp_path / "ds.zarr")
    assert not any(tmp_path.iterdir())


# -- arrays -----------------------------------------------------------------------------------------------------------


def pixels(store: Path) -> dict[str, bytes]:
    """The shards of a store."""
    return {path: data for path, data in tree(store).items() if "/c/" in path}


def test_arrays_are_imported_as_files_are(files: Path) -> None:
    unetprep.import_images(files / "of-files.zarr", files / "images", files / "masks")
    images, labels = arrays(files, "images"), arrays(files, "masks")
    unetprep.import_images(files / "of-arrays.zarr", images, labels)
    assert pixels(files / "of-arrays.zarr") == pixels(files / "of-files.zarr")
    assert [image.record["source"] for image in unetprep.info(files / "of-arrays.zarr").images] == [
        ["array a", "array a"],
        ["array b", "array b"],
    ]
    assert unetprep.import_images(files / "of-arrays.zarr", images, labels).shards_written == 0
    images["a"] = images["a"] + 1
    with pytest.raises(Conflict, match=r"images/a/image is in .* already, made in another way"):
        unetprep.import_images(files / "of-arrays.zarr", images, labels)


def test_a_single_array_has_a_name_and_may_name_its_axes(tmp_path: Path) -> None:
    labels = np.stack([cell_labels((40, 50), 5, seed) for seed in range(2)])
    image = xarray.DataArray(np.stack([cell_image(z) for z in labels], axis=-1), dims=("y", "x", "z"), name="embryo")
    with pytest.raises(InvalidInput, match="an array is given without a name"):
        unetprep.import_images(tmp_path / "ds.zarr", image, labels)
    unetprep.import_images(tmp_path / "ds.zarr", image, labels, unetprep.ImportParams(dims=3), name="embryo")
    (found,) = unetprep.info(tmp_path / "ds.zarr").images
    assert (found.name, found.arrays["image"].shape) == ("embryo", (1, 2, 40, 50))
    np.testing.assert_array_equal(
        np.asarray(Store.open(str(tmp_path / "ds.zarr")).array("images/embryo/image")[0]),
        image.values.transpose(2, 0, 1),
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), 0.5, np.float32), "array x: labels of dtype float32"),
        (np.zeros((4, 4), complex), "array x has dtype complex128"),
        (np.zeros((0, 4), int), "array x has no pixels"),
        (np.zeros(4, int), r"array x has shape \(4,\)"),
        (np.array([[1, 0, 1]]), "array x looks like a binary mask"),
        (np.array([[-1, 2]]), "array x holds the label -1"),
    ],
)
def test_arrays_are_checked_as_files_are(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        unetprep.weights(tmp_path / "ds.zarr", array, name="x")
    assert not any(tmp_path.iterdir())


def test_arrays_stay_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="array x is in the memory of this process, and scheduler is 'processes'"):
        unetprep.weights(tmp_path / "ds.zarr", np.zeros((9, 9), int), name="x", scheduler="processes", workers=1)


def test_labels_in_memory_are_linted() -> None:
    labels = cell_labels((60, 60), 4)
    found = unetprep.lint({"a": labels, "b": labels * 0})
    assert [(image.path, [f.rule for f in image.findings]) for image in found][1] == ("array b", ["empty"])
    assert found[0].cells == 4
    assert unetprep.lint(labels * 0)[0].path == "array labels"


def test_a_source_of_an_array_compares_by_name_and_shape() -> None:
    source: Source = ArraySource("array a", "yx", (2, 2), "int64", "a", np.zeros((2, 2), int))
    assert source == ArraySource("array a", "yx", (2, 2), "int64", "a", np.ones((2, 2), int))
    assert (source.stem, source.at_absolute_path()) == ("a", source)


def test_parameters_of_another_stage_are_refused(tmp_path: Path) -> None:
    store = tmp_path / "ds.zarr"
    with pytest.raises(InvalidInput, match="params is TilesParams\n  allowed: DeformParams"):
        unetprep.deform(store, TilesParams())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="params is DeformParams\n  allowed: WeightsParams"):
        unetprep.weights(store, params=unetprep.DeformParams())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="params is WeightsParams\n  allowed: ImportParams"):
        unetprep.import_images(store, "images", "labels", WeightsParams())  # type: ignore[arg-type]
    assert not store.exists()


@pytest.mark.parametrize("labels", [[], "", {}])
def test_an_import_needs_labels(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(InvalidInput, match="no labels are given"):
        unetprep.import_images(tmp_path / "ds.zarr", [], labels)


def test_an_estimate_for_arrays_on_workers_is_refused_too() -> None:
    labels = cell_labels((60, 60), 4)
    with pytest.raises(InvalidInput, match="scheduler"):
        unetprep.plan("ds.zarr", [], labels, [WeightsParams()], name="a", scheduler="processes")


def test_a_spacing_that_does_not_fit_replaces_nothing(tmp_path: Path) -> None:
    store = tmp_path / "ds.zarr"
    unetprep.weights(store, cell_labels((60, 60), 4), name="a")
    before = tree(store)
    with pytest.raises(InvalidInput, match="spacing is 4,1,1, but images/a is made of independent slices"):
        unetprep.weights(store, params=WeightsParams(spacing=(4, 1, 1), separate="symmetric"), overwrite=True)
    assert tree(store) == before


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ignored is 'toching'\n  allowed: empty"):
        unetprep.lint(cell_labels((60, 60), 4), ignored=["toching"])


def test_edited_labels_in_memory_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="labels are given as arrays"):
        unetprep.relabel(tmp_path / "ds.zarr", [cell_labels((60, 60), 4)])  # type: ignore[list-item]
