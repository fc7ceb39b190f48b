from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile
import zarr

from tests.pipeline.conftest import save
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.layouts.pairs import find_pairs

WHOLE = (slice(None),) * 4


def pixels(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("ending", [".tif", ".png", ".npy", ".zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_format_gives_the_same_pixels(tmp_path: Path, ending: str, dtype: str) -> None:
    image = pixels((20, 31), dtype)
    source = open_source(save(tmp_path / f"x{ending}", image))
    assert (source.shape, source.dtype) == ((1, 1, 20, 31), dtype)
    np.testing.assert_array_equal(
        source.read((slice(0, 1), slice(0, 1), slice(3, 9), slice(5, 31)))[0, 0], image[3:9, 5:]
    )


@pytest.mark.parametrize("ending", [".tif", ".png", ".npy"])
def test_colours_become_channels(tmp_path: Path, ending: str) -> None:
    image = pixels((20, 31, 3))
    source = open_source(save(tmp_path / f"x{ending}", image))
    assert source.shape == (3, 1, 20, 31)
    np.testing.assert_array_equal(
        source.read((slice(0, 3), slice(0, 1), slice(0, 20), slice(0, 31)))[:, 0], image.transpose(2, 0, 1)
    )


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_tiff_stack_is_read_slice_by_slice(tmp_path: Path, compression: str | None) -> None:
    stack = pixels((7, 20, 31), "float32")
    tifffile.imwrite(tmp_path / "x.tif", stack, compression=compression)
    source = open_source(str(tmp_path / "x.tif"))
    assert source.shape == (1, 7, 20, 31)
    np.testing.assert_array_equal(
        source.read((slice(0, 1), slice(2, 4), slice(0, 20), slice(8, 9)))[0], stack[2:4, :, 8:9]
    )


def test_imagej_hyperstack_with_channels(tmp_path: Path) -> None:
    data = pixels((4, 2, 20, 31), "uint16")
    tifffile.imwrite(tmp_path / "x.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    source = open_source(str(tmp_path / "x.tif"))
    assert source.shape == (2, 4, 20, 31)
    np.testing.assert_array_equal(
        source.read((slice(0, 2), slice(0, 4), slice(0, 20), slice(0, 31))), data.transpose(1, 0, 2, 3)
    )


def test_jpeg_is_read(tmp_path: Path) -> None:
    assert open_source(save(tmp_path / "x.jpg", pixels((20, 31)))).shape == (1, 1, 20, 31)


def test_axes_can_be_named(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", pixels((3, 20, 31)))
    assert open_source(path).shape == (1, 3, 20, 31)
    assert open_source(path, "cyx").shape == (3, 1, 20, 31)


def test_an_ome_zarr_image_is_read_at_full_resolution(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "x.zarr"))
    group.create_array("s0", data=pixels((2, 20, 31)))
    axes = [{"name": a} for a in "cyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "s0"}]}]}
    assert open_source(str(tmp_path / "x.zarr")).shape == (2, 1, 20, 31)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.tif", None, "no.tif is not there"),
        ("no.zarr", None, "no.zarr is not there"),
        ("cut.tif", b"II*\x00\x08\x00", "cut.tif cannot be read"),
        ("text.tif", b"hello", "text.tif cannot be read"),
        ("text.png", b"hello", "text.png cannot be read"),
        ("text.npy", b"hello", "text.npy cannot be read"),
        ("data.csv", b"1,2", "ends in '.csv', which is not a supported image format"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        open_source(str(tmp_path / name))


def test_axes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", pixels((2, 3, 4, 20, 31)))
    with pytest.raises(InvalidInput, match=r"has shape \(2, 3, 4, 20, 31\) with axes"):
        open_source(path)
    with pytest.raises(InvalidInput, match="with axes 'zyyx'"):
        open_source(save(tmp_path / "y.npy", pixels((2, 4, 20, 31))), "zyyx")


def test_pairs_are_found_by_name_whatever_the_endings(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a1", "b2"):
        save(tmp_path / "images" / f"{name}.png", pixels((9, 9)))
        save(tmp_path / "masks" / f"{name}_mask.tif", pixels((9, 9)))
    pairs = find_pairs([str(tmp_path / "images")], [str(tmp_path / "masks")])
    assert [(name, Path(i.path).name, Path(m.path).name) for name, i, m in pairs if i] == [
        ("a1", "a1.png", "a1_mask.tif"),
        ("b2", "b2.png", "b2_mask.tif"),
    ]


def test_a_single_pair_needs_no_common_name(tmp_path: Path) -> None:
    image, labels = save(tmp_path / "x.tif", pixels((9, 9))), save(tmp_path / "y.tif", pixels((9, 9)))
    assert [name for name, *_ in find_pairs([image], [labels])] == ["x"]


def test_a_pair_of_different_sizes_names_both_files_and_both_shapes(tmp_path: Path) -> None:
    image, labels = save(tmp_path / "x.tif", pixels((9, 9))), save(tmp_path / "y.tif", pixels((9, 8)))
    with pytest.raises(
        InvalidInput, match=r"x\.tif and its labels .*y\.tif differ in size: \(1, 9, 9\) and \(1, 9, 8\)"
    ):
        find_pairs([image], [labels])


def test_an_image_without_labels_is_named(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{n}.tif", pixels((9, 9))) for n in ("p", "q")]
    with pytest.raises(InvalidInput, match=r"q\.tif has no labels of its name"):
        find_pairs(images, [images[0]])
    with pytest.raises(InvalidInput, match=r"q\.tif has no image of its name"):
        find_pairs([images[0]], images)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    both = [save(tmp_path / f"x{e}", pixels((9, 9))) for e in (".tif", ".png")]
    with pytest.raises(InvalidInput, match="have the same name 'x'"):
        find_pairs([], both)


def test_coloured_labels_are_refused(tmp_path: Path) -> None:
    image, labels = save(tmp_path / "x.png", pixels((9, 9))), save(tmp_path / "y.png", pixels((9, 9, 3)))
    with pytest.raises(InvalidInput, match="has 3 channels"):
        find_pairs([image], [labels])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="empty is a folder without images"):
        find_pairs([], [str(tmp_path / "empty")])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_uncompressed_pixels_are_read_without_parsing_the_file_again(
    tmp_path: Path, byteorder: Literal["<", ">"], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = np.arange(2 * 6 * 5, dtype=np.uint16).reshape(2, 6, 5) * 7
    tifffile.imwrite(tmp_path / "a.tif", stack, byteorder=byteorder, photometric="minisblack")
    source = open_source(str(tmp_path / "a.tif"))
    monkeypatch.setattr(tifffile, "TiffFile", None)
    read = source.read((slice(None), slice(1, 2), slice(2, 5), slice(1, 4)))
    np.testing.assert_array_equal(read, stack[None, 1:2, 2:5, 1:4])
    assert read.dtype == np.dtype("uint16")


def test_a_file_that_was_replaced_is_parsed_again(tmp_path: Path) -> None:
    path, other = tmp_path / "a.tif", np.full((6, 5), 3, np.uint8)
    tifffile.imwrite(path, np.zeros((6, 5), np.uint8))
    source = open_source(str(path))
    tifffile.imwrite(path, other, compression="zlib")
    np.testing.assert_array_equal(source.read(WHOLE)[0, 0], other)
