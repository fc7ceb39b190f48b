"""Prediction files: what is in them, what size of pixels they state, and by what they are recognised."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from unetprep.sources import open_source
from unetprep.sources.calibration import Calibration, read_calibration
from unettrain.prediction import tiff_output, windows
from unettrain.prediction.layout import Layout
from unettrain.prediction.outputs import is_prediction, write_prediction
from unettrain.prediction.tiff_output import needs_big_tiff

ENDINGS = (".tif", ".npy", ".zarr")
MEASURED = Calibration(1.567, 0.235, 0.15, "micrometer")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "BAND_PIXELS", 300)


def layout_of(shape: tuple[int, int, int, int]) -> Layout:
    return Layout(shape, keeps_classes=shape[0] > 1, keeps_slices=shape[1] > 1)


def values_of(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


def write(path: Path, shape: tuple[int, int, int, int], calibration: Calibration | None = None) -> Any:
    values = values_of(shape)
    write_prediction(path, lambda w: values[:, w.z, w.rows, w.columns], layout_of(shape), calibration)
    return values


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 50, 30),
        (1, 1, 1, 1),
        (1, 1, 7, 1),
        (1, 3, 5, 1),
        (1, 4, 5, 3),
        (1, 3, 40, 4),
        (3, 1, 20, 12),
        (3, 4, 20, 12),
        (4, 2, 3, 3),
    ],
)
def test_values_are_those_that_were_predicted(tmp_path: Path, ending: str, shape: tuple[int, int, int, int]) -> None:
    path = tmp_path / f"p{ending}"
    values = write(path, shape)
    source = open_source(str(path), layout_of(shape).axes if ending == ".npy" else "")
    assert source.dtype == "float32"
    np.testing.assert_array_equal(source.read(tuple(slice(0, n) for n in shape)), values)
    assert is_prediction(path)
    assert read_calibration(source) is None


def test_strips_of_wide_images_lie_in_one_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_output, "STRIP_BYTES", 1000)
    values = write(tmp_path / "p.tif", (1, 2, 50, 30))
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.pages.first.rowsperstrip == 8
        np.testing.assert_array_equal(tiff.asarray(), values[0])


@pytest.mark.parametrize(
    ("shape", "is_big"),
    [
        ((1, 1, 32768, 32768), True),  # 4 GiB
        ((1, 1, 32768, 30000), False),
        ((1, 30_000_000, 5, 5), True),  # 3 GB of pixels, and as much for its pages
        ((1, 1, 100_000, 100_000), True),
    ],
)
def test_big_tiff_is_decided_by_the_size(shape: tuple[int, int, int, int], is_big: bool) -> None:
    assert needs_big_tiff(layout_of(shape)) == is_big


@pytest.mark.parametrize("shape", [(1, 1, 20, 30), (1, 3, 20, 30), (3, 1, 20, 30), (3, 2, 20, 30)])
def test_a_big_tiff_is_read_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int, int]
) -> None:
    monkeypatch.setattr(tiff_output, "CLASSIC_TIFF_BYTES", 1000)
    values = write(tmp_path / "p.tif", shape, MEASURED)
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.is_bigtiff
    source = open_source(str(tmp_path / "p.tif"))
    np.testing.assert_array_equal(source.read(tuple(slice(0, n) for n in shape)), values)
    assert is_prediction(tmp_path / "p.tif")
    assert read_calibration(source) == Calibration(1.567 if shape[1] > 1 else None, 0.235, 0.15, "micrometer")


@pytest.mark.parametrize(
    "calibration",
    [
        MEASURED,
        Calibration(None, 0.235, 0.15, "micrometer"),
        Calibration(None, 1 / 300, 1 / 300, "inch"),
        Calibration(40.0, 4.0, 4.0, "nanometer"),
        Calibration(0.1, 0.01, 0.01, "centimeter"),
    ],
)
def test_pixel_sizes_are_written_for_imagej(tmp_path: Path, calibration: Calibration) -> None:
    write(tmp_path / "p.tif", (1, 2, 20, 30), calibration)
    found = read_calibration(open_source(str(tmp_path / "p.tif")))
    assert found is not None
    assert found.unit == calibration.unit
    assert found.z == calibration.z
    np.testing.assert_allclose((found.y, found.x), (calibration.y, calibration.x), rtol=1e-7)
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.is_imagej
        assert (tiff.imagej_metadata or {}).get("spacing") == calibration.z


def test_pixel_sizes_of_unknown_unit_are_no_micrometers(tmp_path: Path) -> None:
    write(tmp_path / "p.tif", (1, 2, 20, 30), Calibration(3, 1, 1, ""))
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        about = tiff.imagej_metadata or {}
        assert about["spacing"] == 3
        assert "unit" not in about
        assert tiff.pages.first.tags["ResolutionUnit"].value == 1


def test_pixel_sizes_are_attributes_of_a_zarr_array(tmp_path: Path) -> None:
    write(tmp_path / "p.zarr", (1, 2, 20, 30), MEASURED)
    about: Any = zarr.open_array(tmp_path / "p.zarr", mode="r").attrs["unettrain"]
    assert about["spacing"] == [1.567, 0.235, 0.15]
    assert about["unit"] == "micrometer"
    write(tmp_path / "slice.zarr", (3, 1, 20, 30), MEASURED)
    about = zarr.open_array(tmp_path / "slice.zarr", mode="r").attrs["unettrain"]
    assert about["spacing"] == [0.235, 0.15]


def test_every_chunk_of_a_prediction_of_nothing_is_written(tmp_path: Path) -> None:
    shape = (1, 1, 20, 30)
    write_prediction(tmp_path / "p.zarr", lambda w: np.zeros(shape, np.float32)[:, w.z], layout_of(shape), None)
    assert len(list((tmp_path / "p.zarr/c").rglob("0"))) > 0


def foreign(path: Path, values: NDArray[np.float32]) -> None:
    """What somebody else might have written, as like a prediction as can be."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, imagej=True, metadata={"axes": "YX"}, compression="zlib")
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        zarr.create_array(str(path), data=values, dimension_names=("y", "x"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_of_others_are_no_predictions(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p{ending}"
    foreign(path, values_of((5, 6)))
    assert not is_prediction(path)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"\x93NUMPY", b"\x93NUMPY\x01\0", b"mine", b"\0" * 100])
@pytest.mark.parametrize("ending", [".tif", ".npy"])
def test_damaged_files_are_no_predictions(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"p{ending}"
    path.write_bytes(content)
    assert not is_prediction(path)


def test_files_with_two_arrays_are_no_predictions(tmp_path: Path) -> None:
    with (tmp_path / "p.npy").open("wb") as file:
        np.save(file, values_of((5, 6)))
        np.save(file, np.array("mine"))
    assert not is_prediction(tmp_path / "p.npy")


@pytest.mark.parametrize("document", ["[]", "null", "{", '{"attributes": {"unettrain": 3}}', "{}"])
def test_other_zarr_is_no_prediction(tmp_path: Path, document: str) -> None:
    (tmp_path / "p.zarr").mkdir()
    (tmp_path / "p.zarr/zarr.json").write_text(document)
    assert not is_prediction(tmp_path / "p.zarr")


def test_a_prediction_with_other_files_in_its_folder_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "p.zarr", (1, 1, 5, 6))
    assert is_prediction(tmp_path / "p.zarr")
    (tmp_path / "p.zarr/notes.txt").write_text("mine")
    assert not is_prediction(tmp_path / "p.zarr")


def test_a_marked_group_is_no_prediction(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "p.zarr", attributes={"unettrain": {"software": "unettrain predict 1"}})
    assert not is_prediction(tmp_path / "p.zarr")
