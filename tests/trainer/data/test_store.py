"""Opening a store for training."""

from pathlib import Path

import pytest
import zarr

from unettrain.data.store import open_store
from unettrain.errors import InvalidInput


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no store at .*nowhere\.zarr"):
        open_store(tmp_path / "nowhere.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="there is no store"):
        open_store(tmp_path / "folder")
    (tmp_path / "file.tif").write_bytes(b"II*")
    with pytest.raises(InvalidInput, match="there is no store"):
        open_store(tmp_path / "file.tif")
    zarr.open_group(tmp_path / "other.zarr", mode="w", zarr_format=3)
    with pytest.raises(InvalidInput, match="no store of unetprep"):
        open_store(tmp_path / "other.zarr")
