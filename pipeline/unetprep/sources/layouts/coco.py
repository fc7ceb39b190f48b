"""Layout `coco`: JSON files with images, annotations and categories, and the images that they name.

An annotation is an object, of polygons or run lengths. Regions of crowds are left out. Coordinates are pixels from the
corner of the first. Source: cocodataset.org, "Data format", object detection. pycocotools is not used: it draws every
object at the size of the whole image.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder, LeftOut, left_out
from unetprep.sources.layouts.beside import files_near
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.layouts.split_names import split_of
from unetprep.sources.limits import MAX_SIDE
from unetprep.sources.outlines.drawn import Drawn, annotation_file
from unetprep.sources.outlines.json_files import member, read_json, shown
from unetprep.sources.outlines.objects import Outline, Outlines
from unetprep.sources.outlines.run_lengths import run_lengths
from unetprep.sources.outlines.shapes import Shape, polygon_of
from unetprep.sources.source import stem_of
from unetprep.storage.paths import safe_key

SUBFOLDERS = ("annotations", "labels", "coco")
KEYS = {"images", "annotations"}
MOST_OTHERS = 20  # JSON files that are read before one of COCO


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = _files(folder)
    return f"images and annotations in {found[0].rpartition('/')[2]}" if found else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each image in the JSON files that is there. Splits are those in the names of files and folders."""
    index = _image_files(folder)
    examples: list[Example] = []
    missing: list[str] = []
    num_crowds = 0
    files = _files(folder)
    for path in files:
        document = _annotations(path)
        num_crowds += document.num_crowds
        split = split_of(path[len(folder.path) :]) if files[1:] else ""
        before = f"{split}-" if files[1:] and split else f"{stem_of(path)}-" if files[1:] else ""
        stems = Counter(stem_of(image.file_name) for image in document.images.values())
        for key, image in document.images.items():
            where = _find(index, image.file_name, split)
            if where is None:
                missing.append(image.file_name)
                continue
            name = stem_of(image.file_name)
            if stems[name] > 1:  # of several folders
                name = os.path.splitext(image.file_name)[0].replace("/", "-")
            examples.append(Example(before + name, Files((where,)), Drawn("coco", path, key), split))
    if not examples:
        raise InvalidInput(
            f"{folder.path} holds none of the {len(missing)} images of {files[0]}"
            + (f", such as {missing[0]}" if missing else ""),
            hint="put the images below this folder",
        )
    names = Counter(example.name for example in examples)
    if twice := next((name for name, count in names.items() if count > 1), None):
        raise InvalidInput(f"{folder.path} holds several images of the name {twice!r}", hint="rename one of them")
    crowds = (LeftOut("regions of crowds, which count as background", num_crowds, ""),) if num_crowds else ()
    kept = (*left_out("images that are not there", missing), *crowds)
    return DataSet("coco", folder.path, tuple(examples), kept)


def _files(folder: Folder) -> list[str]:
    """The annotation files of a folder, of its folder of annotations, or of the folders of its splits."""
    found = files_near(folder, SUBFOLDERS, ".json")
    if not found:
        subs = [folder.below(name) for name in folder.folders if split_of(name)]
        found = [f"{sub.path}/{name}" for sub in subs for name in sub.ending(".json")]
    if not any(_is_coco(path, os.stat(path).st_mtime_ns) for path in found[:MOST_OTHERS]):
        return []
    of_objects = [path for path in found if stem_of(path).startswith("instances")]  # beside captions and keypoints
    return [path for path in of_objects or found if _is_coco(path, os.stat(path).st_mtime_ns)]


@lru_cache(maxsize=64)
def _is_coco(path: str, changed: int) -> bool:
    document = read_json(path)
    if not isinstance(document, dict) or not set(document) >= KEYS:
        return False
    first = document["annotations"][:1] if isinstance(document["annotations"], list) else []
    return not (first and isinstance(first[0], dict) and "segmentation" not in first[0])


def _image_files(folder: Folder) -> dict[str, list[str]]:
    """Paths below a folder of all images in it, by their names."""
    found: dict[str, list[str]] = {}
    for sub in (folder, *folder.all_below()):
        for name in sub.images:
            found.setdefault(name, []).append(f"{sub.path.rstrip('/')}/{name}")
    return found


def _find(index: Mapping[str, Sequence[str]], file_name: str, split: str) -> str | None:
    """The image file that an annotation file names. Raises InvalidInput if several could be meant."""
    found = [path for path in index.get(file_name.rpartition("/")[2], ()) if f"/{path}".endswith(f"/{file_name}")]
    if split and found[1:]:
        found = [path for path in found if split_of(path.rpartition("/")[0].rpartition("/")[2]) == split] or found
    if found[1:]:
        raise InvalidInput(f"{file_name} may be {found[0]} or {found[1]}", hint="remove one of them")
    return found[0] if found else None


@dataclass(frozen=True)
class _Image:
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class _File:
    path: str
    images: Mapping[str, _Image]
    categories: Mapping[object, str]
    objects: Mapping[str, Sequence[tuple[int, dict[str, Any]]]]  # annotations and their places in the file, by image
    num_crowds: int

    def outlines(self, image: str) -> Outlines:
        """The objects of an image, in file order."""
        about = self.images[image]
        found = [self._outline(about, number, record) for number, record in self.objects.get(image, ())]
        return Outlines(tuple(found), (about.height, about.width))

    def _outline(self, image: _Image, number: int, record: dict[str, Any]) -> Outline:
        where = f"{self.path}: annotation {number}"
        found = record.get("segmentation")
        if isinstance(found, dict):
            parts = [_mask(found, image, where)]
        elif isinstance(found, list) and found:
            parts = [_polygon(part, where) for part in found]
        else:
            raise InvalidInput(f"{where}: segmentation is {shown(found)}", allowed="polygons, or run lengths")
        return Outline(f"annotation {number}", tuple(parts), self.categories.get(_key(record.get("category_id")), ""))


def read_annotations(path: str) -> _File:
    """Read a file, without the shapes of its objects."""
    document = read_json(path)
    images = {}
    for number, record in enumerate(member(document, "images", list, path)):
        where = f"{path}: image {number}"
        sides = member(record, "height", int, where), member(record, "width", int, where)
        if not all(0 < side <= MAX_SIDE for side in sides):
            raise InvalidInput(f"{where} has {sides} pixels (y, x)", allowed=f"sides from 1 to {MAX_SIDE}")
        name = member(record, "file_name", str, where).replace("\\", "/")
        images[str(record.get("id"))] = _Image(safe_key(name, f"{where}: file_name"), *sides)
    objects: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    num_crowds = 0
    for number, record in enumerate(member(document, "annotations", list, path)):
        if not isinstance(record, dict) or str(record.get("image_id")) not in images:
            raise InvalidInput(
                f"{path}: annotation {number} is of no image of the file", allowed="an image_id in images"
            )
        if record.get("iscrowd"):
            num_crowds += 1
        else:
            objects.setdefault(str(record["image_id"]), []).append((number, record))
    return _File(path, images, _categories(document, path), objects, num_crowds)


def _annotations(path: str) -> _File:
    document = annotation_file("coco", path)
    assert isinstance(document, _File)
    return document


def _categories(document: dict[str, Any], path: str) -> dict[object, str]:
    found = document.get("categories", [])
    if not isinstance(found, list):
        raise InvalidInput(f"{path}: categories is {shown(found)}", allowed="a list")
    return {_key(record.get("id")): str(record.get("name", "")) for record in found if isinstance(record, dict)}


def _key(number: object) -> object:
    return number if isinstance(number, int | str) else None


def _polygon(part: object, where: str) -> Shape:
    is_flat = isinstance(part, list) and len(part) % 2 == 0
    found = polygon_of([list(zip(part[::2], part[1::2], strict=True))]) if isinstance(part, list) and is_flat else None
    if not found or isinstance(found, str):
        raise InvalidInput(
            f"{where}: {found or shown(part)}", allowed="numbers x, y, x, y, ... of at least three points"
        )
    return found


def _mask(found: dict[str, Any], image: _Image, where: str) -> Shape:
    size = found.get("size")
    if size != [image.height, image.width]:
        raise InvalidInput(
            f"{where}: size is {shown(size)}", allowed=f"{[image.height, image.width]}, as its image has"
        )
    mask = run_lengths(found.get("counts"), image.height, image.width)
    if isinstance(mask, str):
        raise InvalidInput(f"{where}: {mask}")
    return mask
