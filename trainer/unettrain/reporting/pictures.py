"""Pictures for an HTML page: colour maps, targets, errors of a prediction, SVG outlines, and PNG data URIs.

The colour maps are perceptually uniform: viridis and inferno (van der Walt and Smith 2015), sampled at nine points.
Right and wrong pixels have colours after Okabe and Ito (2008), which all kinds of colour vision distinguish.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from unetprep.pictures import Picture, boundary_lines, grey

VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
INFERNO = ("#000004", "#210c4a", "#57106e", "#8a226a", "#bc3754", "#e45a31", "#f98e09", "#f9cb35", "#fcffa4")
BOTH, WRONG, MISSED = "#d8d8d8", "#e69f00", "#2f8fe0"


def rgb(colour: str) -> NDArray[np.uint8]:
    """Red, green and blue of "#rrggbb"."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)


def lookup_table(anchors: tuple[str, ...]) -> Picture:
    """256 colours (256, 3), interpolated between equidistant anchors from the first to the last."""
    points = np.linspace(0, 255, len(anchors))
    channels = np.stack([rgb(anchor) for anchor in anchors]).astype(np.float64).T
    return np.stack([np.interp(np.arange(256), points, c) for c in channels], axis=1).round().astype(np.uint8)


def mapped(values: NDArray[Any], anchors: tuple[str, ...], low: float, high: float) -> Picture:
    """Values (y, x) in the colours of a map from `low` to `high`, to which values are clipped."""
    scaled = (values.astype(np.float64) - low) / ((high - low) or 1)
    return lookup_table(anchors)[(np.clip(scaled, 0, 1) * 255).round().astype(np.intp)]


def target_picture(target: NDArray[np.uint8]) -> Picture:
    """A target (y, x) with white cells on black."""
    return grey((target != 0)[None].astype(np.uint8), (0, 1))


def tinted(image: Picture, parts: Iterable[tuple[NDArray[np.bool_], str]]) -> Picture:
    """The darkened image (y, x, 3) with masks (y, x) in colours "#rrggbb", through which it is still visible."""
    shown = image * 0.45
    for where, colour in parts:
        shown[where] = 0.25 * image[where] + 0.75 * rgb(colour)
    return shown.round().astype(np.uint8)


def errors_in_colour(image: Picture, truth: NDArray[np.bool_], proposal: NDArray[np.bool_]) -> Picture:
    """The darkened image with true positives in light grey, false positives in orange and false negatives in blue."""
    return tinted(image, [(truth & proposal, BOTH), (proposal & ~truth, WRONG), (truth & ~proposal, MISSED)])


def outline_path(labels: NDArray[Any]) -> str:
    """The lines between pixels of different labels (y, x), as the data of an SVG path in pixel coordinates."""
    across, down = boundary_lines(labels)
    return "".join([f"M{x} {y}h{n}" for y, x, n in across] + [f"M{x} {y}v{n}" for x, y, n in down])


def png_uri(picture: Picture) -> str:
    """A picture (y, x, 3) as a PNG in a data URI; grey pictures are stored with one channel."""
    is_grey = bool((picture == picture[..., :1]).all())
    data = iio.imwrite("<bytes>", picture[..., 0] if is_grey else picture, extension=".png", plugin="pillow")
    return "data:image/png;base64," + b64encode(data).decode("ascii")
