"""OME-Zarr images, versions 0.1 to 0.5: levels, axes, pixel sizes, labels, and groups of several images.

Versions 0.1 and 0.2 have the axes t, c, z, y, x and do not say so; 0.3 lists letters, later ones objects with `name`,
`type` and `unit`. OME-NGFF 0.5, sections "multiscales", "labels" and "bioformats2raw.layout".
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from unetprep.errors import InvalidInput
from unetprep.sources.source import Choice, PixelSize
from unetprep.sources.units import pixel_size_of, size_of, unit_name
from unetprep.storage.paths import safe_key

OLD_AXES = "tczyx"
OLD_VERSIONS = ("0.1", "0.2")
KINDS = {"time": "t", "channel": "c"}  # types of axes
WORDS = {"channel": "c", "channels": "c", "time": "t", "depth": "z", "plane": "z", "height": "y", "width": "x"}
OWN_TARGET, OWN_LABELS = "target", "instances"  # label images of a store: LAYOUT.md
SHOWN = 6

log = logging.getLogger(__name__)


class OmeImage(NamedTuple):
    """A level of an image: the path of its array below the root, its axes ("" if unnamed), and its pixel size."""

    path: str
    axes: str
    pixel_size: PixelSize | None = None
    unit: str = ""
    is_old: bool = False  # of a version whose axes are t, c, z, y, x
    is_measured: bool = False  # the pixel size is that of an image of a store


def find_image(root: str, name: str, group: Any, choice: Choice) -> OmeImage:
    """The chosen level of the image in a group; of labels, in its group `labels` if there is one.

    Raises InvalidInput if there are several, or none.
    """
    ome = _ome(group)
    if not ome.get("multiscales"):
        return _of_members(root, name, group, choice)
    if choice.is_labels and "image-label" not in ome and (own := _labels(root, name, group)):
        path = _join(name, f"labels/{own}")
        log.warning("%s is an image with labels: its labels/%s are taken", _join(root, name), own)
        return _level(root, path, group[f"labels/{own}"], choice)
    return _level(root, name, group, choice)


def letters(names: Sequence[object]) -> str:
    """Axes by their names, one letter each; "" if one has no name, or none that is known."""
    found = [WORDS.get(str(name).lower(), str(name).lower()) if name else "" for name in names]
    return "".join(found) if found and all(len(letter) == 1 for letter in found) else ""


def _ome(group: Any) -> dict[str, Any]:
    attributes = group.attrs.asdict()
    found = attributes.get("ome", attributes)
    return found if isinstance(found, dict) else {}


def _join(*parts: str) -> str:
    return "/".join(filter(None, parts))


def _labels(root: str, name: str, group: Any) -> str:
    """The only label image of an image; "" if it has none. Raises InvalidInput if it has several."""
    try:
        names = [str(one) for one in _ome(group["labels"]).get("labels", [])]
    except (KeyError, TypeError):
        return ""
    if OWN_LABELS in names:
        names.remove(OWN_TARGET) if OWN_TARGET in names else None
    if len(names) > 1:
        raise InvalidInput(
            f"{_join(root, name)} is an image with {len(names)} label images",
            allowed=", ".join(f"{_join(root, name)}/labels/{one}" for one in names[:SHOWN]),
        )
    return names[0] if names else ""


def _of_members(root: str, name: str, group: Any, choice: Choice) -> OmeImage:
    """The image in a group that is none itself: one of the images 0, 1, ... of bioformats2raw, or the only array."""
    images = [key for key, one in group.groups() if _ome(one).get("multiscales")]
    if "bioformats2raw.layout" in _ome(group) or (images and all(key.isdecimal() for key in images)):
        images.sort(key=lambda key: (len(key), key))
        at = choice.pick(_join(root, name), "images", images)
        path = _join(name, images[at])
        return find_image(root, path, group[images[at]], replace(choice, series=None))
    arrays = [key for key, one in group.arrays() if one.ndim >= 2]
    if len(arrays) == 1 and not images:
        return OmeImage(_join(name, arrays[0]), "")
    found = sorted(images + arrays)
    raise InvalidInput(
        f"{_join(root, name)} is a Zarr group without an OME-Zarr image"
        + (f", with {', '.join(found[:SHOWN])}" if found else ""),
        allowed=", ".join(f"{_join(root, name)}/{one}" for one in found[:SHOWN]) or "an array or an image",
    )


def _level(root: str, name: str, group: Any, choice: Choice) -> OmeImage:
    ome, stored = _ome(group), group.attrs.asdict().get("unetprep")
    stored = stored if isinstance(stored, dict) else None
    image: Any = None
    try:
        image = ome["multiscales"][0]
        datasets = image["datasets"]
        paths = [dataset["path"] for dataset in datasets]
        if not all(isinstance(path, str) for path in paths):
            raise TypeError(paths)
        axes = image.get("axes") or []
        names = [axis if isinstance(axis, str) else KINDS.get(axis.get("type"), axis.get("name")) for axis in axes]
        is_old = not axes and str(image.get("version", "0.1")) in OLD_VERSIONS
        at = 0 if choice.may_be_only_one and len(datasets) == 1 else choice.level
        size, unit = _pixel_size(image, datasets[min(at, len(datasets) - 1)])
    except (TypeError, LookupError, AttributeError):
        raise InvalidInput(
            f"the attribute multiscales of {_join(root, name)} is not valid OME-Zarr",
            allowed='a list of images: [{"axes": [{"name": "y"}, ...], "datasets": [{"path": "0", ...}, ...]}]',
        ) from None
    if at >= len(paths):
        raise InvalidInput(
            f"{_join(root, name)} has no level {choice.level}",
            allowed=", ".join(f"{i}: {path}" for i, path in enumerate(paths)),
            hint="--level 0, the default, is the full resolution",
        )
    path = safe_key(_join(name, paths[at]), f"the path of a dataset of {_join(root, name)}")
    if stored is not None:
        size, unit = _stored_size(stored)
    return OmeImage(path, letters(names), size, unit, is_old, stored is not None)


def _stored_size(record: Mapping[str, Any]) -> tuple[PixelSize | None, str]:
    """The pixel size of an image of a store, whose OME scale is 1 where the size is unknown; see LAYOUT.md."""
    spacing, unit = record.get("spacing"), record.get("unit")
    if not isinstance(spacing, list) or len(spacing) != 3:
        return None, ""
    z, y, x = map(size_of, spacing)
    return (None, "") if y is None or x is None else ((z, y, x), unit_name(unit))


def _pixel_size(image: Mapping[str, Any], dataset: Mapping[str, Any]) -> tuple[PixelSize | None, str]:
    axes = [axis for axis in image.get("axes") or [] if isinstance(axis, dict)]
    steps = [*dataset.get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]
    scales = [step["scale"] for step in steps if step.get("type") == "scale" and "scale" in step]
    if not scales or any(len(scale) != len(axes) for scale in scales):
        return None, ""
    names = [str(axis.get("name")) for axis in axes]
    sizes = dict(zip(names, map(math.prod, zip(*scales, strict=True)), strict=True))
    units = {name: str(axis.get("unit") or "") for name, axis in zip(names, axes, strict=True)}
    return pixel_size_of(sizes, units, needs_unit=False)
