"""Expansion of the images of a prediction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetprep.errors import InvalidInput
from unettrain.prediction.inputs import find_images


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """raw/a.tif, raw/b.png (an empty file), raw/notes.txt, other/a.tif."""
    monkeypatch.chdir(tmp_path)
    for path in ("raw/a.tif", "other/a.tif"):
        Path(path).parent.mkdir()
        tifffile.imwrite(path, np.zeros((5, 6), np.uint8))
    Path("raw/b.png").write_bytes(b"")
    Path("raw/notes.txt").write_text("mine")
    return tmp_path


def names(*paths: str, split: str = "") -> tuple[list[str], bool]:
    found = find_images(paths, split)
    return [image.name for image in found.found], found.is_one


def test_files_folders_and_patterns(folder: Path) -> None:
    assert names("raw/a.tif") == (["a"], True)
    assert names(f"file://{folder}/raw/a.tif") == (["a"], True)
    assert names("raw") == (["a", "b"], False)
    assert names("raw/*.tif") == (["a"], False)
    assert names("raw/*.tif", "raw/b.png") == (["a", "b"], False)
    assert names("missing.tif") == (["missing"], True)  # reported when it is opened


def test_a_file_whose_name_is_a_pattern_is_a_file(folder: Path) -> None:
    Path("raw/a.tif").rename("raw/[a].tif")
    assert names("raw/[a].tif") == (["[a]"], True)


def test_images_of_a_store(default_store: Path) -> None:
    assert names(str(default_store)) == (["cells0", "cells1", "cells2"], False)
    assert names(str(default_store), split="val") == (["cells2"], False)
    assert names(f"{default_store}/images/cells1") == (["cells1"], True)
    with pytest.raises(InvalidInput, match=r"no images of split 'test'\n  allowed: a split with images: train, val"):
        find_images([str(default_store)], "test")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["raw/*.jpg"], r"no file matches raw/\*\.jpg"),
        (["raw", "other"], r"would have one output: raw/a\.tif and other/a\.tif"),
        (["raw/a.tif", "raw"], r"would have one output: raw/a\.tif and raw/a\.tif"),
        ([], "no image is named"),
    ],
)
def test_refusals(folder: Path, paths: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        find_images(paths)


def test_a_split_is_one_of_a_store(folder: Path, make_store: Callable[..., Path]) -> None:
    with pytest.raises(InvalidInput, match="split is 'test', and raw is no store"):
        find_images(["raw"], "test")


def test_names_that_differ_in_case_alone_are_refused(folder: Path) -> None:
    tifffile.imwrite("raw/A.tif", np.zeros((5, 6), np.uint8))
    with pytest.raises(InvalidInput, match=r"raw/A\.tif and raw/a\.tif"):
        find_images(["raw"])


def test_a_folder_is_not_its_own_output(folder: Path) -> None:
    for paths, out in ((["raw"], "raw"), (["*"], "./raw/"), ([f"{folder}/raw"], "raw")):
        with pytest.raises(InvalidInput, match="the folder of the images"):
            find_images(paths, out=out)
    assert len(find_images(["raw/*.tif", "raw/b.png"], out="raw").found) == 2
