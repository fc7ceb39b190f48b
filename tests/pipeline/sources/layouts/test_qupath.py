from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.pipeline.sources.layouts.writing import arrays, data_set, image, left_out, put, put_json
from unetprep.errors import InvalidInput
from unetprep.sources.layouts.summary import summarize


def ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(kind: str, coordinates: Any, name: str = "Tumor", **more: Any) -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}}
    return {
        "type": "Feature",
        "id": "x",
        "geometry": {"type": kind, "coordinates": coordinates, **more},
        "properties": properties,
    }


def labels_of(folder: Path, *features: Any, sides: tuple[int, ...] = (12, 14)) -> NDArray[Any]:
    put(folder / "a.tif", image(sides))
    put_json(folder / "a.geojson", {"type": "FeatureCollection", "features": list(features)})
    return arrays(data_set(folder, "qupath"))["a"][1]


def test_polygons_with_holes_and_multipolygons(tmp_path: Path) -> None:
    found = labels_of(
        tmp_path,
        feature("Polygon", [ring(1, 1, 6, 6), ring(2, 2, 4, 4)]),
        feature("MultiPolygon", [[ring(8, 0, 10, 2)], [ring(8, 8, 12, 12), ring(9, 9, 10, 10)]], "Stroma"),
        feature("Point", [3, 3]),
    )
    expected = np.zeros((12, 14), np.int32)
    expected[1:6, 1:6], expected[2:4, 2:4] = 1, 0
    expected[0:2, 8:10] = expected[8:12, 8:12] = 2
    expected[9, 9] = 0
    np.testing.assert_array_equal(found[0], expected)
    of = data_set(tmp_path, "qupath")
    summary = summarize(of, of.open())
    assert summary.classes == {"Stroma": 1, "Tumor": 2}
    assert {entry.why: entry.count for entry in summary.left_out} == {"shapes of type Point": 1}


def test_a_list_of_features_and_a_single_one(tmp_path: Path) -> None:
    for name, document in (
        ("a", [feature("Polygon", [ring(0, 0, 2, 2)])]),
        ("b", feature("Polygon", [ring(0, 0, 1, 1)])),
    ):
        put(tmp_path / f"{name}.png")
        put_json(tmp_path / f"{name}.geojson", document)
    put(tmp_path / "c.png")
    found = data_set(tmp_path, "qupath")
    assert {name: int(labels.sum()) for name, (_, labels) in arrays(found).items()} == {"a": 4, "b": 1}
    assert left_out(found) == {"images without annotations": 1}


def test_objects_lie_in_their_slice(tmp_path: Path) -> None:
    plane = {"c": -1, "z": 2, "t": 0}
    found = labels_of(tmp_path, feature("Polygon", [ring(0, 0, 2, 2)], plane=plane), sides=(5, 12, 14))
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [2]
    with pytest.raises(InvalidInput, match="feature 0 has slice 2, and the image has 2"):
        labels_of(tmp_path, feature("Polygon", [ring(0, 0, 2, 2)], plane=plane), sides=(2, 12, 14))
    with pytest.raises(InvalidInput, match="feature 0 has no slice, and the image has 5"):
        labels_of(tmp_path, feature("Polygon", [ring(0, 0, 2, 2)]), sides=(5, 12, 14))


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"type": "Feature"}, "feature 0: geometry is None"),
        (7, "feature 0 is 7"),
        (feature("Circle", []), "feature 0 has the type 'Circle'"),
        (feature("Polygon", []), "feature 0: it has no points"),
        (feature("MultiPolygon", []), "feature 0 has no polygon"),
        (feature("MultiPolygon", [7]), "feature 0: it is no list of rings"),
        (feature("Polygon", [[[0, 0], [1, 1]]]), "feature 0: it has 2 points"),
        (feature("Polygon", [[[0, 0], [1], [2, 2]]]), "feature 0: its points are no pairs"),
        (feature("Polygon", [[[0, 0], [1, float("inf")], [2, 2]]]), "feature 0: a point is"),
    ],
)
def test_damaged_features_name_file_and_object(tmp_path: Path, of: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"a\.geojson: {message}"):
        labels_of(tmp_path, of)


def test_nesting_without_end_is_damage(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "a.geojson").write_text("[" * 100_000)
    with pytest.raises(InvalidInput, match=r"a\.geojson is no valid JSON"):
        data_set(tmp_path, "qupath").open()
