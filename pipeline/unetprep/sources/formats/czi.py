"""Zeiss CZI files as sources, read by pylibCZIrw. A scene is a series; with `level` N, every side is halved N times.

The pixel size in the metadata is in metres.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import METERS, pixel_size_of
from unetprep.sources.urls import is_url

DTYPES = {
    "Gray8": ("uint8", 1),
    "Gray16": ("uint16", 1),
    "Gray32Float": ("float32", 1),
    "Bgr24": ("uint8", 3),
    "Bgr48": ("uint16", 3),
}
PLANES = "TZC"


@dataclass(frozen=True)
class CziSource(Source):
    """A scene of a CZI file, of axes c, z, y, x; colours are in the order red, green, blue."""

    scene: int = -1  # -1: the file has no scenes
    level: int = 0

    def _read_file(self, box: Box) -> NDArray[Any]:
        with czi.open_czi(self.path) as file:
            area, kinds = _area(file, self.scene), file.pixel_types
            rows, columns = box[2], box[3]
            step = 2**self.level
            roi = (area.x + columns.start * step, area.y + rows.start * step)
            sides = (columns.stop - columns.start) * step, (rows.stop - rows.start) * step
            samples = DTYPES[kinds[0]][1]
            out = np.empty(box_shape(box), self.dtype)
            for k, z in enumerate(range(box[1].start, box[1].stop)):
                for i, c in enumerate(range(box[0].start, box[0].stop)):
                    plane = {"C": c // samples, **_slice(file, z)}
                    found = file.read(plane=plane, roi=(*roi, *sides), zoom=1 / step)
                    out[i, k] = found[: out.shape[2], : out.shape[3], ::-1][..., c % samples]
        return out


def open_file(path: str, choice: Choice, decode: Decode | None) -> CziSource:
    """The chosen scene of a CZI file."""
    if is_url(path):
        raise InvalidInput(f"{path} is a CZI file at a URL", allowed="local files of this format", hint="copy it first")
    with czi.open_czi(path) as file:
        scenes = file.scenes_bounding_rectangle
        names = [f"{one.w} x {one.h}" for one in scenes.values()]
        scene = list(scenes)[choice.pick(path, "scenes", names)] if scenes else -1
        kinds = set(file.pixel_types.values())
        if len(kinds) != 1 or not kinds <= set(DTYPES):
            raise ValueError(f"its pixels are {', '.join(sorted(kinds))}, allowed: one of {', '.join(DTYPES)}")
        dtype, samples = DTYPES[kinds.pop()]
        area, box = _area(file, scene), file.total_bounding_box
        lengths = {axis: box[axis][1] - box[axis][0] if axis in box else 1 for axis in PLANES}
        if min(lengths["T"], lengths["Z"]) > 1:
            raise InvalidInput(f"{path} has {lengths['T']} times of {lengths['Z']} slices", allowed="times or slices")
        step = 2**choice.level
        shape = (lengths["C"] * samples, lengths["T"] * lengths["Z"], area.h // step, area.w // step)
        size, unit = _pixel_size(file.metadata, step)
        if lengths["T"] > 1 and size:
            size = (None, *size[1:])
        return CziSource(path, "czyx", shape, dtype, scene, choice.level, pixel_size=size, unit=unit)


def _area(file: Any, scene: int) -> Any:
    return file.scenes_bounding_rectangle[scene] if scene >= 0 else file.total_bounding_rectangle


def _slice(file: Any, at: int) -> dict[str, int]:
    """The coordinate of a slice: of depth, or of time if there is one depth."""
    box = file.total_bounding_box
    axis = "T" if "T" in box and box["T"][1] - box["T"][0] > 1 else "Z"
    return {axis: box[axis][0] + at if axis in box else at}


def _pixel_size(metadata: Any, step: int) -> Any:
    try:
        distances = metadata["ImageDocument"]["Metadata"]["Scaling"]["Items"]["Distance"]
        distances = distances if isinstance(distances, list) else [distances]
        sizes = {one["@Id"].lower(): float(one["Value"]) / METERS["micrometer"] for one in distances}
    except (LookupError, TypeError, ValueError):
        return None, ""
    scaled = {axis: size * (step if axis in "yx" else 1) for axis, size in sizes.items()}
    return pixel_size_of(scaled, dict.fromkeys("zyx", "micrometer"))
