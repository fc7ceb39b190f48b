"""Layout `labelme`: NAME.json for each image, as labelme writes it.

Polygons, rectangles, circles and masks are objects; those of one label and one group_id are one object. Coordinates are
pixels from the corner of the first. Source: labelme, its examples and documentation of `labelme2voc`.
"""

import os
from collections import Counter
from math import hypot
from typing import Any

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.beside import IMAGE_FOLDERS, files_near
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.outlines.drawn import Drawn
from unetprep.sources.outlines.embedded import decode_picture, open_embedded
from unetprep.sources.outlines.json_files import member, read_json, shown
from unetprep.sources.outlines.objects import OfOneImage, Outline, Outlines
from unetprep.sources.outlines.shapes import Bitmap, Ellipse, Polygon, Shape, polygon_of
from unetprep.sources.source import stem_of

SUBFOLDERS = ("annotations", "labels", "json", "labelme")
NO_AREAS = ("point", "points", "line", "linestrip")
AREAS = ("polygon", "rectangle", "circle", "mask")


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = files_near(folder, SUBFOLDERS, ".json")
    return f"files such as {found[0].rpartition('/')[2]}" if found and _is_labelme(read_json(found[0])) else ""


def _is_labelme(document: Any) -> bool:
    return isinstance(document, dict) and "shapes" in document and "imagePath" in document


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each JSON file with an image: the file that it names, in this folder, or the one that it holds."""
    examples, others, without = [], [], []
    for path in files_near(folder, SUBFOLDERS, ".json"):
        document = read_json(path)
        if not _is_labelme(document):
            others.append(path)
        elif image := _image(folder, path, document):
            examples.append(Example(stem_of(path), image, Drawn("labelme", path)))
        else:
            without.append(path)
    if not examples:
        raise InvalidInput(
            f"{folder.path} holds no image for {without[0] if without else 'its JSON files'}",
            allowed="the image that imagePath names, in this folder or in its folder images, or imageData",
        )
    kept = (*left_out("JSON files without their image", without), *left_out("JSON files of another kind", others))
    return DataSet("labelme", folder.path, tuple(examples), kept)


def _image(folder: Folder, path: str, document: dict[str, Any]) -> Files | None:
    """The image of an annotation file. Only the name of `imagePath` is used: no path leads out of the folder."""
    name = member(document, "imagePath", str, path).replace("\\", "/").rpartition("/")[2]
    places = (
        os.path.dirname(path),
        folder.path,
        *(folder.below(n).path for n in folder.folders if n.lower() in IMAGE_FOLDERS),
    )
    there = next((f"{place}/{name}" for place in places if name in Folder(place).images), None)
    if there is None and document.get("imageData"):
        return Files((open_embedded(path, "imageData"),))
    return Files((there,)) if there else None


def read_annotations(path: str) -> OfOneImage:
    """Read the shapes of a JSON file."""
    document = read_json(path)
    parts: dict[object, list[Shape]] = {}
    about: dict[object, tuple[str, str]] = {}
    others = Counter[str]()
    for number, shape in enumerate(member(document, "shapes", list, path)):
        where = f"{path}: shape {number}"
        label, kind = member(shape, "label", str, where), shape.get("shape_type", "polygon")
        if kind in NO_AREAS:
            others[kind] += 1
            continue
        group = shape.get("group_id")
        thing = (label, group) if type(group) is int else number
        parts.setdefault(thing, []).append(_shape(shape, kind, where))
        about.setdefault(thing, (f"shape {number}", label))
    objects = tuple(Outline(about[thing][0], tuple(some), about[thing][1]) for thing, some in parts.items())
    return OfOneImage(Outlines(objects, _size(document), others))


def _size(document: dict[str, Any]) -> tuple[int, int] | None:
    height, width = document.get("imageHeight"), document.get("imageWidth")
    return (height, width) if type(height) is int and type(width) is int else None


def _shape(shape: dict[str, Any], kind: object, where: str) -> Shape:
    if kind not in AREAS:
        raise InvalidInput(f"{where} has the type {shown(kind)}", allowed=", ".join((*AREAS, *NO_AREAS)))
    points = member(shape, "points", list, where)
    if kind == "polygon":
        found = polygon_of([points])
        if isinstance(found, str):
            raise InvalidInput(f"{where}: {found}", allowed="at least three points [x, y]")
        return found
    two = polygon_of([[*points, points[0]]]) if len(points) == 2 else f"it has {len(points)} points"
    if isinstance(two, str):
        raise InvalidInput(f"{where}: {two}", allowed=f"two points [x, y] of a {kind}")
    (x0, y0), (x1, y1) = two.rings[0][:2].tolist()
    if kind == "circle":  # a centre, and a point of the circle
        radius = hypot(x1 - x0, y1 - y0)
        return Ellipse((x0 - radius, y0 - radius, x0 + radius, y0 + radius))
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if kind == "mask":  # a bitmap, whose first and last pixel the points are
        pixels = decode_picture(member(shape, "mask", str, where), where)
        mask = np.asarray(pixels != 0).any(axis=tuple(range(2, pixels.ndim)))
        return Bitmap(round(top), round(left), np.asarray(mask))
    return Polygon((np.array([(left, top), (right, top), (right, bottom), (left, bottom)]),))
