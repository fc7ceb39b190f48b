"""Documents of a store are validated before anything of them is used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unetprep.format.metadata import DamagedDocument, encode, has_valid_checksum, is_intact, parse_document, record_of
from unetprep.store import Store

TABLE: dict[str, list[Any]] = {  # a valid one
    "names": ["a", "b"],
    "sizes": [[1, 2], [3, 4]],
    "split": ["train", None],
    "source": [["a.tif"], ["b.tif"]],
}
WRONG: dict[str, list[Any]] = {
    "names": ["a", [1], ["a/b"], ["a", "a"], ["zarr.json"], [".partial-x"], {"a": 1}, None],
    "dims": [1, 4, 2.0, "2", True, [2]],
    "split": ["all", 0, None, ["train"]],
    "intensity": [[0], [0, 1, 2], [0, None], ["0", "1"], 255, [0, float("inf")], [float("nan"), 1], [False, True]],
    "complete": ["true", 1, None],
    "fingerprint": [5, None, ["a"]],
    "parameters": [[], "a", None, {"tile_px": "5"}, {"spacing": [1, "2"]}, {"formula": 3}, {"class_weights": None}],
    "inputs": [["a"], {"a": 1}, None],
    "kernel_version": ["1", 1.0, -1],
    "largest_label": [-1, "5", 2.5],
    "source": ["a.tif", [1]],
    "tile": ["572", -1, 572.0, True],
    "margin": [None],
    "relabelling": [5, {}, {"fingerprints": 1}],
    "count": [-1, "1", 2.0],
    "digests": ["a", [1], None],
    "val_fraction": ["0.1", None],
    "seed": [-1, 0.5, "0"],
    "images": [
        [],
        {},
        TABLE | {"names": ["a"]},
        TABLE | {"names": ["a", "a"]},
        TABLE | {"names": ["a", "../b"]},
        TABLE | {"sizes": [[1, 2], [3]]},
        TABLE | {"sizes": [[1, 2], [3, 0]]},
        TABLE | {"sizes": [[1, 2], [3, 1.5]]},
        TABLE | {"split": ["train", "all"]},
        TABLE | {"source": ["a.tif", "b.tif"]},
        TABLE | {"intensity": [[0, 1]]},
        TABLE | {"percentiles": [[0, 1], [0, None]]},
        TABLE | {"others": [1, 2]},
        {key: column for key, column in TABLE.items() if key != "split"},
    ],
}


def group(**ours: Any) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": {"unetprep": ours}}


def array(**other: Any) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 4],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "codecs": [{"name": "bytes"}],
        **other,
    }


@pytest.mark.parametrize("key", WRONG)
def test_an_attribute_of_another_type_is_refused(key: str) -> None:
    for value in WRONG[key]:
        with pytest.raises(DamagedDocument, match=f"^X: its attribute {key} is .*\n  allowed: .*\n  to do:   mend it"):
            parse_document(json.dumps(group(**{key: value})).encode(), "X", "mend it")


def test_the_table_of_a_stack_may_have_intensities() -> None:
    table = TABLE | {"intensity": [[0, 1], [0.5, 2]], "percentiles": [[0, 1], [0.5, 2]]}
    for valid in (TABLE, table):
        assert record_of(parse_document(json.dumps(group(images=valid)).encode(), "X")) == {"images": valid}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zarr_format": 2}, "its zarr_format is 2"),
        ({"node_type": "folder"}, "its node_type is 'folder'"),
        ({"attributes": []}, r"its attributes are \[\]"),
        ({"attributes": {"unetprep": 5}}, "its attribute unetprep is 5"),
        ({"shape": 4}, "its shape is 4"),
        ({"shape": [4, -1]}, "its shape is"),
        ({"shape": [4, 10**30]}, "its shape is"),
        ({"data_type": None}, "its data_type is missing"),
        ({"codecs": []}, "its codecs are"),
        ({"codecs": ["bytes"]}, "its codecs are"),
        ({"chunk_grid": None}, "its chunk_grid is missing"),
        ({"chunk_grid": {"name": "regular"}}, "its chunk_shape is missing"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 0]}}}, "its chunk_shape is"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}}, "its chunk_shape is"),
        ({"dimension_names": ["y"]}, "its dimension_names are"),
        ({"dimension_names": "yx"}, "its dimension_names are"),
    ],
)
def test_metadata_of_another_type_are_refused(change: dict[str, Any], message: str) -> None:
    parse_document(json.dumps(array()).encode(), "X")
    with pytest.raises(DamagedDocument, match=f"^X: {message}"):
        parse_document(json.dumps(array(**change)).encode(), "X")


def test_metadata_of_other_software_are_accepted() -> None:
    others = {"data_type": {"name": "numpy.datetime64"}, "chunk_grid": {"name": "rectilinear"}}
    attributes = {"names": 5, "ome": [1], "unetprep": {"some": None}}
    parse_document(json.dumps(array(**others, attributes=attributes, storage_transformers=[])).encode(), "X")
    parse_document(b'{"zarr_format": 3, "node_type": "group"}', "X")


def test_attributes_of_another_format_version_are_not_judged_by_those_of_this_one() -> None:
    document = parse_document(json.dumps(group(format_version=3, names="all")).encode(), "X")
    assert record_of(document) == {"format_version": 3, "names": "all"}


def indented(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=3).encode()


def test_a_checksum_covers_the_values_and_not_the_white_space() -> None:
    data = encode(group(intensity=[0.0, 255.0]))
    document = parse_document(data, "X")
    assert is_intact(data)
    again = indented(document)
    assert parse_document(again, "X") == document
    assert not is_intact(again)
    document["attributes"]["unetprep"]["intensity"] = [0.0, 251.0]
    assert not has_valid_checksum(document)
    with pytest.raises(DamagedDocument, match="X: its checksum does not match"):
        parse_document(indented(document), "X")
    parse_document(indented(document), "X", verify=False)


@pytest.mark.parametrize("change", [lambda d: d.pop("inputs"), lambda d: d.pop("parameters"), lambda d: d.pop("stage")])
def test_a_store_of_other_software_may_lack_provenance(store: Store, change: Callable[[dict[str, Any]], Any]) -> None:
    file = Path(store.url, "images/a/image/zarr.json")
    document = json.loads(file.read_bytes())
    change(document["attributes"]["unetprep"])
    file.write_bytes(encode(document))
    opened = Store.open(store.url)
    assert opened.state("images/a/image") == "finished"
    assert opened.finished_array("images/a/image", "import").shape == (1, 1, 90, 130)
