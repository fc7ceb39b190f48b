"""Intensity ranges of imported images, and warnings about outliers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetprep.kernels.intensity_rules import intensity_rule_for
from unetprep.kernels.percentiles import RobustRange

EXTREME = 4.0  # extremes of more than so many robust ranges are warned of
MOST_WARNINGS = 5  # images named in warnings


@dataclass(frozen=True)
class ImageRange:
    """Range of one image: `low` and `high` become 0 and 1 by `rule`; `robust` holds percentiles and extremes."""

    dtype: str
    rule: str
    low: float
    high: float
    robust: RobustRange

    def as_values(self) -> dict[str, Any]:
        """The range as values for JSON."""
        seen = self.robust
        return {
            "dtype": self.dtype,
            "rule": intensity_rule_for(self.rule, self.dtype),
            "intensity": [self.low, self.high],
            "percentiles": [seen.low, seen.high],
            "extremes": [seen.least, seen.greatest],
            "num_below": seen.num_below,
            "num_above": seen.num_above,
            "num_pixels": seen.num_pixels,
        }

    def span_ratio(self) -> float:
        """Span of the extremes over the span of the percentiles; 1 for a constant image."""
        seen = self.robust
        return (seen.greatest - seen.least) / (seen.high - seen.low) if seen.high > seen.low else 1.0


def range_warnings(ranges: Mapping[str, ImageRange]) -> list[str]:
    """One sentence for each image whose extremes span over EXTREME times its percentiles, the worst ones first."""
    extreme = sorted((r for r in ranges.items() if r[1].span_ratio() > EXTREME), key=lambda r: -r[1].span_ratio())
    found = [_warning(name, image) for name, image in extreme[:MOST_WARNINGS]]
    if len(extreme) > MOST_WARNINGS:
        found.append(f"{len(extreme) - MOST_WARNINGS} more images hold outliers as extreme; --json lists all ranges")
    return found


def _warning(name: str, image: ImageRange) -> str:
    seen, rule = image.robust, intensity_rule_for(image.rule, image.dtype)
    num = seen.num_below + seen.num_above
    advice = (
        "the network sees such values clipped; replace them where they are hot pixels"
        if rule == "percentile"
        else f"and --intensity is {rule}: the rest of the image is scaled to a small part of 0..1"
        if rule == "minmax"
        else "look at it before you train"
    )
    return (
        f"{name}: values reach from {seen.least:g} to {seen.greatest:g}, {image.span_ratio():.3g} times the range"
        f" {seen.low:g} to {seen.high:g} that all but {num} of {seen.num_pixels} pixels ({_percent(seen)} %) lie in;"
        f" {advice}"
    )


def range_summary(ranges: Collection[Mapping[str, Any]]) -> str:
    """One line about the ranges of all images, given as `as_values` returns them; empty without images."""
    if not ranges:
        return ""
    lows, highs = zip(*(values["intensity"] for values in ranges), strict=True)
    outside = sum(values["num_below"] + values["num_above"] for values in ranges)
    percent = 100 * outside / max(1, sum(values["num_pixels"] for values in ranges))
    return (
        f"intensity: by {' and '.join(sorted({values['rule'] for values in ranges}))}, 0 is {_span(lows)} and 1 is"
        f" {_span(highs)}; {percent:.2g} % of the pixels lie outside the percentiles"
    )


def _span(values: Sequence[float]) -> str:
    least, greatest = min(values), max(values)
    return f"{least:g}" if least == greatest else f"{least:g} to {greatest:g}"


def _percent(seen: RobustRange) -> str:
    return f"{100 * (seen.num_below + seen.num_above) / seen.num_pixels:.2g}"
