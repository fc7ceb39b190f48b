"""New documents of groups and arrays, read by zarr-python."""

import json
from pathlib import Path

import numpy as np
import zarr

from unetprep.format.documents import array_document, group_document
from unetprep.format.layout import ArraySpec, Provenance

SPEC = ArraySpec("a", (40, 50), "float32", ("y", "x"), (8, 8), (16, 32), Provenance("", 0, {}, {}), "lz4")


def test_zarr_opens_what_the_documents_describe(tmp_path: Path) -> None:
    for folder, document in (("", group_document()), ("a", array_document(SPEC, {"unetprep": {"complete": False}}))):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "zarr.json").write_text(json.dumps(document))
    assert dict(zarr.open_group(tmp_path, mode="r").attrs) == {}
    array = zarr.open_array(tmp_path / "a", mode="r")
    assert (array.shape, array.dtype, array.chunks, array.shards) == ((40, 50), np.dtype("float32"), (8, 8), (16, 32))
    assert (array.metadata.dimension_names, array.fill_value) == (("y", "x"), 0)  # type: ignore[union-attr]
    assert dict(array.attrs) == {"unetprep": {"complete": False}}


def test_documents_of_equal_arrays_are_separate_objects() -> None:
    first, second = array_document(SPEC, {"a": 1}), array_document(SPEC, {})
    first["shape"].append(9)
    assert second["shape"] == [40, 50]
    assert second["attributes"] == {}
