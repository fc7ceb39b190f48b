"""The steps that decode one slice, once its mask is complete."""

from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unettrain.decoding.holes import fill_holes
from unettrain.decoding.landscape import Landscape
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.parts import ComponentParts, Found, PartFinder, PartSizes, WatershedParts
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip, in_order


class Plane(NamedTuple):
    """A slice that is being decoded: its strips, its mask (y, x) and, for seeds by probability, its values (y, x)."""

    strips: list[Strip]
    mask: Spool
    values: Spool | None
    executor: Executor | None = None
    num_threads: int = 1


def find_parts(plane: Plane, params: DecodingParams, labels: Spool, start: int = 0) -> PartFinder[Any]:
    """Fill holes of the mask, and write the parts of instances to `labels`, from row `start` on."""
    if params.fill_holes_px:
        fill_holes(plane.mask, plane.strips, params.fill_holes_px, plane.executor, plane.num_threads)
    if params.instances == "components":
        return _labelled(plane, ComponentParts(plane.mask), labels, start)
    landscape = Landscape(plane.strips[-1].last, plane.mask, plane.values, params)
    return _labelled(plane, WatershedParts(landscape, labels.width), labels, start)


def _labelled(plane: Plane, finder: PartFinder[Found], labels: Spool, start: int) -> PartFinder[Found]:
    for strip, parts in in_order(plane.executor, finder.of, plane.strips, plane.num_threads):
        labels.write(start + strip.first, finder.add(strip, parts))
    return finder


def without_small(objects: NDArray[np.int32], sizes: PartSizes, min_area_px: int) -> NDArray[np.int32]:
    """The object of each part, 0 for the background and for objects of fewer pixels than `min_area_px`."""
    is_small = sizes.of_objects(objects) < min_area_px
    return np.where(is_small[objects], 0, objects)


def num_objects(objects: NDArray[np.int32]) -> int:
    """Number of objects, from the object of each part, whose number is that of its smallest part."""
    return int(np.count_nonzero(objects[1:] == np.arange(1, len(objects))))


def needs_values(params: DecodingParams) -> bool:
    """Whether probabilities matter besides the mask."""
    return params.instances == "watershed" and params.seeds == "probability"
