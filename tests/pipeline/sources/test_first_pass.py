"""Images whose values the store cannot hold are refused by name: nothing is rounded, cut or made infinite silently."""

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams
from unetprep.sources import open_source
from unetprep.store import Store

LABELS = cell_labels((40, 40), 6)
IMAGE = cell_image(LABELS)


def imported(folder: Path, image: np.ndarray, ending: str = "npy") -> np.ndarray:
    url = str(folder / "ds.zarr")
    files = save(folder / f"x.{ending}", image), save(folder / "y.npy", LABELS)
    import_images(url, [files[0]], [files[1]], ImportParams(), LOCAL)
    return np.asarray(Store.open(url).array("images/x/image")[0, 0])


@pytest.mark.parametrize("ending", ["npy", "tif", "zarr"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_images_are_refused_wherever_one_is_opened(tmp_path: Path, ending: str, dtype: str) -> None:
    path = save(tmp_path / f"x.{ending}", IMAGE.astype(dtype))
    with pytest.raises(InvalidInput, match=rf"x\.{ending} has dtype {dtype}\n.*\n.*save the magnitude"):
        open_source(path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.where(IMAGE > 99, 2**24 + 1, 5).astype(np.uint32), "holds 16777217, which float32 cannot keep exactly"),
        (np.where(IMAGE > 99, -(2**63), 5).astype(np.int64), "holds -9223372036854775808, which float32"),
        (IMAGE.astype(np.uint64) + 2**63, "which float32 cannot keep exactly"),
        (IMAGE * 1e300, r"holds \S+e\+30\d at \(c, z, y, x\) = \(0, 0, 0, 0\), too large for float32"),
        (np.where(IMAGE > 99, 3e38, -3e38), "whose difference is too large for float32"),
        (IMAGE * 1e-300, "which are one number in float32"),
        (1e9 + IMAGE * 0.01, "which are one number in float32"),
        (np.where(IMAGE > 99, np.inf, 0).astype(np.float16), r"holds inf at"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, image: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        imported(tmp_path, image)
    assert not (tmp_path / "ds.zarr").exists()


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "uint32", "int64", "uint64", "float16", "float64"])
def test_values_that_fit_are_kept_exactly(tmp_path: Path, dtype: str) -> None:
    image = (IMAGE // 2).astype(dtype)
    if np.dtype(dtype).itemsize > 2 and np.dtype(dtype).kind in "ui":
        image[3, 4] = 2**24
    np.testing.assert_array_equal(imported(tmp_path, image), image)
