import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import unetprep
from tests.pipeline.sources.layouts.writing import image, put, put_json
from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams

REAL = Path(__file__).parents[5] / "shared" / "data"


def test_the_scan_groups_sizes_and_gives_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    for k, sides in enumerate([(12, 14)] * 5 + [(9, 8), (9, 7)]):
        put(folder / "images" / f"{k}.png", image(sides))
        put(folder / "masks" / f"{k}.png", np.ones(sides[:2], np.uint8))
    found = unetprep.scan(folder)
    text = str(found)
    assert "layout pairs (the folders images and masks)" in text
    assert "5 of 12 x 14 uint8; 1 of 9 x 8 uint8; 1 of 9 x 7 uint8" in text
    assert shlex.split(found.command) == [
        *("unetprep", "import", "--data", str(folder), "--layout", "pairs"),
        *("--val-fraction", "0.1", "--test-fraction", "0.2", "--out", "it's mine.zarr"),
    ]


def test_the_command_holds_the_options_of_the_scan(tmp_path: Path) -> None:
    put(tmp_path / "a_x.tif")
    put(tmp_path / "a_y.tif")
    found = unetprep.scan(tmp_path, LayoutParams(image_pattern="{name}_x", label_pattern="{name}_y", recursive=True))
    assert "--recursive --image-pattern '{name}_x' --label-pattern '{name}_y'" in found.command


def test_classes_and_the_ignored_label_of_nnunet(tmp_path: Path) -> None:
    labels = {"background": 0, "cell": 1, "ignore": 2}
    put_json(tmp_path / "dataset.json", {"channel_names": {"0": "DAPI"}, "labels": labels, "file_ending": ".tif"})
    put(tmp_path / "imagesTr" / "a_0000.tif")
    put(tmp_path / "labelsTr" / "a.tif")
    found = unetprep.scan(tmp_path)
    assert "channels: DAPI; labels are classes: cell" in str(found)
    assert "--instances components --ignore-label 2" in found.command
    put_json(tmp_path / "dataset.json", {"channel_names": {"0": "DAPI"}, "labels": {**labels, "border": 3}})
    assert "--num-classes 4 --ignore-label 2" in unetprep.scan(tmp_path).command


def test_volumes_of_the_cell_tracking_challenge_are_volumes(tmp_path: Path) -> None:
    put(tmp_path / "01" / "t000.tif", image((3, 12, 14)))
    put(tmp_path / "01_GT" / "SEG" / "man_seg000.tif", image((3, 12, 14)))
    assert "--dims 3" in unetprep.scan(tmp_path).command


def test_volumes_of_nnunet_are_volumes(tmp_path: Path) -> None:
    put_json(tmp_path / "dataset.json", {"labels": {"background": 0, "cell": 1}, "file_ending": ".tif"})
    put(tmp_path / "imagesTr" / "a_0000.tif", image((3, 12, 14)))
    put(tmp_path / "labelsTr" / "a.tif", image((3, 12, 14)))
    assert "--dims 3" in unetprep.scan(tmp_path).command


def test_different_channels_are_found_before_an_import(tmp_path: Path) -> None:
    for name, sides in (("a", (9, 8)), ("b", (9, 8, 3))):
        put(tmp_path / "images" / f"{name}.png", image(sides))
        put(tmp_path / "masks" / f"{name}.png", np.ones(sides[:2], np.uint8))
    text = str(unetprep.scan(tmp_path))
    assert re.search(r"the import will be refused: .* 1 as in .*a\.png .* 3 as in .*b\.png", text)
    assert "1 of 9 x 8 uint8; 1 of 9 x 8 uint8, 3 channels" in text


def test_a_stack_may_be_a_volume(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        put(tmp_path / part / "a.tif", image((3, 12, 14)))
    assert "stacks: add --dims 3 if each is one volume" in str(unetprep.scan(tmp_path))


@pytest.mark.skipif(not REAL.exists(), reason="no real data")
@pytest.mark.parametrize(
    ("name", "num"), [("dsb2018", 54), ("usiigaci", 6), ("isbi2012", 1), ("ovule3d", 1), ("fibsem-medulla", 1)]
)
def test_real_data_sets_are_recognised(name: str, num: int) -> None:
    found = unetprep.scan(REAL / name)
    assert (found.layout, found.summary.num_images) == ("pairs", num)
    with pytest.raises(InvalidInput, match=r"none of the known layouts(.|\n)*a data set is in"):
        unetprep.scan(REAL)
