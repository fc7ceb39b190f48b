"""HDF5, NIfTI, MRC, npz and the files of microscopes: which image of a file, its axes, and its pixel size."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from pylibCZIrw import czi

from tests.pipeline.sources.formats import samples
from tests.pipeline.sources.formats.samples import PLANE, SAMPLES, VOLUME, WHOLE
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.source import Choice


@pytest.mark.parametrize(
    ("name", "size", "unit"),
    [
        ("x.h5", (0.5, 0.2, 0.1), "micrometer"),
        ("x.nii", (0.5, 0.2, 0.1), "millimeter"),
        ("x.nii.gz", (0.5, 0.2, 0.1), "millimeter"),
        ("x.mrc", (50, 20, 10), "angstrom"),
        ("x.czi", (0.5, 0.1, 0.1), "micrometer"),
        ("x.lif", (None, 0.5, 0.25), "micrometer"),
    ],
)
def test_pixel_sizes(tmp_path: Path, name: str, size: tuple[float, ...], unit: str) -> None:
    SAMPLES[name][0](tmp_path / name)
    source = open_source(str(tmp_path / name))
    assert source.unit == unit
    assert source.pixel_size == pytest.approx(size)


def two_datasets(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["raw"], file["deep/labels"] = VOLUME, VOLUME // 7


def two_arrays(path: Path) -> None:
    arrays: Any = {"raw": VOLUME, "deep/labels": VOLUME // 7}
    np.savez(path, **arrays)


@pytest.mark.parametrize(("name", "write"), [("x.h5", two_datasets), ("x.npz", two_arrays)])
def test_one_of_several_arrays_is_named(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    with pytest.raises(InvalidInput, match=rf"(?s){name} holds 2 .*{name}:/deep/labels"):
        open_source(str(tmp_path / name))
    found = open_source(f"{tmp_path / name}:/deep/labels").read(WHOLE)[0]
    np.testing.assert_array_equal(found, VOLUME // 7)
    with pytest.raises(InvalidInput, match=rf"(?s)no .* 'other'.*{name}:/raw"):
        open_source(f"{tmp_path / name}:/other")


def test_axes_that_hdf5_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["raw"] = VOLUME.transpose(1, 2, 0)[..., None]
        file["raw"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "yxzc"]})
        file["other"] = VOLUME.transpose(2, 1, 0)
        for dimension, label in zip(file["other"].dims, "xyz", strict=True):
            dimension.label = label
    for name in ("raw", "other"):
        np.testing.assert_array_equal(open_source(f"{tmp_path}/x.h5:/{name}").read(WHOLE)[0], VOLUME)


def test_scaled_nifti_values_are_real_numbers(tmp_path: Path) -> None:
    image: Any = nibabel.Nifti1Image(VOLUME.T, np.eye(4))  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(0.5, 1)
    nibabel.save(image, tmp_path / "x.nii")
    raw = nibabel.load(tmp_path / "x.nii").dataobj  # type: ignore[attr-defined]
    source = open_source(str(tmp_path / "x.nii"))
    assert source.dtype == "float64"
    np.testing.assert_array_equal(source.read(WHOLE)[0], np.asarray(raw).T)


def test_levels_and_scenes_of_czi(tmp_path: Path) -> None:
    with czi.create_czi(str(tmp_path / "x.czi")) as file:
        for scene in range(2):
            plane = np.kron(PLANE // (scene + 1), np.ones((2, 2), np.uint8))[..., None]
            file.write(plane, plane={"C": 0, "Z": 0, "T": 0}, scene=scene, location=(500 * scene, 0))
    path = str(tmp_path / "x.czi")
    with pytest.raises(InvalidInput, match="holds 2 scenes"):
        open_source(path)
    large = open_source(path, Choice(series=1)).read(WHOLE)[0, 0]
    np.testing.assert_array_equal(large, np.kron(PLANE // 2, np.ones((2, 2), np.uint8)))
    half = open_source(path, Choice(series=1, level=1)).read(WHOLE)[0, 0]
    np.testing.assert_array_equal(half, PLANE // 2)


def test_the_images_of_lif_are_series(tmp_path: Path) -> None:
    (tmp_path / "x.lif").write_bytes(samples.lif({"one": PLANE, "two": PLANE[:20] // 2}))
    with pytest.raises(InvalidInput, match=r"(?s)holds 2 images.*0: 40 x 30 \(one\); 1: 20 x 30 \(two\)"):
        open_source(str(tmp_path / "x.lif"))
    found = open_source(str(tmp_path / "x.lif"), Choice(series=1)).read(WHOLE)[0, 0]
    np.testing.assert_array_equal(found, PLANE[:20] // 2)


class Nd2File:
    """The interface of nd2.ND2File for two positions of VOLUME in two channels; writing such files is not possible."""

    sizes, dtype = {"P": 2, "Z": 5, "C": 2, "Y": 40, "X": 30}, np.dtype("uint8")

    def __init__(self, path: str) -> None:
        if not Path(path).read_bytes():
            raise ValueError("it is empty")

    def __enter__(self) -> "Nd2File":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def voxel_size(self) -> SimpleNamespace:
        return SimpleNamespace(x=0.1, y=0.2, z=0.5)

    def read_frame(self, number: int) -> np.ndarray:
        position, z = divmod(number, 5)
        return np.stack([VOLUME[z] // (position + 1), VOLUME[z] // 3])


def test_the_positions_of_nd2_are_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nd2.ND2File", Nd2File)
    (tmp_path / "x.nd2").write_bytes(b"nd2")
    path = str(tmp_path / "x.nd2")
    with pytest.raises(InvalidInput, match="holds 2 positions"):
        open_source(path)
    source = open_source(path, Choice(series=1))
    assert (source.shape, source.pixel_size) == ((2, 5, 40, 30), (0.5, 0.2, 0.1))
    np.testing.assert_array_equal(source.read(WHOLE), np.stack([VOLUME // 2, VOLUME // 3]))
    box = (slice(1, 2), slice(2, 4), slice(3, 9), slice(5, 6))
    np.testing.assert_array_equal(source.read(box), np.stack([VOLUME // 2, VOLUME // 3])[box])
