"""The Python API of the pipeline does what the commands do."""

from pathlib import Path

import numpy as np
import pytest

import unetprep
from tests.pipeline.conftest import tree
from tests.synthetic import cell_image, cell_labels
from unetprep.errors import Conflict, InvalidInput
from unetprep.params import TilesParams, WeightsParams
from unetprep.prepare import Work, plan, prepare
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


def test_stages_on_a_store(files: Path) -> None:
    url = str(files / "ds.zarr")
    told: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int, **shown: float) -> None:
        told.append((stage, done, total))

    imported = unetprep.import_images(url, [str(files / "images")], [str(files / "masks")], on_progress=note)
    assert (imported.stage, imported.shards_written) == ("import", 4)
    assert told[0] == ("import", 0, 0)
    assert told[-1] == ("import", 4, 4)
    (weights,) = unetprep.weights(url, params=WeightsParams(class_weights="1,2"))
    assert weights.shards_written == 4
    assert unetprep.deform(url, unetprep.DeformParams(fields=3)).shards_written
    assert unetprep.tiles(url, TILES).shards_written
    assert unetprep.tiles(url, TILES).shards_written == 0
    with pytest.raises(Conflict, match="class-weights"):
        unetprep.weights(url, params=WeightsParams(class_weights="1,3"))
    labels = np.load(files / "masks/a.npy")
    expected = unetprep.weight_map(labels, class_weights=(1, 2))
    np.testing.assert_allclose(np.asarray(Store.open(url).array("images/a/weights")[0]), expected, atol=2e-6)


def test_labels_alone(files: Path) -> None:
    summaries = unetprep.weights(str(files / "ds.zarr"), [str(files / "masks/a.npy")])
    assert [s.stage for s in summaries] == ["import", "weights"]


def test_a_recipe_and_work_give_the_same_store(files: Path) -> None:
    (files / "r.toml").write_text(
        'out = "of-recipe.zarr"\n[import]\nimage = "images"\nlabels = "masks"\n[deform]\nfields = 3\n'
        "[tiles]\ntile = 60\ndepth = 2\nmargin = 8\n"
    )
    unetprep.run_recipe(str(files / "r.toml"))
    stages = {"weights": WeightsParams(), "deform": unetprep.DeformParams(fields=3), "tiles": TILES}
    prepare(Work(str(files / "of-work.zarr"), [str(files / "images")], [str(files / "masks")], stages=stages))
    assert tree(files / "of-recipe.zarr") == tree(files / "of-work.zarr")


def test_an_estimate_writes_nothing(files: Path) -> None:
    work = Work(
        str(files / "ds.zarr"), [str(files / "images")], [str(files / "masks")], stages={"weights": WeightsParams()}
    )
    before = sorted(files.rglob("*"))
    found = plan(work)
    assert [stage.stage for stage in found.stages] == ["import", "weights"]
    assert found.files > 8
    assert sorted(files.rglob("*")) == before


def test_work_that_cannot_fit_is_refused_before_anything_is_written(files: Path) -> None:
    with pytest.raises(InvalidInput, match="memory"):
        unetprep.weights(
            str(files / "ds.zarr"), [str(files / "masks/a.npy")], cluster=unetprep.ClusterParams(memory="1MiB")
        )
    assert not (files / "ds.zarr").exists()


def test_a_store_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not there"):
        unetprep.tiles(str(tmp_path / "ds.zarr"))
    assert not any(tmp_path.iterdir())
