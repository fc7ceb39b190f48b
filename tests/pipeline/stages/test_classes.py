"""Classes of cells: from semantic labels or from a table, through target, weights and tiles."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import unetprep
from tests import reference
from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.layout import labels_path, weights_path
from unetprep.params import ImportParams, TilesParams, VerifyParams, WeightsParams
from unetprep.relabeling.relabeler import relabel
from unetprep.stages import STAGES
from unetprep.store import Store
from unetprep.verification import verify

CELLS = cell_labels((90, 70), 12, seed=3)
CLASS_OF = np.array([0, *(1 + k % 3 for k in range(CELLS.max()))])
CLASSES = CLASS_OF[CELLS].astype(np.uint8)
SEMANTIC = ImportParams(num_classes=4)
W0, SIGMA = 7.0, 3.0


def semantic_components(classes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pixels of one class that share a side are one cell; numbered in raster order, one pixel at a time."""
    found = np.zeros(classes.shape, np.int64)
    for start in product(*map(range, classes.shape)):
        if classes[start] and not found[start]:
            todo, number = [start], found.max() + 1
            found[start] = number
            while todo:
                y, x = todo.pop()
                for at in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    inside = all(0 <= i < n for i, n in zip(at, classes.shape, strict=True))
                    if inside and not found[at] and classes[at] == classes[start]:
                        found[at] = number
                        todo.append(at)
    return found


def imported(folder: Path, labels: NDArray[np.integer], params: ImportParams = SEMANTIC, num: int = 1) -> Store:
    """A store of `num` equal images, which is a stack from 16 on."""
    for kind in ("i", "m"):
        (folder / kind).mkdir(exist_ok=True)
    for k in range(num):
        save(folder / "i" / f"{k}.tif", cell_image(CELLS))
        save(folder / "m" / f"{k}.tif", labels)
    url = str(folder / "ds.zarr")
    import_images(url, [str(folder / "i")], [str(folder / "m")], params, LOCAL)
    return Store.open(url)


def table(folder: Path, text: str) -> ImportParams:
    path = folder / "classes.csv"
    path.write_text(text)
    return ImportParams(class_table=str(path))


ROWS = "".join(f"{label},{CLASS_OF[label]}\n" for label in range(1, CELLS.max() + 1))


def values(store: Store, path: str) -> NDArray[Any]:
    """The array of an image, or of the last image of a stack."""
    last: NDArray[Any] = Store.open(store.url).read_all(path)[-1]
    return last


@pytest.mark.parametrize("num", [1, 16])
def test_semantic_labels_become_cells_and_classes(tmp_path: Path, num: int) -> None:
    labels = CLASSES.copy()
    labels[:4] = 200
    store = imported(tmp_path, labels, ImportParams(num_classes=4, ignore_label=200), num)
    (group,) = store.groups
    classes = np.where(labels == 200, 0, labels)
    expected = np.where(labels == 200, -1, semantic_components(classes))
    np.testing.assert_array_equal(values(store, labels_path(group, "instances")), expected)
    np.testing.assert_array_equal(values(store, labels_path(group, "classes")), classes)


@pytest.mark.parametrize("num", [1, 16])
@pytest.mark.parametrize("engine", ["numba", "edt"])
def test_target_and_weights_follow_the_classes(tmp_path: Path, num: int, engine: str) -> None:
    store = imported(tmp_path, CELLS.astype(np.uint16), table(tmp_path, "label,class\n" + ROWS), num)
    (group,) = store.groups
    run_stage(store, STAGES["weights"], WeightsParams(w0=W0, sigma=SIGMA, engine=engine), LOCAL)
    separate = reference.separate(CELLS)
    target = separate * CLASSES
    np.testing.assert_array_equal(values(store, labels_path(group, "target")), target)
    balance = target.size / 4 / np.bincount(target.ravel(), minlength=4)
    border = reference.weight_map(CELLS, separate, (0, 0), W0, SIGMA)
    np.testing.assert_allclose(values(store, weights_path(group)), balance[target] + border, atol=2e-5)
    assert verify(store.url, VerifyParams()).faults == ()


def test_weight_map_takes_classes() -> None:
    found = unetprep.weight_map(CELLS, W0, SIGMA, classes=CLASSES, class_weights=(0.5, 1, 2, 3))
    separate = reference.separate(CELLS)
    expected = np.array([0.5, 1, 2, 3])[separate * CLASSES] + reference.weight_map(CELLS, separate, (0, 0), W0, SIGMA)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    pair = unetprep.weight_map(CELLS, classes=CLASSES, class_weights=(0.5, 2))
    np.testing.assert_array_equal(pair, unetprep.weight_map(CELLS, class_weights=(0.5, 2)))


@pytest.mark.parametrize(
    ("classes", "weights", "message"),
    [
        (CLASSES[1:], None, "not integers of the shape"),
        (CLASSES * 0.5, None, "classes are float64"),
        (CLASSES * 0, None, "classes of cells are 0 to 0"),
        (CLASSES.astype(int) + 253, None, "classes of cells are"),
        (CLASSES, (1, 2, 3), r"class_weights are 3 numbers, not 2, background and cell, or 4"),
    ],
)
def test_weight_map_refuses_other_classes(
    classes: NDArray[np.integer], weights: tuple[float, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        unetprep.weight_map(CELLS, classes=classes, class_weights=weights)


def test_tiles_hold_the_classes_and_say_how_many(tmp_path: Path) -> None:
    store = imported(tmp_path, CLASSES)
    tiles = TilesParams(tile_px=36, depth=1, margin_px=4)
    run_stage(store, STAGES["weights"], WeightsParams(class_weights=(1, 2, 3, 4)), LOCAL)
    run_stage(store, STAGES["tiles"], tiles, LOCAL)
    assert Store.open(store.url).record("tiles")["num_classes"] == 4
    target = np.asarray(store.read_all("tiles/target"))
    assert np.unique(target).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(target[0, 4:, 4:], values(store, labels_path(store.groups[0], "target"))[:24, :24])
    with pytest.raises(InvalidInput, match="have classes, which tiles do not keep with their cells"):
        run_stage(store, STAGES["tiles"], replace(tiles, instances=True), LOCAL)


def test_large_images_have_the_same_cells_as_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Components of one class meet across shards; components of two classes that touch there stay apart."""
    from unetprep.format import layout

    monkeypatch.setattr(layout, "PIXEL_CHUNK", {2: (1, 16, 16)})
    monkeypatch.setattr(layout, "PIXEL_SHARD", {2: (1, 32, 32)})
    store = imported(tmp_path, CLASSES)
    found = values(store, labels_path(store.groups[0], "instances"))
    expected = semantic_components(CLASSES)
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == expected.max() + 1 == len(np.unique(found))
    np.testing.assert_array_equal(values(store, labels_path(store.groups[0], "classes")), CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,class\n1,1\n", "does not list the label"),
        ("label\n1\n", "line 2: class is None"),
        ("label,class\n1,a\n", "line 2: class is 'a'"),
        ("label,class\n1,0\n", "line 2: label 1, class 0"),
        ("label,class\n1,1\n1,2\n", "line 3: label 1 has class 2, and class 1 above"),
        ("label,class\n", "has no rows"),
        ("image,label,class\nother,1,1\n", "lists no cell of image '0'"),
        ("label,class\n1," + "9" * 5000 + "\n", "line 2: class is"),
        ("\xff", "cannot be read as CSV"),
    ],
)
def test_tables_that_do_not_give_every_cell_a_class_are_refused(tmp_path: Path, text: str, message: str) -> None:
    params = table(tmp_path, "")
    Path(params.class_table).write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput, match=message):
        imported(tmp_path, CELLS.astype(np.uint16), params, 1)
    assert not (tmp_path / "ds.zarr").exists()


def test_a_table_names_the_images(tmp_path: Path) -> None:
    rows = "".join(f"0_mask.tif,{label},1\n1.tif,{label},{CLASS_OF[label]}\n" for label in range(1, CELLS.max() + 1))
    store = imported(tmp_path, CELLS.astype(np.uint16), table(tmp_path, "image,label,class\n" + rows), 2)
    np.testing.assert_array_equal(values(store, "images/0/labels/classes/classes"), CELLS > 0)
    np.testing.assert_array_equal(values(store, "images/1/labels/classes/classes"), CLASSES)


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds the label 3 with num-classes 3\n.*0 \(background\) to 2"):
        imported(tmp_path, CLASSES, ImportParams(num_classes=3))
    assert not (tmp_path / "ds.zarr").exists()


def test_a_store_holds_one_number_of_classes(tmp_path: Path) -> None:
    store = imported(tmp_path, CLASSES)
    before = tree(store.url)
    save(tmp_path / "b.tif", CELLS.astype(np.uint16))
    for params, what in ((ImportParams(), "background and cells"), (ImportParams(num_classes=40), "40 classes")):
        with pytest.raises(Conflict, match=f"images/b would have {what}, and images/0 of .* has 4 classes"):
            import_images(store.url, [], [str(tmp_path / "b.tif")], params, LOCAL)
    assert tree(store.url) == before


def test_weights_need_a_number_for_each_class(tmp_path: Path) -> None:
    store = imported(tmp_path, CLASSES)
    with pytest.raises(InvalidInput, match=r"class-weights is 1,2,3, and .* has 4 classes"):
        run_stage(store, STAGES["weights"], WeightsParams(class_weights=(1, 2, 3)), LOCAL)


def test_relabel_refuses_cells_with_classes(tmp_path: Path) -> None:
    store = imported(tmp_path, CLASSES)
    with pytest.raises(InvalidInput, match="have classes, which relabel does not change"):
        relabel(store.url, [str(tmp_path / "m/0.tif")], LOCAL)


@pytest.mark.parametrize(
    "options", [{"num_classes": 3, "instances": "ids"}, {"class_table": "a.csv", "instances": "components"}]
)
def test_labels_are_either_cells_or_classes(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="instances is"):
        ImportParams(**options)  # type: ignore[arg-type]
