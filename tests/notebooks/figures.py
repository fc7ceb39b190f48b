"""Checks of matplotlib figures: what makes one worthless without raising an error."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver


def faults(figure: Figure) -> list[str]:
    """What is wrong with a figure: no axes, axes without content, or content that is constant. Empty if nothing is.

    Every image has to vary. Of the other content of axes (lines, collections, bars, shapes) something has to: a
    horizontal line of reference is allowed beside data. Texts are not content. The figure is drawn first.
    """
    figure.canvas.draw()
    if not figure.axes:
        return ["a figure without axes"]
    return [fault for k, axes in enumerate(figure.axes) for fault in _faults_of(axes, f"axes {k} {axes.get_title()!r}")]


def _faults_of(axes: Axes, name: str) -> list[str]:
    images = [_varies(image.get_array()) for image in axes.images]
    others = [_varies(line.get_ydata()) for line in axes.lines]
    others += [_collection_varies(collection) for collection in axes.collections]
    bars = [bar for found in axes.containers if isinstance(found, BarContainer) for bar in found]
    others += [_bars_vary(axes)] if bars else []
    others += [True for patch in axes.patches if patch not in bars]
    if not images and not others:
        return [f"{name}: no content"]
    if not all(images):
        return [f"{name}: an image is constant"]
    if not images and not any(others):
        return [f"{name}: the data are constant"]
    return []


def _varies(values: Any) -> bool:
    """True if the finite, unmasked values are not all equal."""
    known = np.ma.masked_invalid(np.ma.asarray(values, dtype=np.float64)).compressed()
    return known.size > 0 and bool(np.ptp(known) > 0)


def _collection_varies(collection: Collection) -> bool:
    """Colours, arrows, positions of points, or shapes differ."""
    if isinstance(collection, Quiver):
        return _varies(collection.U) or _varies(collection.V)
    offsets: Any = np.ma.asarray(collection.get_offsets())
    if len(offsets) > 1:
        return _varies(offsets[:, 1]) or _varies(collection.get_array())
    if collection.get_array() is not None:
        return _varies(collection.get_array())
    vertices = [
        vertices for vertices in (np.asarray(path.vertices) for path in collection.get_paths()) if len(vertices)
    ]
    return bool(vertices) and _varies(np.concatenate(vertices)[:, 1])


def _bars_vary(axes: Axes) -> bool:
    """The lengths of all bars of the axes differ."""
    lengths = []
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            is_horizontal = bars.orientation == "horizontal"
            lengths += [bar.get_width() if is_horizontal else bar.get_height() for bar in bars]
    return _varies(lengths)
