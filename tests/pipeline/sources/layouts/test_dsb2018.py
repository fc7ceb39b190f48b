import csv
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import WHOLE, arrays, data_set, image, left_out, put
from unetprep.errors import InvalidInput
from unetprep.sources.layouts.summary import summarize
from unetprep.sources.opening import open_source

REAL = Path(__file__).parents[5] / "shared" / "data" / "dsb2018"


def mask(*box: tuple[int, int]) -> np.ndarray:
    drawn = np.zeros((12, 14), np.uint8)
    drawn[tuple(slice(*side) for side in box)] = 255
    return drawn


def write(folder: Path, name: str = "ab12") -> None:
    put(folder / name / "images" / f"{name}.png", image())
    for number, of in (("0", mask((1, 4), (1, 5))), ("1", mask((3, 6), (4, 8))), ("2", mask((9, 12), (0, 3)))):
        put(folder / name / "masks" / f"{number}.png", of)


def test_masks_are_objects_in_the_order_of_their_names_later_ones_on_top(tmp_path: Path) -> None:
    write(tmp_path)
    found = data_set(tmp_path, "dsb2018")
    pixels, labels = arrays(found)["ab12"]
    expected = np.zeros((12, 14), np.int32)
    expected[1:4, 1:5], expected[3:6, 4:8], expected[9:12, 0:3] = 1, 2, 3
    np.testing.assert_array_equal(labels[0], expected)
    assert pixels is not None
    np.testing.assert_array_equal(pixels[0, 0], image())
    overlaps = summarize(found, found.open()).overlaps
    assert overlaps is not None
    assert (overlaps.objects, overlaps.pixels, overlaps.hidden) == (3, 1, 0)


def test_an_object_below_another_is_counted(tmp_path: Path) -> None:
    write(tmp_path)
    put(tmp_path / "ab12" / "masks" / "3.png", mask((0, 12), (0, 14)))
    found = data_set(tmp_path, "dsb2018")
    assert "3 objects lie wholly below later ones" in str(summarize(found, found.open()).overlaps)


def test_a_changed_mask_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path)
    found = data_set(tmp_path, "dsb2018")
    assert arrays(found)["ab12"][1][0, 11, 13] == 0
    put(tmp_path / "ab12" / "masks" / "2.png", mask((9, 12), (10, 14)))
    assert arrays(found)["ab12"][1][0, 11, 13] == 3


def test_folders_without_masks_are_left_out(tmp_path: Path) -> None:
    write(tmp_path)
    put(tmp_path / "test" / "images" / "test.png")
    (tmp_path / "empty").mkdir()
    assert left_out(data_set(tmp_path, "dsb2018")) == {"folders without masks": 1, "folders without one image": 1}


def test_an_image_without_objects_is_an_example(tmp_path: Path) -> None:
    write(tmp_path)
    put(tmp_path / "none" / "images" / "none.png")
    (tmp_path / "none" / "masks").mkdir()
    assert not arrays(data_set(tmp_path, "dsb2018"))["none"][1].any()


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    put(tmp_path / "ab12" / "masks" / "9.png", np.zeros((12, 13), np.uint8))
    with pytest.raises(InvalidInput, match=r"9\.png has \(12, 13\) pixels \(y, x\), and the image of its object has"):
        arrays(data_set(tmp_path, "dsb2018"))


def test_stage_folders_are_splits(tmp_path: Path) -> None:
    write(tmp_path / "stage1_train", "a")
    write(tmp_path / "stage1_test", "b")
    assert data_set(tmp_path, "dsb2018").splits == {"stage1_test-b": "test", "stage1_train-a": "train"}


@pytest.mark.skipif(not REAL.exists(), reason="no real data")
def test_real_labels_split_into_masks_are_themselves_again(tmp_path: Path) -> None:
    with (REAL / "index.csv").open() as file:
        name = next(row["name"] for row in csv.DictReader(file) if row["width"] == "256")
    labels = open_source(str(REAL / "labels" / f"{name}.tif")).read(WHOLE)[0, 0]
    put(tmp_path / name / "images" / f"{name}.png", np.zeros(labels.shape, np.uint8))
    for number in range(1, labels.max() + 1):
        put(tmp_path / name / "masks" / f"{number:04}.png", np.where(labels == number, 255, 0).astype(np.uint8))
    np.testing.assert_array_equal(arrays(data_set(tmp_path, "dsb2018"))[name][1][0], labels)
