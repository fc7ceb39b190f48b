"""Layout `qupath`: NAME.geojson beside NAME.*, as QuPath exports objects.

Coordinates are pixels of the full resolution, from the corner of the first. Sources: RFC 7946 (GeoJSON); documentation
of QuPath, "Exporting annotations". A cell is its outer outline; that of its nucleus is not read.
"""

from collections import Counter
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder
from unetprep.sources.layouts.beside import files_near, plan_beside
from unetprep.sources.layouts.data_set import DataSet
from unetprep.sources.outlines.json_files import member, read_json, shown
from unetprep.sources.outlines.objects import OfOneImage, Outline, Outlines
from unetprep.sources.outlines.shapes import Polygon, polygon_of

SUBFOLDERS = ("annotations", "geojson", "labels", "export")
AREAS = ("Polygon", "MultiPolygon")
NO_AREAS = ("Point", "MultiPoint", "LineString", "MultiLineString")


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = files_near(folder, SUBFOLDERS, ".geojson")
    return f"files such as {found[0].rpartition('/')[2]}" if found else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each image with a GeoJSON file."""
    return plan_beside(folder, "qupath", files_near(folder, SUBFOLDERS, ".geojson"))


def read_annotations(path: str) -> OfOneImage:
    """Read the features of a GeoJSON file: a FeatureCollection, a list of features, or one."""
    document = read_json(path)
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = member(document, "features", list, path)
    features = document if isinstance(document, list) else [document]
    objects, others = [], Counter[str]()
    for number, feature in enumerate(features):
        where = f"{path}: feature {number}"
        geometry: dict[str, Any] = member(feature, "geometry", dict, where)
        kind = geometry.get("type")
        if kind in NO_AREAS:
            others[str(kind)] += 1
        elif kind in AREAS:
            objects.append(_outline(feature, geometry, number, where))
        else:
            raise InvalidInput(f"{where} has the type {shown(kind)}", allowed=", ".join((*AREAS, *NO_AREAS)))
    return OfOneImage(Outlines(tuple(objects), None, others))


def _outline(feature: dict[str, Any], geometry: dict[str, Any], number: int, where: str) -> Outline:
    coordinates = member(geometry, "coordinates", list, where)
    polygons = coordinates if geometry["type"] == "MultiPolygon" else [coordinates]
    parts: list[Polygon] = []
    for rings in polygons:
        polygon = polygon_of(rings) if isinstance(rings, list) else "it is no list of rings"
        if isinstance(polygon, str):
            raise InvalidInput(f"{where}: {polygon}", allowed="rings of at least three points [x, y]")
        parts.append(polygon)
    if not parts:
        raise InvalidInput(f"{where} has no polygon", allowed="at least one")
    plane = geometry.get("plane")
    z = plane.get("z") if isinstance(plane, dict) else None
    return Outline(f"feature {number}", tuple(parts), _class_of(feature), z if type(z) is int and z >= 0 else None)


def _class_of(feature: dict[str, Any]) -> str:
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    names = (
        [classification.get("name"), *_list(classification.get("names"))] if isinstance(classification, dict) else []
    )
    return next((name for name in names if isinstance(name, str)), "")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
