"""Scores of metrics as plain values, and as a table in text."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unettrain.evaluation.counting import Counts, Curve
from unettrain.evaluation.metric_table import PROBABILITY

if TYPE_CHECKING:
    from unettrain.evaluation.many import MetricScores

OPTIMISTIC = "best threshold on these labels: optimistic"
SHOWN = {  # the parts of a metric in the table, of those that `values` gives
    "ap": ("0.50", "mean"),
    "seg": ("mean",),
    "variation_of_information": ("split", "merge"),
    "adapted_rand": ("error",),
}
CURVE_PARTS = ("at_threshold", "best")
OF_ONE = {"foreground", "mean", "error"}  # parts that need no name in the table
SHORT = {"variation_of_information": "voi"}
MOST_ROWS = 100


def plain_scores(counts: Mapping[str, Counts]) -> dict[str, Any]:
    """The scores of each metric for JSON; null for what is undefined."""
    return {name: _plain(of) for name, of in counts.items()}


def _plain(counts: Counts) -> dict[str, Any]:
    values: dict[str, Any] = {part: _number(value) for part, value in counts.values().items()}
    if isinstance(counts, Curve):
        scores = counts.scores
        values |= {"best_is": OPTIMISTIC, "thresholds": scores.thresholds.tolist()}
        values["values"] = [_number(value) for value in scores.values.tolist()]
    return values


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_text(scores: "MetricScores") -> str:
    """How images were read, a table of the images and of all, and the scores by threshold."""
    overall = scores.overall
    columns = [(m.name, part) for m in scores.metrics for part in _parts(m.name, overall[m.name])]
    several = len(scores.images) > 1
    named = [(image.name, image.counts) for image in scores.images[:MOST_ROWS]]
    named += [(f"overall ({len(scores.images)})", overall)] if several else []
    table = [["image", *(_heading(name, part, overall[name]) for name, part in columns)]]
    for name, counts in named:
        table.append([name, *(_shown(counts[metric].values().get(part)) for metric, part in columns)])
    lines = [*_readings(scores), "", *_aligned(table)]
    if several and len(scores.images) > MOST_ROWS:
        lines.append(f"{len(scores.images) - MOST_ROWS} more images are in --json and --csv")
    for metric in scores.metrics:
        if isinstance(of := overall[metric.name], Curve):
            lines += ["", *_curve(metric.name, of)]
    lines += ["", *(f"{m.name}: {m.title}; {m.better} is better; overall: {m.pooling}" for m in scores.metrics)]
    if any(metric.needs == PROBABILITY for metric in scores.metrics):
        lines.append(f"best: {OPTIMISTIC}")
    if [metric.name for metric in scores.metrics if metric.needs == PROBABILITY] == ["warping_error"]:
        lines.append("warping_error is 0 without any predicted cell: report it with another metric")
    return "\n".join(lines)


def _readings(scores: "MetricScores") -> list[str]:
    """How the images were read, as far as that is the same for all with the numbers of objects of the first."""
    first = scores.images[0]
    lines = [
        f"prediction read as: {first.prediction_read_as}",
        f"labels read as:     {first.labels_read_as}",
        f"dims:               {first.dims} ({first.dims_reason})",
    ]
    if len(scores.images) > 1:
        lines[0] = f"{first.name}, the first of {len(scores.images)} images:\n{lines[0]}"
    kinds = sorted({image.prediction_kind for image in scores.images})
    return lines + [f"The predictions are of several kinds: {', '.join(kinds)}."] * (len(kinds) > 1)


def _parts(name: str, counts: Counts) -> Sequence[str]:
    if isinstance(counts, Curve):
        return CURVE_PARTS
    return SHOWN.get(name, tuple(counts.values()))


def _heading(name: str, part: str, counts: Counts) -> str:
    if isinstance(counts, Curve):
        return f"{name} best" if part == "best" else f"{name} at {counts.threshold:g}"
    if name == "ap":
        return "ap mean" if part == "mean" else f"ap {part}"
    return name if part in OF_ONE else f"{SHORT.get(name, name)} {part}"


def _shown(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]


def _curve(name: str, counts: Curve) -> list[str]:
    """The scores at each threshold, and apart from them the best, and that at the threshold fixed beforehand."""
    scores, values = counts.scores, counts.values()
    table = [
        ["threshold", *(f"{t:.3g}" for t in scores.thresholds.tolist())],
        [name, *map(_shown, scores.values.tolist())],
    ]
    return [
        *_aligned(table),
        f"best at threshold {values['best_threshold']:.3g}: {_shown(values['best'])} ({OPTIMISTIC})",
        f"at threshold {counts.threshold:g}, fixed beforehand: {_shown(values['at_threshold'])}",
    ]
