from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.layouts.writing import WHOLE, arrays, data_set, image, left_out, put
from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.layouts.data_set import DataSet
from unetprep.sources.layouts.pairs import find_pairs, of_inputs

NAMES = [  # image, labels, name
    ("x.png", "x_mask.png", "x"),
    ("x.tif", "x_masks.png", "x"),
    ("x.tif", "x_cp_masks.png", "x"),
    ("x_img.tif", "x_labels.tif", "x"),
    ("x_image.tif", "x_seg.tif", "x"),
    ("x_raw.tif", "x_gt.tif", "x"),
    ("x.tif", "x_instances.tif", "x"),
    ("x.tif", "mask_x.tif", "x"),
    ("image_x.tif", "label_x.tif", "x"),
    ("img001.tif", "mask001.tif", "001"),
    ("t000.tif", "man_seg000.tif", "000"),
    ("x_0000.tif", "x.tif", "x"),
    ("img_1.tif", "img_1_cp_masks.tif", "img_1"),
    ("t01.tif", "t01_mask.tif", "t01"),
    ("x_ch00.tif", "x_ground_truth.tif", "x"),
]


def two_folders(folder: Path, *names: tuple[str, str]) -> DataSet:
    for image_name, label_name in names:
        put(folder / "fi" / image_name)
        put(folder / "fl" / label_name)
    return of_inputs([str(folder / "fi")], [str(folder / "fl")], LayoutParams())


@pytest.mark.parametrize(("image_name", "label_name", "name"), NAMES)
def test_known_prefixes_and_endings_are_paired(tmp_path: Path, image_name: str, label_name: str, name: str) -> None:
    other = ("other.tif", "other.tif")  # with one pair alone, names do not matter
    found = two_folders(tmp_path, (image_name, label_name), other)
    assert sorted(example.name for example in found.examples) == sorted([name, "other"])


def test_each_pair_has_its_own_labels(tmp_path: Path) -> None:
    for k in range(4):
        put(tmp_path / "fi" / f"img{k}.png", image(seed=k))
        put(tmp_path / "fl" / f"mask{k}.tif", np.full((12, 14), k, np.uint16))
    found = of_inputs([str(tmp_path / "fi")], [str(tmp_path / "fl")], LayoutParams())
    for name, (pixels, labels) in arrays(found).items():
        assert pixels is not None
        np.testing.assert_array_equal(pixels[0, 0], image(seed=int(name)))
        assert (labels == int(name)).all()


def test_names_with_numbers_at_their_end_are_not_mixed_up(tmp_path: Path) -> None:
    found = two_folders(tmp_path, *((f"s_000{k}.tif", f"s_000{k}.tif") for k in range(3)))
    assert [example.name for example in found.examples] == ["s_0000", "s_0001", "s_0002"]


def test_patterns_name_the_files(tmp_path: Path) -> None:
    for k in (1, 2):
        put(tmp_path / f"plate_{k}_dapi.tif")
        put(tmp_path / f"nuclei-of-{k}.tif", np.full((12, 14), k, np.uint8))
    given = {"image_pattern": "plate_{name}_*", "label_pattern": "nuclei-of-{name}.tif"}
    found = data_set(tmp_path, "pairs", **given)
    assert {name: labels.max() for name, (_, labels) in arrays(found).items()} == {"1": 1, "2": 2}
    with pytest.raises(InvalidInput, match=r"image-pattern is 'x'\n  allowed: a file name with \{name\} once"):
        LayoutParams(image_pattern="x")


def test_the_refusal_shows_the_nearest_names_and_a_pattern_that_would_fit(tmp_path: Path) -> None:
    message = r"cell_a\.tif has no labels of its name, nor have 1 more; the nearest names are .*cell_a_nuc"
    with pytest.raises(InvalidInput, match=message) as refused:
        two_folders(tmp_path, ("cell_a.tif", "cell_a_nuc.tif"), ("cell_b.tif", "cell_b_nuc.tif"))
    assert "add --label-pattern '{name}_nuc'" in str(refused.value)
    pattern = LayoutParams(label_pattern="{name}_nuc")
    found = of_inputs([str(tmp_path / "fi")], [str(tmp_path / "fl")], pattern)
    assert [example.name for example in found.examples] == ["cell_a", "cell_b"]


def test_the_refusal_names_each_of_the_nearest_once(tmp_path: Path) -> None:
    put(tmp_path / "fi" / "cell_3.tif")
    with pytest.raises(InvalidInput, match=r"nearest names are (cell_\d), (?!\1)cell_\d\n"):
        two_folders(tmp_path, ("cell_1.tif", "cell_1.tif"), ("cell_2.tif", "cell_2.tif"))


def test_what_is_not_taken_is_counted(tmp_path: Path) -> None:
    found = two_folders(tmp_path, ("1.png", "1.png"), ("sub/2.png", "sub/2.png"), ("2.png", "2.png"))
    (tmp_path / "fi" / "notes.txt").write_text("")
    found = of_inputs([str(tmp_path / "fi")], [str(tmp_path / "fl")], LayoutParams())
    assert len(found.examples) == 2
    assert left_out(found) == {"in subfolders (--recursive)": 2, ".txt": 1}


def test_recursive_names_tell_subfolders_apart(tmp_path: Path) -> None:
    two_folders(tmp_path, ("2.png", "2.png"), ("sub/2.png", "sub/2_mask.png"), ("sub/deep/3.png", "sub/deep/3.png"))
    found = of_inputs([str(tmp_path / "fi")], [str(tmp_path / "fl")], LayoutParams(recursive=True))
    assert [example.name for example in found.examples] == ["2", "sub-2", "sub-deep-3"]


def test_a_folder_of_subfolders_alone_names_the_option(tmp_path: Path) -> None:
    put(tmp_path / "fi" / "a" / "x.png")
    with pytest.raises(InvalidInput, match="add --recursive"):
        of_inputs([], [str(tmp_path / "fi")], LayoutParams())


def test_a_partner_in_a_subfolder_names_the_option(tmp_path: Path) -> None:
    two_folders(tmp_path, ("1.png", "1.png"), ("2.png", "2.png"))
    put(tmp_path / "fi" / "3.png")
    put(tmp_path / "fl" / "sub" / "3.png")
    with pytest.raises(
        InvalidInput, match=r"3\.png has no labels of its name(.|\n)*subfolders hold 1 more images: --recursive"
    ):
        of_inputs([str(tmp_path / "fi")], [str(tmp_path / "fl")], LayoutParams())


def test_images_and_masks_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / "Images" / f"{name}.png")
    for name in ("a", "b", "d"):
        put(tmp_path / "masks" / f"{name}.png")
    found = data_set(tmp_path, "pairs")
    assert [example.name for example in found.examples] == ["a", "b"]
    assert left_out(found) == {"images without labels": 1, "labels without an image": 1}


def test_splits_of_subfolders(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        put(tmp_path / "images" / split / f"{split[0]}.png")
        put(tmp_path / "masks" / split / f"{split[0]}.png")
    assert data_set(tmp_path, "pairs").splits == {"test-t": "test", "train-t": "train", "validation-v": "val"}


def test_one_folder_of_images_and_labels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"{name}.tif", image(seed=1))
        put(tmp_path / f"{name}_mask.tif", np.ones((12, 14), np.uint8))
    put(tmp_path / "alone.tif")
    found = data_set(tmp_path, "pairs")
    assert sorted(arrays(found)) == ["a", "b"]
    assert all((labels == 1).all() for _, labels in arrays(found).values())
    assert left_out(found) == {"images without labels": 1}


def test_raw_and_labels_alone_in_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "raw.tif")
    put(tmp_path / "labels.tif")
    assert [example.name for example in data_set(tmp_path, "pairs").examples] == ["raw"]


def test_channels_from_names(tmp_path: Path) -> None:
    for name, style in (("a", "_000{}"), ("b", "_000{}")):
        for c in range(2):
            put(tmp_path / "images" / f"{name}{style.format(c)}.tif", image(seed=c))
        put(tmp_path / "masks" / f"{name}.tif")
    found = data_set(tmp_path, "pairs", channels_from_names=True)
    for pixels, _ in arrays(found).values():
        assert pixels is not None
        np.testing.assert_array_equal(pixels[:, 0], np.stack([image(seed=0), image(seed=1)]))
    _, opened, _ = found.open()[0]
    assert opened is not None
    part = opened.read((slice(1, 2), slice(0, 1), slice(2, 5), slice(3, 9)))
    np.testing.assert_array_equal(part[0, 0], image(seed=1)[2:5, 3:9])


def test_files_of_several_channels_are_joined_too(tmp_path: Path) -> None:
    for c in range(2):
        put(tmp_path / "images" / f"a_c{c}.png", image((12, 14, 3), seed=c))
    put(tmp_path / "masks" / "a.tif")
    pixels, _ = arrays(data_set(tmp_path, "pairs", channels_from_names=True))["a"]
    assert pixels is not None
    expected = np.concatenate([image((12, 14, 3), seed=c) for c in range(2)], axis=2)
    np.testing.assert_array_equal(pixels[:, 0], np.moveaxis(expected, 2, 0))


def test_slices_from_names_in_their_numerical_order(tmp_path: Path) -> None:
    for z in range(1, 12):
        put(tmp_path / "images" / f"a_z{z}.tif", image(seed=z))
        put(tmp_path / "masks" / f"a_z{z}_mask.tif", np.full((12, 14), z, np.uint8))
    found = data_set(tmp_path, "pairs", stack=True)
    pixels, labels = arrays(found)["a"]
    assert pixels is not None
    np.testing.assert_array_equal(pixels[0], np.stack([image(seed=z) for z in range(1, 12)]))
    assert labels[:, 0, 0].tolist() == list(range(1, 12))
    (tmp_path / "images" / "a_z7.tif").unlink()
    with pytest.raises(InvalidInput, match=r"a_z1\.tif and the files .* have the numbers 1 to 11, without 7"):
        data_set(tmp_path, "pairs", stack=True)


def test_files_that_do_not_fit_each_other_are_not_joined(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a_z1.tif")
    put(tmp_path / "images" / "a_z2.tif", image((12, 15)))
    put(tmp_path / "masks" / "a.tif")
    with pytest.raises(InvalidInput, match=r"a_z1\.tif and .*a_z2\.tif are to be joined"):
        data_set(tmp_path, "pairs", stack=True).open()


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif")
    with pytest.raises(InvalidInput, match="have the same name 'x'"):
        find_pairs([], [path, path])


def test_a_joined_source_reads_at_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for z in range(2):
        put(Path(f"images/a_z{z}.tif"), image(seed=z))
        put(Path(f"masks/a_z{z}.tif"))
    ((_, opened, _),) = data_set(Path(), "pairs", stack=True).open()
    assert opened is not None
    moved = opened.at_absolute_path()
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(moved.read(WHOLE)[0, 1], image(seed=1))
