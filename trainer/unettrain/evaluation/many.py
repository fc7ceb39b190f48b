"""Metrics of one image or many, each and overall, from files, folders, patterns and stores."""

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import unetprep.errors
from unetprep.storage.output import Output, OutputKind, check_output
from unettrain.errors import InvalidInput, raises_own_errors
from unettrain.evaluation.counting import Counts, Curve
from unettrain.evaluation.files import open_pair, recorded_threshold
from unettrain.evaluation.metric_table import PROBABILITY, Metric, named_metrics
from unettrain.evaluation.metrics import ImageCounts, count_metrics
from unettrain.evaluation.pairing import Pair, find_pairs
from unettrain.evaluation.params import EvaluateParams
from unettrain.evaluation.text import plain_scores
from unettrain.metrics.scores import THRESHOLD

COLUMNS = ("image", "metric", "part", "threshold", "value")  # of the CSV file
OVERALL = "overall"


@dataclass(frozen=True)
class MetricScores:
    """Scores of `images` by `metrics`, each and overall: the counts of all, pooled by the rule of each metric."""

    metrics: tuple[Metric, ...]
    images: tuple[ImageCounts, ...]

    @property
    def overall(self) -> dict[str, Counts]:
        """The pooled counts of each metric, by name."""
        return {m.name: reduce(add, (image.counts[m.name] for image in self.images)) for m in self.metrics}

    def value(self, metric: str, part: str = "") -> float:
        """An overall score, such as `value("ap", "0.50")`; without `part` the main one of the metric."""
        values = self.overall[metric].values()
        return values[part] if part else next(iter(values.values()))

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain values, for JSON."""
        interpretation = ("prediction_kind", "prediction_read_as", "labels_read_as", "dims", "dims_reason")
        return {
            "metrics": [metric.as_dict() for metric in self.metrics],
            "images": [
                {"name": image.name, "scores": plain_scores(image.counts)}
                | {name: getattr(image, name) for name in interpretation}
                for image in self.images
            ],
            "overall": {"num_images": len(self.images), "scores": plain_scores(self.overall)},
        }

    def rows(self) -> list[tuple[str, str, str, float | str, float]]:
        """The scores as rows of COLUMNS, those of each image and then those of all, named OVERALL."""
        named = [(image.name, image.counts) for image in self.images] + [(OVERALL, self.overall)]
        return [(name, *row) for name, counts in named for metric, of in counts.items() for row in _rows(metric, of)]


def _rows(metric: str, counts: Counts) -> list[tuple[str, str, float | str, float]]:
    values = counts.values()
    if not isinstance(counts, Curve):
        return [(metric, part, "", value) for part, value in values.items()]
    at = zip(counts.scores.thresholds.tolist(), counts.scores.values.tolist(), strict=True)
    return [
        (metric, "at_threshold", values["threshold"], values["at_threshold"]),
        (metric, "best", values["best_threshold"], values["best"]),
        *((metric, "curve", threshold, value) for threshold, value in at),
    ]


@raises_own_errors
def evaluate_metrics(
    prediction: str | Path,
    labels: str | Path,
    params: EvaluateParams | None = None,
    on_image: Callable[[int, int], None] = lambda done, num: None,
) -> MetricScores:
    """Compute `params.metrics` of predictions against labels: files, folders, patterns or stores, paired by name.

    Instance labels are compared in blocks, so that volumes may be larger than memory. `on_image` gets the number of
    images done, and of all. Raises InvalidInput as `evaluate_files` does, and for images without a partner.

        params = unettrain.EvaluateParams(metrics="ap,seg")
        unettrain.evaluate_metrics("predicted", "ds.zarr", params).value("seg")
    """
    params = params or EvaluateParams()
    pairs = find_pairs(os.fspath(prediction), os.fspath(labels), params.split)
    _check_thresholds(pairs, params)
    found: list[ImageCounts] = []
    for pair in pairs:
        found.append(_count(pair, params, len(pairs) > 1))
        on_image(len(found), len(pairs))
    return MetricScores(named_metrics(params.metrics), tuple(found))


def _check_thresholds(pairs: Sequence[Pair], params: EvaluateParams) -> None:
    """Refuse probabilities of different thresholds, whose scores at them could not be pooled.

    What records none is at 0.5, or is no probability, if the metrics are not those of probabilities.
    """
    if params.threshold is not None:
        return
    of_probabilities = any(m.needs == PROBABILITY for m in named_metrics(params.metrics))
    paths: dict[float, str] = {}
    for pair in pairs:
        threshold = recorded_threshold(pair.prediction)
        if threshold is not None or of_probabilities:
            paths.setdefault(round(THRESHOLD if threshold is None else threshold, 6), pair.prediction)
    if len(paths) > 1:
        (first, one), (second, other), *_ = paths.items()
        raise InvalidInput(
            f"the threshold of {one} is {first:g}, that of {other} {second:g}",
            allowed="one threshold for all images",
            hint=f"--threshold {first:g} scores all at one, or evaluate the predictions of each run alone",
        )


def _count(pair: Pair, params: EvaluateParams, is_one_of_several: bool) -> ImageCounts:
    try:
        opened = open_pair(pair.prediction, pair.labels, params)
        return count_metrics(pair.name, opened)
    except (InvalidInput, unetprep.errors.InvalidInput) as error:
        if not is_one_of_several or pair.prediction in str(error) or pair.labels in str(error):
            raise
        raise InvalidInput(f"{pair.labels}: {error}") from error


@raises_own_errors
def is_one_image(prediction: str, labels: str, params: EvaluateParams) -> bool:
    """Whether prediction and labels are single images, rather than folders, patterns or stores."""
    pairs = find_pairs(prediction, labels, params.split)
    return [pair.prediction for pair in pairs] == [prediction]


def _is_table(path: Path) -> bool:
    header = ",".join(COLUMNS).encode()
    with path.open("rb") as file:
        return file.read(len(header)) == header


CSV = OutputKind("unettrain evaluate", (".csv",), _is_table)


@raises_own_errors
def check_csv(path: str | Path, inputs: Sequence[str]) -> Output:
    """The destination of a table, checked before anything is computed. A table of `evaluate` is replaced.

    Raises InvalidInput and Conflict as `unetprep.storage.output.check_output` does.
    """
    return check_output(path, CSV, overwrite=True, inputs=inputs, option="--csv")


@raises_own_errors
def write_csv(scores: MetricScores, output: Output) -> None:
    """Write the rows of scores. Raises Conflict and Failure as `Output.writing` does."""
    with output.writing() as path, path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(scores.rows())
