import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import arrays, data_set, left_out, put
from unetprep.errors import InvalidInput
from unetprep.sources.layouts.table import find_data_set


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_masks_beside_images(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    put(tmp_path / "a_cp_masks.png", np.full((12, 14), 3, np.uint8))
    put(tmp_path / "a_flows.tif")
    put(tmp_path / "b_img.png")
    put(tmp_path / "b_masks.tif", np.full((12, 14), 4, np.uint16))
    put(tmp_path / "c.tif")
    (tmp_path / "c_seg.npy").write_bytes(pickle.dumps({}))
    found = data_set(tmp_path, "cellpose")
    assert {name: labels.max() for name, (_, labels) in arrays(found).items()} == {"a": 3, "b": 4}
    assert left_out(found) == {"images without masks": 1, "flows and outlines": 1, "pickles _seg.npy": 1}


def test_train_and_test_are_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path / split / "0_img.png")
        put(tmp_path / split / "0_masks.png")
        put(tmp_path / split / "1.png")
        put(tmp_path / split / "1_cp_masks.png")
    splits = data_set(tmp_path, "cellpose").splits
    assert splits == {"test-0": "test", "test-1": "test", "train-0": "train", "train-1": "train"}


def test_pickles_alone_are_never_read(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    with (tmp_path / "a_seg.npy").open("wb") as file:
        np.save(file, np.array(Bomb(tmp_path / "fired"), object), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"a_seg\.npy is a pickle(.|\n)*Save masks"):
        data_set(tmp_path, "cellpose")
    assert not (tmp_path / "fired").exists()


def test_masks_alone_are_no_data_set(tmp_path: Path) -> None:
    put(tmp_path / "a_cp_masks.png")
    with pytest.raises(InvalidInput, match="none of the known layouts"):
        find_data_set(tmp_path)
