"""Errors of the readers and writers of unetprep are those of unettrain where its public functions raise them."""

from pathlib import Path

import numpy as np
import pytest

import unettrain
from unetprep.format.metadata import DamagedDocument
from unettrain.errors import raises_own_errors


def test_public_functions_raise_errors_of_unettrain(tmp_path: Path) -> None:
    with pytest.raises(unettrain.InvalidInput, match="nope"):
        unettrain.evaluate_files(tmp_path / "nope.tif", tmp_path / "labels.tif")
    with pytest.raises(unettrain.InvalidInput):
        unettrain.evaluate_arrays(np.zeros((1,) * 5), np.zeros((4, 4), np.int32))
    with pytest.raises(unettrain.UnettrainError):
        unettrain.predict_files(tmp_path, tmp_path / "image.tif", tmp_path / "out.png")


def test_special_kinds_of_errors_keep_their_kind() -> None:
    @raises_own_errors
    def read() -> None:
        raise DamagedDocument("zarr.json is damaged")

    with pytest.raises(unettrain.InvalidInput, match="is damaged"):
        read()
