from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import unetprep
from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import Conflict, InvalidInput
from unetprep.params import ImportParams
from unetprep.store import Store

LABELS = cell_labels((70, 60), 10)
IMAGE = cell_image(LABELS)


def run(folder: Path, image: np.ndarray | None, labels: np.ndarray, **params: object) -> Store:
    images = [] if image is None else [save(folder / "x.npy", image)]
    url = str(folder / "ds.zarr")
    import_images(url, images, [save(folder / "y.npy", labels)], ImportParams(**params), LOCAL)  # type: ignore[arg-type]
    return Store.open(url)


def stored(store: Store, path: str) -> np.ndarray:
    return np.asarray(store.array(path)[:])


def test_pixels_and_labels_arrive_unchanged(tmp_path: Path) -> None:
    store = run(tmp_path, IMAGE, LABELS)
    np.testing.assert_array_equal(stored(store, "images/x/image")[0, 0], IMAGE)
    np.testing.assert_array_equal(stored(store, "images/x/labels/instances/instances")[0], LABELS)
    assert store.record("images/x") == {
        "dims": 2,
        "split": "train",
        "intensity": [0.0, 255.0],
        "intensity_rule": "auto",
        "percentiles": [11.0, 179.0],
        "source": ["x.npy", "y.npy"],
    }


@pytest.mark.parametrize(
    ("dtype", "kept", "intensity"),
    [
        ("uint8", "uint8", (0, 255)),
        ("uint16", "uint16", (11, 179)),
        ("float64", "float32", (11, 179)),
        ("int16", "float32", (11, 179)),
        ("bool", "uint8", (1, 2)),
    ],
)
def test_dtypes_and_intensities(tmp_path: Path, dtype: str, kept: str, intensity: tuple[float, float]) -> None:
    image = np.clip(IMAGE, 7, 200).astype(dtype)
    store = run(tmp_path, image, LABELS)
    assert store.array("images/x/image").dtype == kept
    assert store.record("images/x")["intensity"] == list(intensity)
    np.testing.assert_array_equal(stored(store, "images/x/image")[0, 0], image.astype(kept))


def test_the_range_of_the_dtype_can_be_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path, IMAGE.astype("uint16"), LABELS, intensity="dtype").record("images/x")["intensity"] == [
        0,
        65535,
    ]
    with pytest.raises(InvalidInput, match="has dtype float32, which has no natural range"):
        run(tmp_path, IMAGE.astype("float32"), LABELS, intensity="dtype")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(np.float32) + 0.5, "labels of dtype float32"),
        (LABELS.astype(np.int16) - 1, r"holds the label -1\n.*\n.*--ignore-label -1"),
        (LABELS.astype(np.int64) * 2**31, "holds the label"),
        ((LABELS > 0).astype(np.uint8), "looks like a binary mask: its only label is 1, in .* separate pieces"),
        ((LABELS > 0).astype(np.uint8) * 255, "its only label is 255"),
        (LABELS[:-1], r"differ in size: \(1, 70, 60\) and \(1, 69, 60\)"),
    ],
)
def test_unusable_labels_are_refused_and_nothing_is_written(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(tmp_path, IMAGE, labels)
    assert not (tmp_path / "ds.zarr").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_refused_with_the_place(tmp_path: Path, value: float) -> None:
    image = IMAGE.astype(np.float32)
    image[12, 34] = value
    with pytest.raises(InvalidInput, match=r"x\.npy holds (nan|inf) at \(c, z, y, x\) = \(0, 0, 12, 34\)"):
        run(tmp_path, image, LABELS)
    assert not (tmp_path / "ds.zarr").exists()


def test_a_mask_names_the_way_out_and_components_take_it(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[2:8, 2:8], mask[20:30, 5:9] = 255, 255
    with pytest.raises(InvalidInput, match="--instances components"):
        run(tmp_path, None, mask)
    found = stored(run(tmp_path, None, mask, instances="components"), "images/y/labels/instances/instances")[0]
    np.testing.assert_array_equal(found, np.where(mask, np.arange(40)[:, None] // 20 + 1, 0))
    whole = stored(run(tmp_path / "..", None, mask, instances="ids"), "images/y/labels/instances/instances")[0]
    np.testing.assert_array_equal(whole, mask)


def test_one_cell_in_one_piece_is_no_mask(tmp_path: Path) -> None:
    run(tmp_path, None, np.pad(np.ones((5, 5), np.uint8), 10))


def test_a_single_image_is_cut_into_strips(tmp_path: Path) -> None:
    store = run(tmp_path, IMAGE, LABELS, val_fraction=0.1, test_fraction=0.3)
    assert store.names == ["x-train", "x-val", "x-test"]
    assert [store.record(f"images/{n}")["split"] for n in store.names] == ["train", "val", "test"]
    parts = [stored(store, f"images/{n}/image")[0, 0] for n in store.names]
    assert [p.shape for p in parts] == [(42, 60), (7, 60), (21, 60)]
    np.testing.assert_array_equal(np.concatenate(parts), IMAGE)


def test_a_stack_is_cut_between_slices(tmp_path: Path) -> None:
    stack = np.stack([IMAGE] * 4)
    store = run(tmp_path, stack, np.stack([LABELS] * 4), test_fraction=0.25)
    assert [store.array(f"images/{n}/image").shape for n in store.names] == [(1, 3, 70, 60), (1, 1, 70, 60)]


def test_many_images_are_split_whole_and_by_the_seed(tmp_path: Path) -> None:
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
    for k in range(10):
        save(tmp_path / "i" / f"{k}.npy", IMAGE)
        save(tmp_path / "m" / f"{k}.npy", LABELS)

    def splits(seed: int) -> list[str]:
        url = str(tmp_path / f"{seed}.zarr")
        params = ImportParams(val_fraction=0.1, test_fraction=0.2, seed=seed)
        import_images(url, [str(tmp_path / "i")], [str(tmp_path / "m")], params, LOCAL)
        store = Store.open(url)
        return [store.record(f"images/{n}")["split"] for n in store.names]

    first = splits(0)
    assert sorted(first) == ["test"] * 2 + ["train"] * 7 + ["val"]
    assert any(splits(seed) != first for seed in (1, 2, 3))


def test_repeating_does_nothing_and_other_pixels_are_a_conflict(tmp_path: Path) -> None:
    store = run(tmp_path, IMAGE, LABELS)
    before = tree(store.url)
    run(tmp_path, IMAGE, LABELS)
    assert tree(store.url) == before
    with pytest.raises(Conflict, match=r"images/x/image is in .* made in another way: from other pixels"):
        run(tmp_path, IMAGE[::-1], LABELS)
    with pytest.raises(Conflict, match=r"intensity is \[0.0, 255.0\] there"):
        run(tmp_path, IMAGE, LABELS, intensity="minmax")
    assert tree(store.url) == before


def test_fractions_that_leave_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="leave nothing to train on"):
        ImportParams(val_fraction=0.5, test_fraction=0.5)


@pytest.mark.parametrize("place", ["sub.zarr", "images/img/sub.zarr", "deep/er/sub.zarr"])
def test_a_new_store_inside_of_a_store_is_refused(tmp_path: Path, place: str) -> None:
    store = run(tmp_path, IMAGE, LABELS)
    before = tree(store.url)
    for url in (f"{store.url}/{place}", f"file://{store.url}/{place}"):
        with pytest.raises(InvalidInput, match="lies inside the Zarr hierarchy"):
            Store.refuse_other(url)
        with pytest.raises(InvalidInput, match="lies inside the Zarr hierarchy"):
            Store.open_or_create(url)
    assert tree(store.url) == before


def test_what_is_no_store_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "ds.zarr").mkdir()
    (tmp_path / "ds.zarr" / "mine.txt").write_text("precious")
    with pytest.raises(Conflict, match="exists and is not a store of unetprep"):
        run(tmp_path, IMAGE, LABELS)
    assert tree(tmp_path / "ds.zarr") == {"mine.txt": b"precious"}


def test_components_hang_together_by_sides_and_not_through_slices(tmp_path: Path) -> None:
    mask = np.zeros((2, 4, 6), np.uint8)
    mask[:, 0, 0], mask[:, 1, 1], mask[:, 3, 2:5] = 1, 1, 1
    found = stored(run(tmp_path, None, mask, instances="components"), "images/y/labels/instances/instances")
    assert (found[0, 0, 0], found[0, 1, 1], found[0, 3, 2], found[0, 3, 4]) == (1, 2, 3, 3)
    assert set(found[1].ravel()) == {0, 4, 5, 6}
    (tmp_path / "volume").mkdir()
    volume = run(tmp_path / "volume", None, mask, instances="components", dims=3)
    assert stored(volume, "images/y/labels/instances/instances").max() == 3


def reused(labels: np.ndarray) -> np.ndarray:
    """Labels with the numbers 1, 2, ... used again, each for cells that do not touch at sides or corners."""
    found = np.zeros(labels.shape, np.uint8)
    for cell in np.unique(labels[labels > 0]):
        around = ndimage.binary_dilation(labels == cell, np.ones((3, 3), bool))
        found[labels == cell] = min({*range(1, 20)} - {*found[around].tolist()})
    return found


def test_pieces_of_one_number_are_cells_even_where_they_touch(tmp_path: Path) -> None:
    """The masks of BBBC039: RGBA, the numbers in the first channel."""
    numbers = reused(LABELS)
    assert numbers.max() < 8 < LABELS.max()
    rgba = np.stack([numbers, 0 * numbers, 0 * numbers, 0 * numbers + 255], axis=-1)
    mask = save(tmp_path / "y.png", rgba)
    params = ImportParams(instances="pieces", connectivity=8, label_channel=0)
    import_images(str(tmp_path / "ds.zarr"), [], [mask], params, LOCAL)
    store = Store.open(str(tmp_path / "ds.zarr"))
    found = stored(store, "images/y/labels/instances/instances")[0]
    pairs = np.unique(np.stack([found, LABELS])[:, LABELS > 0], axis=1).T
    assert len(pairs) == found.max() == len(np.unique(LABELS)) - 1, "one number for each cell, and one cell for each"
    np.testing.assert_array_equal(found == 0, LABELS == 0)
    assert not unetprep.verify(store.url).faults


def test_labels_that_use_numbers_again_name_pieces(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--instances pieces each of one number"):
        run(tmp_path, None, np.tile(reused(LABELS), (3, 3)))


# -- ignored pixels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ignored", "dtype"), [(-1, "int16"), (255, "uint8"), (-7, "int64"), (2**32 - 1, "uint32")])
def test_ignored_pixels_are_stored_as_minus_one(tmp_path: Path, ignored: int, dtype: str) -> None:
    labels = LABELS.astype(dtype)
    labels[:9], labels[30:40, 20:30] = ignored, ignored
    found = stored(run(tmp_path, None, labels, ignore_label=ignored), "images/y/labels/instances/instances")[0]
    np.testing.assert_array_equal(found, np.where(labels == ignored, -1, labels.astype(np.int64)))


def test_ignored_pixels_are_no_piece(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:6, 2:6], mask[2:6, 6:9], mask[2:6, 9:12], mask[15:, 15:] = 1, 7, 1, 1
    found = stored(
        run(tmp_path, None, mask, instances="components", ignore_label=7), "images/y/labels/instances/instances"
    )[0]
    assert [found[3, x] for x in (2, 7, 10)] == [1, -1, 2]
    np.testing.assert_array_equal(found == -1, mask == 7)
    assert found.max() == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, -1], [-2, 1]]), r"holds the label -2\n.*\n.*--ignore-label -2"),
        (np.array([[1, -1, 1], [-1, 0, 0]]), "looks like a binary mask: its only label is 1, in 2 separate pieces"),
    ],
)
def test_what_is_left_beside_ignored_pixels_is_checked_as_ever(
    tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(tmp_path, None, labels, ignore_label=-1)
    assert not (tmp_path / "ds.zarr").exists()


def test_the_ignored_number_counts_in_the_provenance_and_is_not_the_background(tmp_path: Path) -> None:
    run(tmp_path, None, LABELS)
    with pytest.raises(Conflict, match="ignore-label is None there and 3 now"):
        run(tmp_path, None, LABELS, ignore_label=3)
    with pytest.raises(InvalidInput, match="ignore-label is 0, which is background"):
        ImportParams(ignore_label=0)
