"""Dot charts as SVG: the scores of variants, a dot for each seed and a line at their mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unettrain.errors import InvalidInput
from unettrain.reporting.curves import Scale
from unettrain.reporting.page import CHART_STYLE, NOTHING, Html, element, join, text

WIDTH, ROW, TOP, BELOW = 700, 26, 30, 44
LABEL_END, START, STOP = 256, 268, 640  # right end of the names; the plotted range
NAME_CHARACTERS = 34


@dataclass(frozen=True)
class Variant:
    """A row of the chart: its name, and its score with each seed."""

    name: str
    scores: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean of its scores."""
        return sum(self.scores) / len(self.scores)


def dot_chart(
    variants: Sequence[Variant],
    description: str,
    x_label: str,
    x_range: tuple[float, float] | None = None,
    reference: str | None = None,
) -> Html:
    """A row for each variant: its name, a dot for each seed, a line at the mean, and the mean as a number.

    `x_range` is by default that of the scores, with some space. `reference` names a variant whose mean is drawn through
    all rows. `description` is read by screen readers, with the means. Raises InvalidInput if there is no variant, one
    without scores, or a score outside `x_range`.
    """
    _check(variants, reference)
    x = _scale(variants, x_range)
    bottom = TOP + ROW * len(variants)
    rows = join(_row(variant, TOP + ROW * (k + 0.5), x) for k, variant in enumerate(variants))
    through = NOTHING
    if reference is not None:
        mean = next(variant.mean for variant in variants if variant.name == reference)
        through = element("path", d=f"M{x.place(mean):.1f} {TOP}V{bottom}", class_="reference")
    label = element("text", text(x_label), x=STOP, y=bottom + BELOW - 8, text_anchor="end", class_="label")
    head = element("text", text("mean"), x=WIDTH - 8, y=TOP - 12, text_anchor="end")
    means = "; ".join(f"{variant.name} {variant.mean:.3f}" for variant in variants)
    return element(
        "svg", _grid(x, bottom), through, rows, label, head, viewBox=f"0 0 {WIDTH} {bottom + BELOW}", role="img",
        aria_label=f"{description}. Means: {means}", class_="chart",
    )  # fmt: skip


def svg_file(chart: Html) -> str:
    """A chart as the content of an SVG file, with its style sheet in it; light or dark as the viewer prefers."""
    start, end = chart.index(">") + 1, chart.index("<svg") + 4
    style = element("style", Html(CHART_STYLE))
    font = ' font-family="system-ui, sans-serif"'
    return f'{chart[:end]} xmlns="http://www.w3.org/2000/svg"{font}{chart[end:start]}{style}{chart[start:]}\n'


def _check(variants: Sequence[Variant], reference: str | None) -> None:
    names = [variant.name for variant in variants]
    wrong = [variant for variant in variants if not variant.scores or not all(map(math.isfinite, variant.scores))]
    if not variants or wrong:
        seen = f"{wrong[0].name!r} has the scores {list(wrong[0].scores)}" if wrong else "there are no variants"
        raise InvalidInput(
            f"the chart cannot be drawn: {seen}", allowed="at least one variant, each with one or more finite scores"
        )
    if reference is not None and reference not in names:
        raise InvalidInput(f"the reference is {reference!r}", allowed=", ".join(names))


def _scale(variants: Sequence[Variant], x_range: tuple[float, float] | None) -> Scale:
    scores = [score for variant in variants for score in variant.scores]
    low, high = min(scores), max(scores)
    if x_range is None:
        space = (high - low) * 0.05 or 0.05
        return Scale(low - space, high + space, START, STOP)
    if low < x_range[0] or high > x_range[1]:
        raise InvalidInput(f"scores range from {low:g} to {high:g}", allowed=f"{x_range[0]:g} to {x_range[1]:g}")
    return Scale(*x_range, START, STOP)


def _grid(x: Scale, bottom: float) -> Html:
    parts = [element("path", d=f"M{START} {bottom}H{STOP}", class_="axis")]
    for tick in x.ticks():
        at = f"{x.place(tick):.1f}"
        parts.append(element("path", d=f"M{at} {TOP}V{bottom}", class_="rule"))
        parts.append(element("text", text(f"{tick:g}"), x=at, y=bottom + 18, text_anchor="middle"))
    return join(parts)


def _row(variant: Variant, y: float, x: Scale) -> Html:
    short = variant.name if len(variant.name) <= NAME_CHARACTERS else f"{variant.name[: NAME_CHARACTERS - 1]}\u2026"
    mean, middle = x.place(variant.mean), {"y": f"{y:g}", "dy": "0.35em"}
    dots = (element("circle", cx=f"{x.place(s):.1f}", cy=f"{y:g}", r=4.5, class_="seed") for s in variant.scores)
    title = element("title", text(variant.name)) if short != variant.name else NOTHING
    return join(
        [
            element("text", text(short), title, x=LABEL_END, text_anchor="end", class_="label", **middle),
            *dots,
            element("path", d=f"M{mean:.1f} {y - 8:g}v16", class_="mean"),
            element("text", text(f"{variant.mean:.3f}"), x=WIDTH - 8, text_anchor="end", **middle),
        ]
    )
