"""The layers of one image of a store, and of a prediction of it. Nothing is read but metadata."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.format.layout import labels_path, pixels_path, weights_path
from unetprep.format.ome import PixelSize, display_window
from unetprep.format.places import ImagePlace
from unetprep.lengths import METERS
from unetprep.previews.weights import IMPORT, chosen_image
from unetprep.sources.labels import as_labels
from unetprep.sources.opening import open_source
from unetprep.storage.lru_cache import ArrayCache
from unetprep.store import Store
from unetprep.viewing.lazy_arrays import LazyArray, source_labels, source_values, stored_array
from unetprep.viewing.shaders import intensity_shader, probability_shader, weights_shader

CACHE_BYTES = 2**28  # of decoded chunks of the store
IMAGE, LABELS, TARGET, WEIGHTS, PREDICTION = "image", "labels", "target", "weights", "prediction"


@dataclass(frozen=True)
class Layer:
    """A layer: labels (z, y, x) of cells or classes if it has no shader, else values ((c,) z, y, x)."""

    name: str
    data: LazyArray
    shader: str = ""


@dataclass(frozen=True)
class ImageView:
    """The layers of an image of `shape` (z, y, x) with pixels of `pixel_m` meters, None where that is unknown."""

    name: str
    dims: int
    shape: tuple[int, int, int]
    pixel_m: tuple[float, float, float] | None
    layers: tuple[Layer, ...]
    unfinished: dict[str, str] = field(default_factory=dict)  # layers that are left out, and their state


def image_view(url: str, image: str | None, prediction: str | None) -> ImageView:
    """The layers of an image, or of a whole stack `stacks/K`, and of a file with a prediction of it.

    Raises InvalidInput if the image does not exist, if none of its arrays is finished, or if the prediction has
    another size.
    """
    store = Store.open(url)
    place = _place(store, image)
    paths = {
        IMAGE: pixels_path(place.group),
        LABELS: labels_path(place.group, "instances"),
        TARGET: labels_path(place.group, "target"),
        WEIGHTS: weights_path(place.group),
    }
    states = {name: store.state(path) for name, path in paths.items()}
    recent = ArrayCache(CACHE_BYTES)
    layers = [_stored(store, place, name, paths[name], recent) for name, s in states.items() if s == "finished"]
    if not layers:
        raise InvalidInput(
            f"{place.group} of {url} has nothing to show: "
            + ", ".join(f"{name} is {state}" for name, state in states.items()),
            hint=f"run: {IMPORT}",
        )
    z, y, x = layers[0].data.shape[-3:]
    if prediction is not None:
        layers.append(_predicted(prediction, (z, y, x), place.name))
    pixel = PixelSize.of_record(store.record(place.group))
    left_out = {name: state for name, state in states.items() if state not in ("finished", "missing")}
    return ImageView(place.name, store.dims(place.group), (z, y, x), _pixel_m(pixel), tuple(layers), left_out)


def _place(store: Store, image: str | None) -> ImagePlace:
    """The place of an image, by default of the first; also of a whole stack, by its path."""
    if image is not None and image.startswith("stacks/") and image in store.groups:
        return ImagePlace(image, image)
    return store.place(chosen_image(store, image))


def _stored(store: Store, place: ImagePlace, name: str, path: str, recent: ArrayCache) -> Layer:
    data = stored_array(store, path, place, recent, are_labels=name in (LABELS, TARGET))
    if name == IMAGE:
        return Layer(name, data, intensity_shader(*_intensity(store, place, data), data.shape[0]))
    return Layer(name, data, _weights_shader(store.record(path).get("parameters", {})) if name == WEIGHTS else "")


def _intensity(store: Store, place: ImagePlace, data: LazyArray) -> tuple[float, float]:
    """The range that the network sees as 0 to 1, of a stack that of all its images; else that of the dtype."""
    window = display_window(place.record(store.record(place.group)), 1)
    if window:
        shown = window["omero"]["channels"][0]["window"]
        return float(shown["min"]), float(shown["max"])
    return (0.0, 1.0) if data.dtype.kind == "f" else (0.0, float(np.iinfo(data.dtype).max))


def _weights_shader(made: Mapping[str, Any]) -> str:
    """A range from 0 to the upper bound of the weights, near which they come between two close cells.

    Those of falk2019 go from 0.1 to 51: their square roots are shown, so that the boundaries of cells are seen.
    """
    high = max(made.get("class_weights", (1.0,))) + made.get("w0", 0.0)
    return weights_shader(high, is_linear=made.get("formula") != "falk2019")


def _predicted(path: str, shape: tuple[int, int, int], name: str) -> Layer:
    """A prediction in a file: integers are labels of cells, real numbers probabilities."""
    source = open_source(path)
    if source.shape[1:] != shape:
        raise InvalidInput(
            f"{path} has the size {_sides(source.shape[1:])} (z, y, x)",
            allowed=f"that of {name}, {_sides(shape)}",
            hint="choose the image that it predicts with --image",
        )
    if np.dtype(source.dtype).kind == "f":
        return Layer(PREDICTION, source_values(source), probability_shader(source.shape[0]))
    return Layer(PREDICTION, source_labels(as_labels(source)))


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _pixel_m(pixel: PixelSize) -> tuple[float, float, float] | None:
    """The size of a pixel in meters along z, y, x; None if y or x is unknown. An unknown one of z is that of x."""
    sizes, meters = pixel.sizes, METERS.get(pixel.unit, math.nan)
    if math.isnan(meters) or "y" not in sizes or "x" not in sizes:
        return None
    return sizes.get("z", sizes["x"]) * meters, sizes["y"] * meters, sizes["x"] * meters
