import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import WHOLE, arrays, data_set, image, left_out, put, put_json
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams
from unetprep.sources.layouts.summary import summarize
from unetprep.sources.opening import open_source

REAL = Path(__file__).parents[5] / "shared" / "data" / "dsb2018"
HEIGHT, WIDTH = 12, 14


def annotation(image_id: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": 7, "segmentation": segmentation, "iscrowd": 0, **more}


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def document(*annotations: dict[str, Any], names: tuple[str, ...] = ("a.png",)) -> dict[str, Any]:
    images = [{"id": k, "file_name": name, "height": HEIGHT, "width": WIDTH} for k, name in enumerate(names)]
    return {"images": images, "annotations": list(annotations), "categories": [{"id": 7, "name": "nucleus"}]}


def labels_of(folder: Path, *annotations: dict[str, Any]) -> np.ndarray:
    put(folder / "a.png", image())
    put_json(folder / "annotations.json", document(*annotations))
    return np.asarray(arrays(data_set(folder, "coco"))["a"][1][0])


def test_polygons_and_run_lengths_are_objects_in_file_order(tmp_path: Path) -> None:
    counts = [0, 3, HEIGHT * WIDTH - 3]  # the first three pixels of the first column
    found = labels_of(
        tmp_path,
        annotation(0, [box(2, 1, 6, 5)]),
        annotation(0, [box(4, 3, 8, 6), box(10, 8, 12, 10)]),
        annotation(0, {"size": [HEIGHT, WIDTH], "counts": counts}),
    )
    expected = np.zeros((HEIGHT, WIDTH), np.int32)
    expected[1:5, 2:6] = 1
    expected[3:6, 4:8] = expected[8:10, 10:12] = 2
    expected[:3, 0] = 3
    np.testing.assert_array_equal(found, expected)
    of = data_set(tmp_path, "coco")
    overlaps = summarize(of, of.open()).overlaps
    assert overlaps is not None
    assert (overlaps.objects, overlaps.pixels) == (3, 4)
    assert summarize(of, of.open()).classes == {"nucleus": 1}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_areas_are_those_of_pycocotools_for_whole_coordinates(tmp_path: Path) -> None:
    from pycocotools import mask as coco

    polygon = box(2, 1, 6, 5)
    reference = coco.decode(coco.frPyObjects([polygon], HEIGHT, WIDTH))[..., 0]
    np.testing.assert_array_equal(labels_of(tmp_path, annotation(0, [polygon])), reference)


def test_an_image_without_objects_is_an_example_and_a_missing_one_is_not(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png")
    put_json(tmp_path / "annotations" / "x.json", document(names=("a.png", "gone.png")))
    found = data_set(tmp_path, "coco")
    assert not arrays(found)["a"][1].any()
    assert left_out(found) == {"images that are not there": 1}


def test_captions_and_keypoints_beside_objects_are_not_read(tmp_path: Path) -> None:
    put(tmp_path / "val2017" / "a.png")
    for name in ("instances", "person_keypoints"):
        put_json(tmp_path / "annotations" / f"{name}_val2017.json", document(annotation(0, [box(2, 1, 6, 5)])))
    captions = {**document(), "annotations": [{"id": 1, "image_id": 0, "caption": "cells"}]}
    put_json(tmp_path / "annotations" / "captions_val2017.json", captions)
    assert {name: int(labels.max()) for name, (_, labels) in arrays(data_set(tmp_path, "coco")).items()} == {"a": 1}


def test_crowds_are_left_out(tmp_path: Path) -> None:
    assert not labels_of(tmp_path, annotation(0, {"size": [HEIGHT, WIDTH], "counts": [0, 168]}, iscrowd=1)).any()
    assert left_out(data_set(tmp_path, "coco")) == {"regions of crowds, which count as background": 1}


@pytest.mark.parametrize("folders", [True, False])
def test_files_and_folders_name_the_splits(tmp_path: Path, folders: bool) -> None:
    for split in ("train2017", "val2017"):
        put(tmp_path / split / "a.png", image(seed=len(split)))
        where = tmp_path / split / "_annotations.coco.json" if folders else tmp_path / "annotations" / f"x_{split}.json"
        put_json(where, document(annotation(0, [box(2, 1, 6, 5)])))
    found = data_set(tmp_path, "coco")
    assert found.splits == {"train-a": "train", "val-a": "val"}
    pixels = arrays(found)["val-a"][0]
    assert pixels is not None
    np.testing.assert_array_equal(pixels[0, 0], image(seed=len("val2017")))


def test_what_lies_outside_of_the_image_is_cut_and_counted(tmp_path: Path) -> None:
    found = labels_of(tmp_path, annotation(0, [box(-3, -3, 2, 2)]), annotation(0, [box(20, 20, 30, 30)]))
    assert found[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert found.sum() == 4
    of = data_set(tmp_path, "coco")
    overlaps = summarize(of, of.open()).overlaps
    assert overlaps is not None
    assert (overlaps.clipped, overlaps.outside) == (1, 1)


def test_objects_that_all_lie_outside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="all 1 objects lie outside of the image of"):
        labels_of(tmp_path, annotation(0, [box(20, 20, 30, 30)]))


DAMAGED = [
    (annotation(0, [[1, 2, 3, 4]]), r"annotation 0: it has 2 points"),
    (annotation(0, [[1, 2, 3, 4, 5]]), r"annotation 0: \[1, 2, 3, 4, 5\]"),
    (annotation(0, [[1, 2, 3, 4, float("nan"), 5]]), r"annotation 0: a point is \[nan, 5"),
    (annotation(0, [[1, 2, 3, 4, 1e300, 5]]), r"annotation 0: a point is \[1e\+300"),
    (annotation(0, [["x", 2, 3, 4, 1, 5]]), r"annotation 0: its points are no pairs of numbers"),
    (annotation(0, [[[1, 2], 2, 3, 4, 1, 5]]), r"annotation 0: its points are no pairs of numbers"),
    (annotation(0, []), r"annotation 0: segmentation is \[\]"),
    (annotation(0, None), r"annotation 0: segmentation is None"),
    (annotation(0, {"size": [HEIGHT, WIDTH], "counts": [0, 10**9]}), r"annotation 0: its counts are not whole numbers"),
    (annotation(0, {"size": [HEIGHT, WIDTH], "counts": [0, 5]}), r"annotation 0: its counts add up to 5"),
    (annotation(0, {"size": [99, WIDTH], "counts": [0, 5]}), r"annotation 0: size is \[99, 14\]"),
    (annotation(4, [box(0, 0, 2, 2)]), r"annotation 0 is of no image"),
]


@pytest.mark.parametrize(("of", "message"), DAMAGED)
def test_damaged_annotations_name_file_and_object(tmp_path: Path, of: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"annotations\.json: {message}"):
        labels_of(tmp_path, of)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "set" / "b.png")
    put_json(tmp_path / "set" / "x.json", document(names=(name, "b.png")))
    with pytest.raises(InvalidInput, match="image 0: file_name"):
        data_set(tmp_path / "set", "coco")


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.png", image((HEIGHT, WIDTH + 1)))
    put_json(tmp_path / "x.json", document(annotation(0, [box(0, 0, 2, 2)])))
    with pytest.raises(
        InvalidInput, match=r"is for an image of \(12, 14\) pixels \(y, x\), and the image has \(12, 15\)"
    ):
        data_set(tmp_path, "coco").open()


@pytest.mark.skipif(not REAL.exists(), reason="no real data")
def test_real_labels_as_run_lengths_are_themselves_again(tmp_path: Path) -> None:
    from pycocotools import mask as coco

    with (REAL / "index.csv").open() as file:
        names = [row["name"] for row in csv.DictReader(file)][:3]
    images, annotations, expected = [], [], {}
    for k, name in enumerate(names):
        labels = open_source(str(REAL / "labels" / f"{name}.tif")).read(WHOLE)[0, 0]
        put(tmp_path / f"{name}.png", np.zeros(labels.shape, np.uint8))
        images.append({"id": k, "file_name": f"{name}.png", "height": labels.shape[0], "width": labels.shape[1]})
        for number in range(1, labels.max() + 1):
            encoded = coco.encode(np.asfortranarray((labels == number).astype(np.uint8)))
            annotations.append(annotation(k, {**encoded, "counts": encoded["counts"].decode()}))
        expected[name] = labels
    put_json(tmp_path / "x.json", {"images": images, "annotations": annotations, "categories": []})
    for name, (_, labels) in arrays(data_set(tmp_path, "coco")).items():
        np.testing.assert_array_equal(labels[0], expected[name])


def test_numbers_of_objects_are_not_taken_as_classes(tmp_path: Path) -> None:
    labels_of(tmp_path, annotation(0, [box(2, 1, 6, 5)]))
    of = data_set(tmp_path, "coco")
    with pytest.raises(InvalidInput, match=r"number the objects of layout coco(.|\n)*--class-table TABLE\.csv"):
        of.refuse_classes(ImportParams(num_classes=3))
    of.refuse_classes(ImportParams(class_table="t.csv"))
