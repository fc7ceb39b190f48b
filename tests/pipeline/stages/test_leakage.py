"""Test sets with files of their own (`--split`), and the same pixels in two splits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unetprep
from tests.pipeline.conftest import tree
from tests.synthetic import cell_image, cell_labels
from unetprep import ImportParams
from unetprep.errors import Conflict, InvalidInput
from unetprep.stages.stacks import FEWEST
from unetprep.store import Store

Arrays = dict[str, np.ndarray]
TEST = ImportParams(split="test")


def cells(*names: str) -> tuple[Arrays, Arrays]:
    """Images and labels by name; equal names have equal pixels."""
    labels = {name: cell_labels((48, 40), 4, seed=sum(name.encode())) for name in names}
    return {name: cell_image(of_image, seed=sum(name.encode())) for name, of_image in labels.items()}, labels


def numbered(number: int, before: str = "a") -> tuple[str, ...]:
    return tuple(f"{before}{k}" for k in range(number))


def splits(url: Path) -> dict[str, str]:
    store = Store.open(str(url))
    return {name: store.image_record(name)["split"] for name in store.names}


@pytest.mark.parametrize("number", [3, FEWEST + 1])  # arrays of their own, and a stack
def test_images_that_are_added_to_a_split_leave_those_of_the_store_as_they_are(tmp_path: Path, number: int) -> None:
    url, params = tmp_path / "ds.zarr", ImportParams(val_fraction=0.3, seed=2)
    unetprep.import_images(url, *cells(*numbered(number)), params)
    before = splits(url)
    for _ in range(2):
        unetprep.import_images(url, *cells("t0", "t1", "t2"), TEST)
        assert splits(url) == {**before, "t0": "test", "t1": "test", "t2": "test"}
    whole = tree(url)
    again = unetprep.import_images(url, *cells(*numbered(number)), params)  # goes on by the fractions that it had
    assert again.shards_written == 0
    assert tree(url) == whole
    unetprep.import_images(url, *cells(*numbered(number + 4)), params)
    assert splits(url) | before == splits(url)
    assert [*splits(url).values()].count("val") == round(0.3 * (number + 4))


def test_a_single_image_of_a_test_set_is_not_cut_and_may_come_first(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, *cells("t"), TEST)
    assert splits(url) == {"t": "test"}
    unetprep.import_images(url, *cells("a", "b"), ImportParams(val_fraction=0.5))
    assert sorted(splits(url).values()) == ["test", "train", "val"]


def test_weights_of_the_training_images_do_not_depend_on_a_test_set_that_is_added(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, *cells("a", "b"))
    unetprep.weights(url)
    before = {path: data for path, data in tree(url).items() if "images/a/" in path or "images/b/" in path}
    unetprep.import_images(url, *cells("t"), TEST)
    unetprep.weights(url)
    after = tree(url)
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize(("there", "given"), [(2, 2), (FEWEST, 2), (2, FEWEST), (FEWEST, FEWEST)])
def test_the_pixels_of_an_image_of_another_split_are_refused_under_another_name(
    tmp_path: Path, there: int, given: int
) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, *cells(*numbered(there)))
    before = tree(url)
    images, labels = cells(*numbered(given, "t"))
    images["t1"], labels["t1"] = (arrays["a0"] for arrays in cells("a0"))
    with pytest.raises(Conflict, match=r"'t1' \(test\) has the same pixels as 'a0' \(train\)\n.*one split alone"):
        unetprep.import_images(url, images, labels, TEST)
    assert tree(url) == before
    assert unetprep.import_images(url, images, labels, ImportParams()).warnings == []  # of one split


def test_the_same_pixels_in_splits_by_chance_are_named(tmp_path: Path) -> None:
    images, labels = cells(*numbered(8))
    for name in images:
        images[name], labels[name] = images["a0"], labels["a0"]
    found = unetprep.import_images(tmp_path / "ds.zarr", images, labels, ImportParams(test_fraction=0.9))
    same = [warning for warning in found.warnings if "same pixels" in warning]
    assert len(same) == 6
    assert "has the same pixels as" in same[0]
    assert "2 more images have the same pixels in two splits" in same[-1]


@pytest.mark.parametrize("number", [3, FEWEST])
def test_an_image_with_the_name_of_one_in_another_split_is_refused(tmp_path: Path, number: int) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, *cells(*numbered(number)))
    before = tree(url)
    with pytest.raises(Conflict, match=r"'a1' is in .* already, in another split: it is train there and test now"):
        unetprep.import_images(url, *cells("a1", "t"), TEST)
    with pytest.raises(Conflict, match=r"'a1' is in .* already, in another split"):
        unetprep.plan(url, *cells("a1", "t"), importing=TEST)
    assert tree(url) == before


def test_overwrite_moves_an_image_to_another_split(tmp_path: Path) -> None:
    url = tmp_path / "ds.zarr"
    unetprep.import_images(url, *cells("a", "b"))
    unetprep.import_images(url, *cells("b"), TEST, overwrite=True)
    assert splits(url) == {"a": "train", "b": "test"}


def test_a_split_that_contradicts_fractions_or_the_data_set_is_refused(tmp_path: Path) -> None:
    fractions: list[dict[str, Any]] = [{"val_fraction": 0.1}, {"test_fraction": 0.1}]
    for fraction in fractions:
        with pytest.raises(InvalidInput, match=r"split is test, with val-fraction 0\.\d and test-fraction 0\.\d"):
            ImportParams(split="test", **fraction)
    with pytest.raises(InvalidInput, match=r"split is 'tset'\n.*train, val, test"):
        ImportParams(split="tset")
    images, labels = cells("a", "b")
    for name, split in (("a", "train"), ("b", "test")):
        for kind, arrays in (("images", images), ("masks", labels)):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            np.save(folder / f"{name}.npy", arrays[name])
    with pytest.raises(InvalidInput, match="split is test, and the data set says that train-a is in split train"):
        unetprep.import_images(tmp_path / "ds.zarr", data=tmp_path / "data", params=TEST)
    unetprep.import_images(tmp_path / "ds.zarr", data=tmp_path / "data" / "test", params=TEST)
    assert splits(tmp_path / "ds.zarr") == {"b": "test"}
