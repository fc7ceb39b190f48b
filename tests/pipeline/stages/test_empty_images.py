"""Images without a cell are legal examples: every stage works with them, and counts them."""

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import ImportSummary, import_images
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.estimate.forecaster import Forecaster
from unetprep.linting.linter import lint
from unetprep.params import ImportParams, LintParams, TilesParams, VerifyParams, WeightsParams
from unetprep.previews.weights import View, select
from unetprep.relabeling.relabeler import relabel
from unetprep.stages import STAGES
from unetprep.store import Store
from unetprep.verification import verify

CELLS = cell_labels((60, 50), 9)
EMPTY = np.zeros_like(CELLS)
WEIGHTS = WeightsParams(sigma=2.0)
TILES = TilesParams(tile_px=36, depth=1, margin_px=4)


def imported(folder: Path, **images: np.ndarray) -> tuple[str, ImportSummary]:
    for kind in ("i", "m"):
        (folder / kind).mkdir(exist_ok=True)
    for name, labels in images.items():
        save(folder / "i" / f"{name}.tif", cell_image(CELLS))
        save(folder / "m" / f"{name}.tif", labels)
    url = str(folder / "ds.zarr")
    return url, import_images(url, [str(folder / "i")], [str(folder / "m")], ImportParams(), LOCAL)


def made(folder: Path, **images: np.ndarray) -> str:
    url, _ = imported(folder, **images)
    run_stage(Store.open(url), STAGES["weights"], WEIGHTS, LOCAL)
    run_stage(Store.open(url), STAGES["tiles"], TILES, LOCAL)
    return url


def values(url: str, path: str) -> np.ndarray:
    return np.asarray(Store.open(url).array(path)[:])


def test_an_import_counts_images_without_cells(tmp_path: Path) -> None:
    _, summary = imported(tmp_path, a=CELLS, b=EMPTY, c=EMPTY)
    assert summary.without_cells == ("b", "c")
    assert "import: 2 images without cells: b and 1 more" in str(summary)
    (tmp_path / "other").mkdir()
    _, summary = imported(tmp_path / "other", a=CELLS, b=EMPTY)
    assert "import: 1 image without cells: b" in str(summary)


def test_their_weights_are_the_class_weight_and_their_tiles_background(tmp_path: Path) -> None:
    url = made(tmp_path, a=CELLS, b=EMPTY)
    background = Store.open(url).record("images/b/weights")["parameters"]["class_weights"][0]
    assert 0 < background < 1
    assert (values(url, "images/b/weights") == np.float32(background)).all()
    assert not values(url, "images/b/labels/target/target").any()
    which, foreground, density = (values(url, f"tiles/{n}") for n in ("image_index", "foreground", "density"))
    assert not foreground[which == 1].any()
    assert foreground[which == 0].any()
    assert 0 < density[which == 1].max() <= np.float32(0.1)  # 0.1 on background, less where the tile leaves the image


def test_other_commands_work_with_them(tmp_path: Path) -> None:
    url = made(tmp_path, a=CELLS, b=EMPTY)
    assert verify(url, VerifyParams(all=True), workers=1).faults == ()
    assert [[f.rule for f in image.findings] for image in lint([url], LintParams())][1] == ["empty"]
    assert select(url, View("b", None, None, None)).weights.shape == (60, 50)


def test_relabelling_to_and_from_an_image_without_cells_gives_the_store_made_from_the_start(tmp_path: Path) -> None:
    for before, after in ((EMPTY, CELLS[::-1]), (CELLS[::-1], EMPTY)):
        folder = tmp_path / str(before.any())
        for name, labels in (("edited", before), ("anew", after)):
            (folder / name).mkdir(parents=True)
            made(folder / name, a=CELLS, b=labels)
        save(folder / "edited" / "b.tif", after)
        relabel(str(folder / "edited" / "ds.zarr"), [str(folder / "edited" / "b.tif")], LOCAL)
        assert tree(folder / "edited" / "ds.zarr") == tree(folder / "anew" / "ds.zarr")


def test_a_mask_in_the_place_of_an_image_without_cells_is_refused_as_at_import(tmp_path: Path) -> None:
    url = made(tmp_path, a=CELLS, b=EMPTY)
    mask = np.zeros_like(EMPTY)
    mask[2:5, 2:5] = mask[20:30, 20:30] = 1
    with pytest.raises(InvalidInput, match="looks like a binary mask"):
        relabel(url, [save(tmp_path / "b.tif", mask)], LOCAL)


def test_a_store_without_any_cell_cannot_be_balanced_and_takes_given_class_weights(tmp_path: Path) -> None:
    url, _ = imported(tmp_path, a=EMPTY, b=EMPTY)
    with pytest.raises(InvalidInput, match=r"no training image .* has a cell[^$]*--class-weights 1,1"):
        run_stage(Store.open(url), STAGES["weights"], WEIGHTS, LOCAL)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(class_weights=(1, 2)), LOCAL)
    assert (values(url, "images/a/weights") == 1).all()
    relabel(url, [save(tmp_path / "b.tif", CELLS)], LOCAL)
    assert verify(url, VerifyParams(all=True), workers=1).faults == ()


def test_relabelling_that_leaves_no_cell_is_refused_before_anything_changes(tmp_path: Path) -> None:
    url = made(tmp_path, a=CELLS, b=EMPTY)
    before = tree(url)
    with pytest.raises(InvalidInput, match=r"no training image .* has a cell[^$]*--keep-class-weights"):
        relabel(url, [save(tmp_path / "a.tif", EMPTY)], LOCAL)
    assert tree(url) == before
    relabel(url, [str(tmp_path / "a.tif")], LOCAL, keep_class_weights=True)
    assert verify(url, VerifyParams(all=True), workers=1).faults == ()


def test_a_forecast_whose_sample_has_no_cell_is_no_refusal(tmp_path: Path) -> None:
    url, _ = imported(tmp_path, a=EMPTY)
    forecaster = Forecaster(url, LOCAL, create=False)
    forecaster.stage(STAGES["weights"], WEIGHTS)
    assert forecaster.result().stages[0].tasks == 2


def test_images_that_are_ignored_altogether_are_imported(tmp_path: Path) -> None:
    save(tmp_path / "y.npy", np.array([[0, -1], [-1, 0]]))
    summary = import_images(
        str(tmp_path / "ds.zarr"), [], [str(tmp_path / "y.npy")], ImportParams(ignore_label=-1), LOCAL
    )
    assert summary.without_cells == ("y",)
