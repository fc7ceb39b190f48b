"""Line charts as inline SVG, with linear or logarithmic axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unettrain.reporting.page import Html, element, join, text

WIDTH, HEIGHT = 460, 290
LEFT, RIGHT, TOP, BOTTOM = 46, 440, 30, 246  # the plotted area
MAX_POINTS = 600
DOTS_UP_TO = 40


@dataclass(frozen=True)
class Series:
    """One line: its points, and its class in page.css."""

    x: Sequence[float]
    y: Sequence[float]
    kind: str


@dataclass(frozen=True)
class Scale:
    """Map from values between `low` and `high` to coordinates between `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def place(self, value: float) -> float:
        """The coordinate of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (value - low) / ((high - low) or 1)

    def ticks(self) -> list[float]:
        """About five round values in the range."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between `low` and `high`."""
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between `low` and `high`; powers only over more than two decades."""
    steps = (1, 2, 5) if high / low < 100 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in steps if low * 0.999 <= m * 10.0**p <= high * 1.001]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Mean over a window centred at each value, shorter at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places, half = np.arange(len(values)), window // 2
    first, last = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return [float(v) for v in (sums[last] - sums[first]) / (last - first)]


def thinned(x: Sequence[float], y: Sequence[float], num: int = MAX_POINTS) -> tuple[list[float], list[float]]:
    """At most `num` points: means over equal groups of neighbours."""
    groups = np.array_split(np.arange(len(x)), min(num, len(x))) if len(x) else []
    return [float(np.mean(np.take(x, g))) for g in groups], [float(np.mean(np.take(y, g))) for g in groups]


def line_chart(
    series: Sequence[Series],
    description: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    log: bool = False,
) -> Html:
    """A chart of one or more lines over x from 0 on; `log` makes the vertical axis logarithmic, for values over 0."""
    x = Scale(0.0, max(max(s.x) for s in series) or 1.0, LEFT, RIGHT)
    low, high = y_range or (min(min(s.y) for s in series), max(max(s.y) for s in series))
    y = Scale(low, high if high > low else low + 1, BOTTOM, TOP, log)
    labels = join(
        [
            element("text", text(x_label), x=RIGHT, y=HEIGHT - 8, text_anchor="end", class_="label"),
            element("text", text(y_label), x=4, y=14, class_="label"),
        ]
    )
    lines = join(_line(s, x, y) for s in series)
    return element(
        "svg", _axes(x, y), lines, labels, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=description,
        class_="chart",
    )  # fmt: skip


def _axes(x: Scale, y: Scale) -> Html:
    parts = [element("path", d=f"M{LEFT} {BOTTOM}H{RIGHT}", class_="axis")]
    for tick in y.ticks():
        at = f"{y.place(tick):.1f}"
        parts.append(element("path", d=f"M{LEFT} {at}H{RIGHT}", class_="rule"))
        parts.append(element("text", text(f"{tick:g}"), x=LEFT - 8, y=at, dy="0.35em", text_anchor="end"))
    for tick in x.ticks():
        at = f"{x.place(tick):.1f}"
        parts.append(element("path", d=f"M{at} {BOTTOM}v5", class_="axis"))
        parts.append(element("text", text(f"{tick:g}"), x=at, y=BOTTOM + 20, text_anchor="middle"))
    return join(parts)


def _line(series: Series, x: Scale, y: Scale) -> Html:
    places = [(x.place(a), y.place(b)) for a, b in zip(series.x, series.y, strict=True)]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    line = element("polyline", points=points, class_=f"line {series.kind}")
    if len(places) > DOTS_UP_TO or series.kind == "faint":
        return line
    dots = (element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3, class_=f"dot {series.kind}") for a, b in places)
    return join([line, *dots])
