"""Reading of strips from files that are decoded by chunks."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from unetprep.sources import open_source
from unetprep.sources.formats import zarr_arrays
from unettrain.prediction.source_pixels import Pixels

VALUES = np.random.default_rng(0).integers(0, 255, (2, 100, 90)).astype(np.uint8)


@pytest.mark.parametrize("axis", [1, 2])
def test_no_chunk_is_read_for_every_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axis: int) -> None:
    zarr.create_array(tmp_path / "v.zarr", data=VALUES, chunks=(1, 32, 32), dimension_names=("z", "y", "x"))
    boxes, read = Counter[Any](), zarr_arrays.read_array

    def counted(path: str, array: str, box: Any, endpoint: str) -> Any:
        boxes[tuple((part.start, part.stop) for part in box)] += 1
        return read(path, array, box, endpoint)

    monkeypatch.setattr("unetprep.sources.formats.zarr_files.read_array", counted)
    pixels = Pixels(open_source(str(tmp_path / "v.zarr")))
    for z in range(2):
        for start in range(0, VALUES.shape[axis], 8):
            part = slice(max(0, start - 3), start + 8)
            key = (slice(None), z, part, slice(2, 88)) if axis == 1 else (slice(None), z, slice(2, 98), part)
            expected = VALUES[z, part, 2:88] if axis == 1 else VALUES[z, 2:98, part]
            np.testing.assert_array_equal(pixels[key][0], expected)
    assert set(boxes.values()) == {1}
    assert len(boxes) == 2 * -(-VALUES.shape[axis] // 32)


@pytest.mark.parametrize("key", [np.s_[:], np.s_[:, 1], np.s_[:, 0, 5:9], np.s_[:, :, 3:70, 60:61]])
@pytest.mark.parametrize("ending", [".zarr", ".tif", ".npy"])
def test_any_part_is_that_of_the_array(tmp_path: Path, ending: str, key: Any) -> None:
    path = tmp_path / f"v{ending}"
    if ending == ".zarr":
        zarr.create_array(path, data=VALUES, chunks=(1, 32, 32), dimension_names=("z", "y", "x"))
    elif ending == ".tif":
        tifffile.imwrite(path, VALUES, tile=(32, 32), metadata={"axes": "ZYX"}, imagej=False)
    else:
        np.save(path, VALUES)
    np.testing.assert_array_equal(Pixels(open_source(str(path)))[key], VALUES[None][key])
