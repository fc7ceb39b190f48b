"""The metrics of `evaluate`: what each needs, how it pools several images, and which way is better. Imports no numpy.

The command line, the report and docs/evaluation.md take names and words from this table.
"""

from dataclasses import dataclass

from unetprep.suggestions import did_you_mean
from unettrain.errors import InvalidInput

FOREGROUND, INSTANCES, PROBABILITY = "foreground", "instances", "probability"


@dataclass(frozen=True)
class Metric:
    """A metric: its name, what it is, what it needs of a prediction, how it pools images, and which way is better."""

    name: str
    title: str
    needs: str  # FOREGROUND, INSTANCES or PROBABILITY
    pooling: str
    higher_is_better: bool = True

    @property
    def better(self) -> str:
        """Which way is better, as a word."""
        return "higher" if self.higher_is_better else "lower"

    def as_dict(self) -> dict[str, str]:
        """The row as plain values, for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "needs": self.needs,
            "pooling": self.pooling,
            "better": self.better,
        }


METRICS = {
    metric.name: metric
    for metric in (
        Metric("iou", "IoU of the foreground, and of each class", FOREGROUND, "pixels of all images"),
        Metric("dice", "Dice of the foreground, and of each class", FOREGROUND, "pixels of all images"),
        Metric("ap", "average precision of the cells (DSB2018, StarDist)", INSTANCES, "matches of all images"),
        Metric("seg", "SEG (Cell Tracking Challenge)", INSTANCES, "mean over the cells of all images"),
        Metric(
            "variation_of_information",
            "variation of information (voi), bits",
            INSTANCES,
            "mean over slices, or volumes",
            higher_is_better=False,
        ),
        Metric(
            "adapted_rand",
            "adapted Rand error",
            INSTANCES,
            "mean over slices, or volumes",
            higher_is_better=False,
        ),
        Metric("pixel_error", "pixel error (ISBI 2012)", PROBABILITY, "pixels of all slices", higher_is_better=False),
        Metric("rand_error", "Rand error (ISBI 2012)", PROBABILITY, "sums over all slices", higher_is_better=False),
        Metric("v_rand", "V_rand (ISBI 2012, official)", PROBABILITY, "mean over slices"),
        Metric("v_info", "V_info (ISBI 2012, official)", PROBABILITY, "mean over slices"),
        Metric(
            "warping_error", "warping error (ISBI 2012)", PROBABILITY, "pixels of all slices", higher_is_better=False
        ),
    )
}
DEFAULT_METRICS = ("iou", "ap")


def named_metrics(text: str) -> tuple[Metric, ...]:
    """The metrics named in a text, separated by commas; DEFAULT_METRICS for an empty one.

    Raises InvalidInput for a name that is none.
    """
    names = tuple(dict.fromkeys(name.strip().replace("-", "_") for name in text.split(",") if name.strip()))
    for name in names:
        if name not in METRICS:
            raise InvalidInput(
                f"metrics is {text!r}: there is no {name}",
                allowed=f"any of {', '.join(METRICS)}, separated by commas",
                hint=did_you_mean(name, METRICS),
            )
    return tuple(METRICS[name] for name in names or DEFAULT_METRICS)
