"""Images, labels and data sets for the tests of layouts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.pipeline.conftest import save
from unetprep.params import LayoutParams
from unetprep.sources.layouts.data_set import DataSet
from unetprep.sources.layouts.table import find_data_set

WHOLE = (slice(None),) * 4


def image(shape: tuple[int, ...] = (12, 14), seed: int = 0) -> NDArray[np.uint8]:
    """Random grey values."""
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def put(path: Path, array: NDArray[Any] | None = None) -> str:
    """Write an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, image() if array is None else array)


def put_json(path: Path, value: Any) -> Path:
    """Write a JSON file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def data_set(folder: Path, layout: str, **params: Any) -> DataSet:
    """The data set of a folder, which must be recognised as this layout."""
    found = find_data_set(folder, LayoutParams(**params)).data_set
    assert found.layout == layout
    return found


def arrays(of: DataSet) -> dict[str, tuple[NDArray[Any] | None, NDArray[Any]]]:
    """Image (c, z, y, x) and labels (z, y, x) of every example."""
    return {name: (opened.read(WHOLE) if opened else None, labels.read(WHOLE)[0]) for name, opened, labels in of.open()}


def left_out(of: DataSet) -> dict[str, int]:
    """What is left out, by reason."""
    return {entry.why: entry.count for entry in of.left_out}
