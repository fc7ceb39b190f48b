from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import arrays, data_set, image, left_out, put
from unetprep.errors import InvalidInput


def write(folder: Path, shape: tuple[int, ...] = (12, 14)) -> None:
    for sequence in ("01", "02"):
        for frame in range(3):
            put(folder / sequence / f"t{frame:03}.tif", image(shape, seed=frame))
    put(folder / "01_GT" / "SEG" / "man_seg001.tif", np.full(shape, 5, np.uint16))
    put(folder / "02_GT" / "SEG" / "man_seg000.tif", np.full(shape, 6, np.uint16))
    put(folder / "01_GT" / "TRA" / "man_track000.tif", np.full(shape, 1, np.uint16))
    put(folder / "01_ST" / "SEG" / "man_seg002.tif", np.full(shape, 7, np.uint16))


def test_frames_with_gold_truth(tmp_path: Path) -> None:
    write(tmp_path)
    found = data_set(tmp_path, "ctc")
    read = arrays(found)
    assert {name: labels.max() for name, (_, labels) in read.items()} == {"01-t001": 5, "02-t000": 6}
    pixels = read["01-t001"][0]
    assert pixels is not None
    np.testing.assert_array_equal(pixels[0, 0], image(seed=1))
    assert left_out(found) == {"frames without labels in NN_GT/SEG": 4}


def test_silver_truth_by_option(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(arrays(data_set(tmp_path, "ctc", silver=True))) == ["01-t002"]


def test_volumes_and_annotations_of_single_slices(tmp_path: Path) -> None:
    write(tmp_path, (4, 12, 14))
    put(tmp_path / "01_GT" / "SEG" / "man_seg_000_002.tif")
    found = data_set(tmp_path, "ctc")
    assert arrays(found)["01-t001"][1].shape == (4, 12, 14)
    assert left_out(found)["annotations of single slices"] == 1


def test_without_segmentation_the_way_out_is_named(tmp_path: Path) -> None:
    for frame in range(2):
        put(tmp_path / "01" / f"t{frame:03}.tif")
    put(tmp_path / "01_GT" / "TRA" / "man_track000.tif")
    with pytest.raises(InvalidInput, match=r"no frame with labels(.|\n)*TRA are no segmentation"):
        data_set(tmp_path, "ctc")
    put(tmp_path / "01_ST" / "SEG" / "man_seg000.tif")
    with pytest.raises(InvalidInput, match="add --silver"):
        data_set(tmp_path, "ctc")
