"""Labels that are no numbers of cells, wherever they enter a store."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import measure

import unetprep
from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import ImportSummary, import_images
from unetprep.errors import InvalidInput
from unetprep.format.layout import labels_path
from unetprep.params import ImportParams
from unetprep.store import Store

Labels = NDArray[Any]
LABELS = cell_labels((96, 110), 12)
APART = np.where(ndimage.minimum_filter(LABELS, 3) == ndimage.maximum_filter(LABELS, 3), LABELS, 0)  # none touch
MASK = (APART > 0).astype(np.uint8) * 255


def run(folder: Path, labels: Labels, image: Labels | None = None, **params: object) -> ImportSummary:
    images = [] if image is None else [save(folder / "x.png", image)]
    paths = [save(folder / "y.png", labels)]
    return import_images(str(folder / "ds.zarr"), images, paths, ImportParams(**params), LOCAL)  # type: ignore[arg-type]


def instances(folder: Path) -> Labels:
    return np.asarray(Store.open(str(folder / "ds.zarr")).read_all("images/y/labels/instances/instances")[0])


def jpeg() -> Labels:
    file = BytesIO()
    Image.fromarray(MASK).save(file, "JPEG", quality=85)
    return np.array(Image.open(file))


def resized() -> Labels:
    height, width = MASK.shape
    return np.array(Image.fromarray(MASK).resize((2 * width // 3, 2 * height // 3), Image.Resampling.BILINEAR))


def classes() -> Labels:
    return np.where(APART > 0, 1 + APART % 2, 0).astype(np.uint8)


def unlabelled() -> Labels:
    labels = (APART > 0).astype(np.uint8)
    labels[70:] = 255
    return labels


def with_borders(value: int = 255) -> Labels:
    """Cells with a rim of a number for pixels without a label, as in PASCAL VOC."""
    rim = (ndimage.maximum_filter(APART, 3) > 0) & (APART == 0)
    return np.where(rim, value, APART).astype(np.uint8)


def faint_jpeg() -> Labels:
    """A mask as in a JPEG file of quality 100: values within 1 of 0 and 255 at single pixels."""
    rng = np.random.default_rng(0)
    noise = rng.random(MASK.shape) < 0.05
    return np.where(noise, np.where(MASK, 254, 1), MASK).astype(np.uint8)


ROWS: list[tuple[Callable[[], Labels], str]] = [
    (jpeg, r"a mask of 0 and 255 that was resized(.|\n)*--instances components --label-threshold 127"),
    (resized, r"a mask of 0 and 255 that was resized with interpolation(.|\n)*--label-threshold 127"),
    (classes, r"looks like an image of classes: .* 1 in \d, 2 in \d(.|\n)*--instances components .*--num-classes 3"),
    (unlabelled, r"255 seems to mark pixels without a label(.|\n)*--ignore-label 255 --instances components"),
    (with_borders, r"255 seems to mark pixels without a label(.|\n)*--ignore-label 255"),
    (lambda: with_borders(254), r"254 seems to mark pixels without a label(.|\n)*--ignore-label 254"),
    (faint_jpeg, r"a mask of 0 and 255 that was resized(.|\n)*--instances components --label-threshold 127"),
    (lambda: cell_image(LABELS), r"looks like an image, or like labels that were interpolated"),
    (lambda: np.where(APART > 0, 160, 40).astype(np.uint8), r"looks like an image of classes"),
]
IDS = ["jpeg", "resized", "classes", "unlabelled", "borders-255", "borders-254", "faint-jpeg", "image", "flat-image"]


@pytest.mark.parametrize(("labels", "message"), ROWS, ids=IDS)
def test_what_is_no_set_of_numbers_is_refused_with_a_way_out(
    tmp_path: Path, labels: Callable[[], Labels], message: str
) -> None:
    with pytest.raises(InvalidInput, match=r"y\.png looks like (.|\n)*unetprep lint .*y\.png shows where") as error:
        run(tmp_path, labels())
    assert error.match(message)
    assert not (tmp_path / "ds.zarr").exists()
    with pytest.raises(InvalidInput, match=message):
        unetprep.weights(tmp_path / "ds.zarr", labels(), name="y")
    found = {finding.rule for finding in unetprep.lint(labels())[0].findings}
    assert found & {"interpolated", "classes"}


@pytest.mark.parametrize("labels", [row[0] for row in ROWS], ids=IDS)
def test_instances_ids_takes_every_number_and_says_what(tmp_path: Path, labels: Callable[[], Labels]) -> None:
    done = run(tmp_path, labels(), instances="ids")
    (note,) = done.warnings
    assert note.endswith("each number is taken as one cell, as --instances ids says")
    np.testing.assert_array_equal(instances(tmp_path), labels())
    assert run(tmp_path, labels(), instances="ids").warnings == [note]


def test_of_many_odd_images_the_first_are_named(tmp_path: Path) -> None:
    labels = {f"{k:02}": classes() for k in range(30)}
    done = unetprep.import_images(tmp_path / "ds.zarr", (), labels, ImportParams(instances="ids"))
    assert [len(done.warnings), done.warnings[-1]] == [11, "20 more label images look odd"]


def test_a_jpeg_file_is_named_as_the_cause(tmp_path: Path) -> None:
    Image.fromarray(MASK).save(tmp_path / "m.jpg", quality=90)
    with pytest.raises(InvalidInput, match=r"m\.jpg looks like a mask of 0 and 255 that was saved as JPEG"):
        import_images(str(tmp_path / "ds.zarr"), [], [str(tmp_path / "m.jpg")], ImportParams(), LOCAL)


# -- the ways out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [jpeg, resized, faint_jpeg])
def test_a_threshold_makes_cells_of_a_grey_mask(tmp_path: Path, labels: Callable[[], Labels]) -> None:
    grey = labels()
    with pytest.raises(InvalidInput, match="--label-threshold 127"):
        run(tmp_path, grey, instances="components")
    run(tmp_path, grey, instances="components", label_threshold=127)
    np.testing.assert_array_equal(instances(tmp_path), ndimage.label(grey > 127)[0])
    run(tmp_path, grey, instances="components", label_threshold=127)
    with pytest.raises(unetprep.Conflict, match="label-threshold is 127 there and 90 now"):
        run(tmp_path, grey, instances="components", label_threshold=90)


def test_a_threshold_also_counts_in_stacks(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for k in range(20):
        save(tmp_path / "m" / f"{k:02}.npy", np.roll(jpeg(), k, 1))
    params = ImportParams(instances="components", label_threshold=100)
    import_images(str(tmp_path / "ds.zarr"), [], [str(tmp_path / "m")], params, LOCAL)
    found = Store.open(str(tmp_path / "ds.zarr")).read_all("stacks/0/labels/instances/instances")
    np.testing.assert_array_equal(found[7], ndimage.label(np.roll(jpeg(), 7, 1) > 100)[0])


def test_unlabelled_pixels_and_classes_have_a_way_out(tmp_path: Path) -> None:
    run(tmp_path, unlabelled(), instances="components", ignore_label=255)
    expected = np.where(unlabelled() == 255, -1, ndimage.label(unlabelled() == 1)[0])
    np.testing.assert_array_equal(instances(tmp_path), expected)
    (tmp_path / "classes").mkdir()
    run(tmp_path / "classes", classes(), instances="components")
    np.testing.assert_array_equal(instances(tmp_path / "classes"), ndimage.label(classes())[0])


def test_borders_without_a_label_are_left_out_or_named(tmp_path: Path) -> None:
    run(tmp_path, with_borders(), ignore_label=255)
    np.testing.assert_array_equal(instances(tmp_path), np.where(with_borders() == 255, -1, APART.astype(int)))
    (tmp_path / "mask").mkdir()
    mask = np.where(with_borders() == 255, 255, APART > 0).astype(np.uint8)
    (note,) = run(tmp_path / "mask", mask, instances="components").warnings
    assert "255 seems to mark pixels without a label" in note
    (tmp_path / "one").mkdir()
    (note,) = run(tmp_path / "one", square((7, 5, 5), (255, 30, 30))).warnings
    assert "it is taken as a cell; if it does: --ignore-label 255" in note


def test_many_classes_are_suggested_only_where_they_are_in_use(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--instances components") as error:
        run(tmp_path, classes() * np.uint8(100))
    assert "--num-classes" not in str(error.value)


def test_the_named_check_reads_the_file_alike(tmp_path: Path) -> None:
    path = save(tmp_path / "y.tif", np.stack([APART.astype(np.uint8), classes()]))
    params = ImportParams(label_axes="cyx", label_channel=1)
    with pytest.raises(InvalidInput, match=r"unetprep lint .*y\.tif --label-axes cyx --label-channel 1 shows where"):
        import_images(str(tmp_path / "ds.zarr"), [], [path], params, LOCAL)


def test_components_of_classes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.stages.label_guard.check_values", lambda *_: pytest.fail("read again"))
    run(tmp_path, classes(), instances="components")
    with pytest.raises(pytest.fail.Exception, match="read again"):
        run(tmp_path, classes())


def test_a_threshold_needs_components() -> None:
    with pytest.raises(InvalidInput, match="label-threshold is 9 with instances auto"):
        ImportParams(label_threshold=9)


# -- labels that are right --------------------------------------------------------------------------------------------


def square(*corners: tuple[int, int, int], shape: tuple[int, ...] = (64, 64)) -> NDArray[np.uint8]:
    """Squares of 8 pixels: (number, y, x)."""
    labels = np.zeros(shape, np.uint8)
    for number, y, x in corners:
        labels[..., y : y + 8, x : x + 8] = number
    return labels


RIGHT = {
    "one cell": square((1, 5, 5)),
    "two cells": square((1, 5, 5), (2, 30, 30)),
    "three cells": square((1, 5, 5), (2, 30, 30), (3, 50, 5)),
    "a cell in two pieces": square((1, 5, 5), (1, 5, 30), (2, 30, 30), (3, 50, 5)),
    "every cell in two pieces": square((1, 5, 5), (1, 5, 30), (2, 30, 30), (2, 50, 50)),
    "a cell in six pieces": square((2, 50, 40), (3, 50, 5), *((1, y, x) for y in (2, 20) for x in (2, 20, 40))),
    "one pixel between cells": square(*((1 + n, 9 * (n // 7), 9 * (n % 7)) for n in range(49))),
    "cells that touch": square(*((1 + n, 8 * (n // 8), 8 * (n % 8)) for n in range(64))),
    "two halves": np.repeat([[1], [2]], 32, 0).astype(np.uint8).repeat(64, 1),
    "a line between": np.where(np.arange(64) == 32, 0, 1 + (np.arange(64) > 32))[None].repeat(64, 0).astype(np.uint8),
    "debris": square((1, 5, 5), (2, 30, 30)) | np.pad(np.diag(np.full(12, 4, np.uint8)), 20 + 6),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_labels_are_taken(tmp_path: Path, name: str) -> None:
    labels = RIGHT[name]
    run(tmp_path, labels)
    np.testing.assert_array_equal(instances(tmp_path), labels)


@pytest.mark.parametrize("dims", [2, 3])
def test_cells_of_several_slices_are_taken(tmp_path: Path, dims: int) -> None:
    labels = np.zeros((6, 64, 64), np.uint8)
    for z in range(6):  # two neurites, which leave the plane and come back
        labels[z] = square((1, 5, 5 + z), (1, 30, 5), (2, 5, 40), (2, 40 + z, 40))
    labels[3, 5:13, 5:40] = 1
    path = str(tmp_path / "ds.zarr")
    import_images(path, [], [save(tmp_path / "v.tif", labels)], ImportParams(dims=dims), LOCAL)
    np.testing.assert_array_equal(Store.open(path).read_all("images/v/labels/instances/instances"), labels)


def test_a_doubtful_case_is_taken_with_a_note(tmp_path: Path) -> None:
    (note,) = run(tmp_path, RIGHT["a cell in six pieces"]).warnings
    assert (
        "1 in 6; each number is taken as one cell; if each connected piece of a number is one: --instances pieces"
        in note
    )


# -- images and labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [cell_image(LABELS), np.where(APART > 0, 160, 40).astype(np.uint8)])
def test_swapped_image_and_labels(tmp_path: Path, image: Labels) -> None:
    with pytest.raises(InvalidInput, match=r"y\.png looks like an image, and .*x\.png like its labels") as error:
        run(tmp_path, image, LABELS.astype(np.uint8))
    assert error.match(f"--image {tmp_path}/y.png --labels {tmp_path}/x.png")


def test_one_file_for_both(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LABELS.astype(np.uint8))
    with pytest.raises(InvalidInput, match=r"a\.png is given as an image and as its labels"):
        import_images(str(tmp_path / "ds.zarr"), [path], [path], ImportParams(), LOCAL)
    with pytest.raises(InvalidInput, match="array a is given as an image and as its labels"):
        unetprep.import_images(tmp_path / "ds.zarr", {"a": LABELS}, {"a": LABELS})
    unetprep.import_images(tmp_path / "ds.zarr", {"a": cell_image(LABELS).astype(LABELS.dtype)}, {"a": LABELS})


# -- ignored and empty ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeated", [False, True])
def test_an_ignored_number_that_is_nowhere_is_named(tmp_path: Path, repeated: bool) -> None:
    (tmp_path / "m").mkdir()
    for k in range(40):
        save(tmp_path / "m" / f"{k}.png", LABELS.astype(np.uint8))
    params, url = ImportParams(ignore_label=99), str(tmp_path / "ds.zarr")
    for _ in range(1 + repeated):
        done = import_images(url, [], [str(tmp_path / "m")], params, LOCAL)
    assert done.warnings == ["--ignore-label 99 occurs in no label image (40 read)"]
    save(tmp_path / "m" / "40.png", np.where(LABELS == 1, 99, LABELS).astype(np.uint8))
    assert not import_images(url, [], [str(tmp_path / "m")], params, LOCAL).warnings


def test_images_without_cells(tmp_path: Path) -> None:
    empty = {str(k): np.zeros((40, 40), np.uint8) for k in range(4)}
    done = unetprep.import_images(tmp_path / "all.zarr", (), empty)
    assert done.without_cells == ("0", "1", "2", "3")
    assert done.warnings == ["no label image has a cell: check that these are the right labels"]
    done = unetprep.import_images(tmp_path / "some.zarr", (), {**empty, "a": RIGHT["two cells"]})
    assert (done.without_cells, done.warnings) == (("0", "1", "2", "3"), [])


# -- relabel ----------------------------------------------------------------------------------------------------------


def finished(folder: Path, labels: Labels, importing: ImportParams | None = None) -> Path:
    stages = [unetprep.WeightsParams(class_weights=(1, 1)), unetprep.TilesParams(tile_px=60, depth=2)]
    unetprep.prepare_store(folder / "ds.zarr", {"y": cell_image(LABELS)}, {"y": labels}, stages, importing)
    return folder / "ds.zarr"


@pytest.mark.parametrize(
    "labels", [jpeg, classes, unlabelled, lambda: cell_image(LABELS)], ids=["jpeg", "classes", "unlabelled", "image"]
)
def test_relabel_refuses_alike(tmp_path: Path, labels: Callable[[], Labels]) -> None:
    store = finished(tmp_path, LABELS)
    before = tree(store)
    with pytest.raises(InvalidInput, match=r"y\.png looks like(.|\n)*correct the file: relabel has no options for"):
        unetprep.relabel(store, save(tmp_path / "y.png", labels()))
    assert tree(store) == before


def test_relabel_takes_numbers_as_the_import_did(tmp_path: Path) -> None:
    store = finished(tmp_path, classes(), ImportParams(instances="ids"))
    edited = classes()
    edited[np.isin(APART, APART.max())] = 0
    assert unetprep.relabel(store, save(tmp_path / "y.png", edited)).changed
    np.testing.assert_array_equal(instances(tmp_path), edited)


def test_relabel_keeps_the_threshold(tmp_path: Path) -> None:
    store = finished(tmp_path, jpeg(), ImportParams(instances="components", label_threshold=127))
    edited = np.where(np.isin(APART, APART.max()), 0, jpeg()).astype(np.uint8)
    assert unetprep.relabel(store, save(tmp_path / "y.png", edited)).changed
    np.testing.assert_array_equal(instances(tmp_path), ndimage.label(edited > 127)[0])


@pytest.mark.parametrize("num", [1, 24])
def test_relabel_takes_pieces_as_the_import_did(tmp_path: Path, num: int) -> None:
    """In an array of its own, and in a stack; the labels use numbers again."""
    images, labels = tmp_path / "i", tmp_path / "m"
    images.mkdir()
    labels.mkdir()
    numbers = np.where(LABELS > 0, 1 + LABELS % 5, 0).astype(np.uint8)
    for k in range(num):
        save(images / f"{k:02}.png", cell_image(LABELS, k))
        save(labels / f"{k:02}.png", numbers)
    url, params = str(tmp_path / "ds.zarr"), ImportParams(instances="pieces")
    unetprep.prepare_store(url, str(images), str(labels), [unetprep.WeightsParams(class_weights=(1, 1))], params)
    edited = np.where(LABELS.max() == LABELS, 0, numbers).astype(np.uint8)
    assert unetprep.relabel(url, save(labels / "00.png", edited)).changed
    store = Store.open(url)
    place = store.place("00")
    assert bool(place.sides) == (num > 1)
    found = store.read(labels_path(place.group, "instances"), place.box((slice(0, 1), *map(slice, edited.shape))))
    expected = measure.label(edited, connectivity=1)  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(found[0], expected)
    unetprep.prepare_store(url, str(images), str(labels), [], params)  # nothing to do, and no conflict
    assert not unetprep.verify(url).faults


# -- many files -------------------------------------------------------------------------------------------------------


def folders(folder: Path, labels: Mapping[str, Labels], images: Mapping[str, Labels] | None = None) -> tuple[str, str]:
    for name in ("i", "m"):
        (folder / name).mkdir()
    for name, of_image in labels.items():
        save(folder / "m" / f"{name}.png", of_image)
        save(folder / "i" / f"{name}.png", (images or {}).get(name, cell_image(LABELS)))
    return str(folder / "i"), str(folder / "m")


@pytest.mark.parametrize("more", [0, 20])
def test_all_faulty_files_are_reported_at_once(tmp_path: Path, more: int) -> None:
    good = {f"g{k:02}": LABELS.astype(np.uint8) for k in range(more)}
    faulty = {"a": classes(), "b": jpeg(), "c": MASK, "d": LABELS[:-1].astype(np.uint8)}
    images, masks = folders(tmp_path, {**good, **faulty, "e": LABELS.astype(np.uint8)})
    (tmp_path / "m" / "e.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"^5 inputs cannot be used:") as error:
        import_images(str(tmp_path / "ds.zarr"), [images], [masks], ImportParams(), LOCAL)
    for message in (
        r"m/e\.png cannot be read",
        r"m/d\.png differ in size",
        r"m/a\.png looks like an image of classes",
        r"m/b\.png looks like a mask",
        r"m/c\.png looks like a binary mask",
    ):
        assert error.match(rf"(.|\n)*{message}")
    assert not (tmp_path / "ds.zarr").exists()


def test_files_that_cannot_be_read_are_not_paired_with_others(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, {"a": LABELS.astype(np.uint8), "b": LABELS[:-1].astype(np.uint8)})
    for path in (tmp_path / "i" / "a.png", tmp_path / "m" / "b.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"^2 inputs cannot be used:\n.*m/b\.png cannot(.|\n)*i/a\.png cannot"):
        import_images(str(tmp_path / "ds.zarr"), [images], [masks], ImportParams(), LOCAL)


def test_of_many_faults_the_first_are_shown(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, {f"{k:02}": classes() for k in range(40)})
    with pytest.raises(InvalidInput, match=r"^40 inputs cannot be used:") as error:
        import_images(str(tmp_path / "ds.zarr"), [images], [masks], ImportParams(), LOCAL)
    text = str(error.value)
    assert text.count("looks like an image of classes") == 10
    assert text.endswith("and 30 more")
    assert [f"m/{k:02}.png" in text for k in (0, 9, 10)] == [True, True, False]


def test_different_channels_are_named_with_two_files(tmp_path: Path) -> None:
    labels = {name: LABELS.astype(np.uint8) for name in "abc"}
    colour = np.random.default_rng(0).integers(0, 255, (*LABELS.shape, 3), np.uint8)
    images, masks = folders(tmp_path, labels, {"b": colour, "c": np.dstack([colour, colour[..., :1]])})
    with pytest.raises(
        InvalidInput, match=r"different numbers of channels: 1 as in .*a\.png \(1 image.*, 3 as in .*b\.png"
    ):
        import_images(str(tmp_path / "ds.zarr"), [images], [masks], ImportParams(), LOCAL)
    assert not (tmp_path / "ds.zarr").exists()
