"""Annotation files with bytes cut off or changed: labels, or one error that names the file."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.sources.layouts import test_coco, test_labelme, test_qupath
from tests.pipeline.sources.layouts.writing import arrays, put
from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.layouts.table import find_data_set

NUM_DAMAGED = 150
RING = [[1, 1], [5, 1], [5, 4]]
MASK = {"size": [12, 14], "counts": [2, 3, 163]}
COCO = test_coco.document(test_coco.annotation(0, [[1, 1, 5, 1, 5, 4]]), test_coco.annotation(0, MASK))
LABELME = test_labelme.document(test_labelme.shape(RING), test_labelme.shape(RING[:2], "circle"))
GEOJSON = {"type": "FeatureCollection", "features": [test_qupath.feature("Polygon", [RING])]}
DOCUMENTS = [("coco", "x.json", COCO), ("labelme", "a.json", LABELME), ("qupath", "a.geojson", GEOJSON)]


@pytest.mark.parametrize(("layout", "name", "document"), DOCUMENTS)
def test_damage_is_one_error(tmp_path: Path, layout: str, name: str, document: Any) -> None:
    put(tmp_path / "a.png")
    whole = json.dumps(document).encode()
    (tmp_path / name).write_bytes(whole)
    assert arrays(find_data_set(tmp_path).data_set)["a"][1].any()
    rng = np.random.default_rng(0)
    for k in range(NUM_DAMAGED):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 1 + k % 3):
            data[at] = rng.choice(list(b'0123456789-.e"[]{},:nNx\xff'))
        (tmp_path / name).write_bytes(data[: rng.integers(len(data))] if k % 5 == 0 else data)
        with suppress(InvalidInput):
            arrays(find_data_set(tmp_path, LayoutParams(layout=layout)).data_set)


@pytest.mark.parametrize(("layout", "name", "document"), DOCUMENTS)
def test_values_of_other_types_are_one_error(tmp_path: Path, layout: str, name: str, document: Any) -> None:
    put(tmp_path / "a.png")
    values: list[Any] = [None, True, -1, 1e400, 10**30, "x", [], {}, [[]], [None]]
    for wrong in values:
        for changed in replacements(document, wrong):
            (tmp_path / name).write_text(json.dumps(changed))
            with suppress(InvalidInput):
                arrays(find_data_set(tmp_path, LayoutParams(layout=layout)).data_set)


def replacements(value: Any, wrong: Any) -> list[Any]:
    """A document with each of its values replaced in turn."""
    found = [wrong]
    if isinstance(value, dict):
        found += [{**value, key: new} for key, old in value.items() for new in replacements(old, wrong)]
    if isinstance(value, list):
        found += [[*value[:i], new, *value[i + 1 :]] for i, old in enumerate(value) for new in replacements(old, wrong)]
    return found
