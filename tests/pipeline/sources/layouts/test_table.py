from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import image, put, put_json
from unetprep.errors import InvalidInput
from unetprep.params import LAYOUTS, LayoutParams
from unetprep.sources.layouts.table import find_data_set


def test_every_layout_has_a_module_that_recognises_no_empty_folder(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        with (
            pytest.raises(InvalidInput, match=f"not the layout {layout.name}")
            if layout.name != "pairs"
            else pytest.raises(InvalidInput)
        ):
            find_data_set(tmp_path, LayoutParams(layout=layout.name))


def test_of_several_layouts_the_first_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "a_cp_masks.png")
    put_json(
        tmp_path / "x.json", {"images": [{"id": 0, "file_name": "a.png", "height": 12, "width": 14}], "annotations": []}
    )
    found = find_data_set(tmp_path)
    assert found.data_set.layout == "coco"
    assert [name for name, _ in found.others] == ["cellpose", "pairs"]
    assert find_data_set(tmp_path, LayoutParams(layout="cellpose")).data_set.layout == "cellpose"


def test_a_folder_without_a_layout_says_what_was_seen(tmp_path: Path) -> None:
    for k in range(3):
        put(tmp_path / f"{k}.tif")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        InvalidInput, match=r"none of the known layouts; it holds 0 folders, 3 images and 1 other files: 0\.tif"
    ):
        find_data_set(tmp_path)


def test_a_folder_of_data_sets_names_one_of_them(tmp_path: Path) -> None:
    put(tmp_path / "my set" / "images" / "a.tif")
    put(tmp_path / "my set" / "masks" / "a.tif")
    with pytest.raises(InvalidInput, match=r"unetprep scan '.*/my set'"):
        find_data_set(tmp_path)


@pytest.mark.parametrize("path", ["missing", "http://server/x", "s3://bucket/x", "a.tif"])
def test_what_is_no_folder_is_refused(tmp_path: Path, path: str) -> None:
    put(tmp_path / "a.tif", image())
    with pytest.raises(InvalidInput, match="is no folder of this machine"):
        find_data_set(path if "://" in path else tmp_path / path)


def test_masks_in_a_split_without_labels_are_left_out(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path / split / "images" / "a.tif")
    put(tmp_path / "train" / "masks" / "a.tif", np.ones((12, 14), np.uint8))
    found = find_data_set(tmp_path).data_set
    assert found.splits == {"train-a": "train"}
    assert [str(entry) for entry in found.left_out] == ["1 folders of another layout (test)"]
