from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import arrays, data_set, image, left_out, put, put_json
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams

DOCUMENT: dict[str, Any] = {
    "channel_names": {"0": "DAPI", "1": "actin"},
    "labels": {"background": 0, "cell": 1, "border": 2, "ignore": 3},
    "numTraining": 2,
    "file_ending": ".tif",
}


def write(folder: Path, document: dict[str, Any] = DOCUMENT, num_channels: int = 2) -> None:
    put_json(folder / "dataset.json", document)
    for k, part in ((1, "Tr"), (2, "Tr"), (3, "Ts")):
        for c in range(num_channels):
            put(folder / f"images{part}" / f"case_{k}_{c:04}.tif", image(seed=10 * k + c))
        if part == "Tr":
            put(folder / "labelsTr" / f"case_{k}.tif", np.full((12, 14), k, np.uint8))


def test_cases_with_all_their_channels(tmp_path: Path) -> None:
    write(tmp_path)
    found = data_set(tmp_path, "nnunet")
    for k in (1, 2):
        pixels, labels = arrays(found)[f"case_{k}"]
        assert pixels is not None
        np.testing.assert_array_equal(pixels[:, 0], np.stack([image(seed=10 * k + c) for c in range(2)]))
        assert (labels == k).all()
    assert left_out(found) == {"cases without labels": 1}
    assert found.channels == ("DAPI", "actin")


def test_labels_are_classes_and_are_not_taken_as_cells(tmp_path: Path) -> None:
    write(tmp_path)
    found = data_set(tmp_path, "nnunet")
    assert (found.classes, found.labels_are_classes, found.ignore_label) == ({"cell": 1, "border": 2}, True, 3)
    with pytest.raises(InvalidInput, match=r"are classes: cell 1, border 2(.|\n)*--instances components"):
        found.refuse_classes(ImportParams(ignore_label=3))
    with pytest.raises(InvalidInput, match="add --ignore-label 3"):
        found.refuse_classes(ImportParams(instances="components"))
    found.refuse_classes(ImportParams(instances="components", ignore_label=3))
    found.refuse_classes(ImportParams(num_classes=3, ignore_label=3))


def test_the_document_of_the_first_version(tmp_path: Path) -> None:
    document = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "tumour"}}
    write(tmp_path, document, num_channels=1)
    found = data_set(tmp_path, "nnunet")
    assert (found.channels, found.classes) == (("CT",), {"tumour": 1})
    assert len(found.examples) == 2


def test_labels_of_the_test_images_are_their_split(tmp_path: Path) -> None:
    write(tmp_path)
    put(tmp_path / "labelsTs" / "case_3.tif")
    assert data_set(tmp_path, "nnunet").splits == {"case_3": "test"}


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "imagesTr" / "case_2_0000.tif").unlink()
    with pytest.raises(InvalidInput, match="case_2 has the channels 0001"):
        data_set(tmp_path, "nnunet")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "dataset.json is"),
        ({**DOCUMENT, "labels": 3}, "labels is 3"),
        ({**DOCUMENT, "channel_names": {"x": "y"}}, "channels are"),
    ],
)
def test_a_damaged_document_is_named(tmp_path: Path, document: Any, message: str) -> None:
    write(tmp_path)
    put_json(tmp_path / "dataset.json", document)
    with pytest.raises(InvalidInput, match=message):
        data_set(tmp_path, "nnunet")


def test_a_document_cut_short_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "dataset.json").write_text('{"labels": {')
    with pytest.raises(InvalidInput, match=r"dataset\.json is no valid JSON"):
        data_set(tmp_path, "nnunet")


def test_pixel_sizes_beside_tiff_files(tmp_path: Path) -> None:
    write(tmp_path)
    put_json(tmp_path / "imagesTr" / "case_1.json", {"spacing": [3, 0.5, 0.5]})
    sizes = {name: opened.pixel_size for name, opened, _ in data_set(tmp_path, "nnunet").open() if opened}
    assert sizes == {"case_1": (3.0, 0.5, 0.5), "case_2": None}
    put_json(tmp_path / "imagesTr" / "case_1.json", {"spacing": [3, -1, 0.5]})
    with pytest.raises(InvalidInput, match=r"case_1\.json: spacing is \[3, -1, 0.5\]"):
        data_set(tmp_path, "nnunet")
