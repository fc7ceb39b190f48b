"""Panels: the columns of an image that the network slides down at once, and the windows that it predicts.

A panel is predicted from top to bottom in strips (`strip_plan`). Panels begin at multiples of 2^depth, so that every
one pools the same groups of pixels as one tile of the whole image would, and their results fit without seams:

    input    |<- 92 ->|<---- panel ---->|<-- 96 -->|
    output            |<---- panel ---->|<---- panel ---->|      (depth 4)
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unetprep.kernels.mirror import bounds, mirrored_runs, unfold
from unetprep.kernels.tiling import border_px, legal_tiles_near
from unettrain.data.intensity import ArrayLike, scale_intensity
from unettrain.model import UNet
from unettrain.prediction.strip_network import StripNetwork
from unettrain.prediction.strip_plan import StripPlan
from unettrain.prediction.windows import Window


class Panel(NamedTuple):
    """The columns of slice z from x0 on."""

    z: int
    x0: int


@dataclass(frozen=True)
class PanelPlan:
    """The panels of an image of `shape` (z, y, x), each of `width` columns, `batch` of them at once.

    `width` is a multiple of 2^depth, `rows` (of a strip) of 2^(depth + 1). The work is counted in units: a strip of
    each panel of a group.
    """

    shape: tuple[int, int, int]
    depth: int
    width: int
    rows: int
    batch: int = 1

    @cached_property
    def strips(self) -> StripPlan:
        """The rows of each step."""
        return StripPlan(self.depth, self.rows, self.shape[1])

    @property
    def input_width(self) -> int:
        """Columns of the input: those of a legal tile."""
        return legal_tiles_near(self.width + border_px(self.depth), self.depth)[1]

    @cached_property
    def groups(self) -> tuple[tuple[Panel, ...], ...]:
        """The panels that are predicted at once, in the order of z, then x."""
        panels = [Panel(z, x0) for z in range(self.shape[0]) for x0 in range(0, self.shape[2], self.width)]
        return tuple(tuple(panels[i : i + self.batch]) for i in range(0, len(panels), self.batch))

    @property
    def num_units(self) -> int:
        """Number of units of work."""
        return len(self.groups) * self.strips.num_steps

    def rows_of(self, step: int) -> tuple[int, int]:
        """The rows of the image, from and to, that a step predicts; the same number twice for none."""
        start = self.strips.output.start(step)
        return min(max(0, start), self.shape[1]), min(max(0, start + self.rows), self.shape[1])

    def window(self, panel: Panel, step: int) -> Window:
        """What a step predicts of a panel."""
        return Window(panel.z, *self.rows_of(step), panel.x0, min(panel.x0 + self.width, self.shape[2]))


class Predicted(NamedTuple):
    """A finished unit of work, and what it predicted: windows with their scores (class, y, x) float32."""

    unit: int
    blocks: list[tuple[Window, NDArray[np.float32]]]


def predict_panels(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float],
    plan: PanelPlan,
    *,
    first_unit: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Predicted]:
    """Predict an image (c, z, y, x) unit by unit, beginning with `first_unit`.

    Windows cover every pixel once. What a unit predicts does not depend on `first_unit`: before it, as many strips are
    computed as it depends on. The next strip is read while the network computes. Dropout is off.
    """
    was_training = model.training
    model.eval()
    try:
        with ThreadPoolExecutor(1) as reading:
            steps = plan.strips.num_steps
            for number, group in enumerate(plan.groups[first_unit // steps :], first_unit // steps):
                done = max(0, first_unit - number * steps)
                for step, blocks in _predict_group(model, image, intensity, plan, group, done, dtype, reading):
                    yield Predicted(number * steps + step, blocks)
    finally:
        model.train(was_training)


def _predict_group(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float],
    plan: PanelPlan,
    group: tuple[Panel, ...],
    done: int,
    dtype: torch.dtype,
    reading: ThreadPoolExecutor,
) -> Iterator[tuple[int, list[tuple[Window, NDArray[np.float32]]]]]:
    """The steps of a group after the `done` ones."""
    device = next(model.parameters()).device
    network = StripNetwork(model, plan.strips, len(group), plan.input_width, dtype)
    first = max(0, done - plan.strips.warm_up)
    waiting = reading.submit(read_strips, image, intensity, plan, group, first)
    for step in range(first, plan.strips.num_steps):
        strips = waiting.result()
        if plan.strips.needs_input(step + 1):
            waiting = reading.submit(read_strips, image, intensity, plan, group, step + 1)
        is_needed = plan.strips.needs_input(step)
        scores = network.push(torch.from_numpy(strips).to(device, dtype) if is_needed else None, step)
        if step >= done:
            yield step, list(_blocks(plan, group, step, scores))


def _blocks(
    plan: PanelPlan, group: tuple[Panel, ...], step: int, scores: torch.Tensor | None
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    if scores is None:
        return
    start = plan.strips.output.start(step)
    found = scores.cpu().numpy()
    for panel, block in zip(group, found, strict=True):
        w = plan.window(panel, step)
        if w.y0 < w.y1:
            yield w, block[:, w.y0 - start : w.y1 - start, : w.x1 - w.x0]


def read_strips(
    image: ArrayLike, intensity: tuple[float, float], plan: PanelPlan, group: tuple[Panel, ...], step: int
) -> NDArray[np.float32]:
    """The network's input of a step, (panel, c, rows, columns), scaled, and mirrored where it leaves the image."""
    strips = np.empty((len(group), image.shape[0], plan.rows, plan.input_width), np.float32)
    before = plan.strips.before_px
    top = step * plan.rows - before
    for panel, strip in zip(group, strips, strict=True):
        rows = mirrored_runs(top, top + plan.rows, image.shape[2])
        columns = mirrored_runs(panel.x0 - before, panel.x0 - before + plan.input_width, image.shape[3])
        around = np.asarray(image[:, panel.z, slice(*bounds(rows)), slice(*bounds(columns))])
        unfold(scale_intensity(around, *intensity), rows, columns, strip)
    return strips
