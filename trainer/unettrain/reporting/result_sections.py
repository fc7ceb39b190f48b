"""Report sections 6 and 7: training curves, and the prediction of a held-out image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unetprep.pictures import Picture, grey
from unettrain.reporting.curves import Series, line_chart, smoothed, thinned
from unettrain.reporting.inputs import Run
from unettrain.reporting.page import Html, colour_bar, element, figure, grid, legend, paragraph, picture, section
from unettrain.reporting.pictures import (
    BOTH,
    MISSED,
    VIRIDIS,
    WRONG,
    errors_in_colour,
    mapped,
    outline_path,
)
from unettrain.reporting.scores import IMAGES, HeldOut, Shown

KEPT = {
    "loss": "network with the lowest validation loss",
    "iou": "network with the highest validation IoU",
    "ap": "network with the highest validation AP",
    "last": "newest network",
}
LOG_FROM = 8.0  # least ratio of greatest to smallest loss for a logarithmic axis


def training_section(run: Run) -> Html:
    """Loss, and validation IoU and AP, over the steps."""
    title, fit = "Training", run.record["fit"]
    deformed = ", each with a new deformation" if fit["deform"] else ""
    words = paragraph(
        "The loss is the cross-entropy of the softmax, weighted by w(x). One step uses one batch of tiles"
        f"{deformed}, so the training loss varies from step to step; the thick line is its running mean."
    )
    if not run.log:
        return section("training", title, words, paragraph("The log of this run is empty."))
    steps, _ = _points(run.log, "val_iou")
    if not steps:
        none = paragraph("There is no validation curve: the store has no validation images (--val-fraction at import).")
        return section("training", title, words, grid(_loss_figure(run.log)), none)
    swings = f"With momentum {fit['momentum']:g} the validation loss varies too; the" if _is_sgd(fit) else "The"
    kept = paragraph(f"{swings} {KEPT[fit.get('best_by', 'loss')]} is kept as best.pt.")
    return section("training", title, words, kept, grid(_loss_figure(run.log), _scores_figure(run.log)))


def _is_sgd(fit: dict[str, Any]) -> bool:
    return bool(fit["optimizer"] == "sgd" and fit["momentum"])


def _points(log: Sequence[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of the log records with a key, thinned out."""
    logged = [record for record in log if key in record]
    return thinned([record["step"] for record in logged], [record[key] for record in logged])


def _loss_figure(log: Sequence[dict[str, float]]) -> Html:
    window = max(3, len(log) // 15) | 1
    mean = smoothed([record["loss"] for record in log], window)
    series = [
        Series(*_points(log, "loss"), "faint"),
        Series(*thinned([record["step"] for record in log], mean), "train"),
    ]
    entries = [("var(--trained)", f"training, mean over {window} logged steps")]
    steps, losses = _points(log, "val_loss")
    if steps:
        series.append(Series(steps, losses, "validation"))
        entries.append(("var(--validation)", "validation"))
    values = [v for s in series for v in s.y]
    log_axis = min(values) > 0 and max(values) / min(values) > LOG_FROM
    y_range = None if log_axis else (0.0, max(values))
    chart = line_chart(series, "Loss over the steps of the training", "step", "weighted loss", y_range, log_axis)
    kind = "Logarithmic" if log_axis else "Linear"
    return figure(chart, "Loss.", f"Faint: single steps. {kind} axis.", legend(entries))


def _scores_figure(log: Sequence[dict[str, float]]) -> Html:
    series, entries = [Series(*_points(log, "val_iou"), "validation")], [("var(--validation)", "IoU of the foreground")]
    if any("val_ap" in record for record in log):
        series.append(Series(*_points(log, "val_ap"), "train"))
        entries.append(("var(--trained)", "AP of the instances, mean over IoU thresholds 0.5 to 0.9"))
    chart = line_chart(series, "Scores on the validation images over the steps", "step", "score", (0.0, 1.0))
    return figure(chart, "Validation scores.", "On the validation tiles; the best is 1.", legend(entries))


def prediction_section(held_out: HeldOut) -> Html:
    """One held-out image: its cells, their predicted probability, the outlines, and the errors."""
    shown = held_out.shown
    wide = shown.image.shape[2] > 2 * shown.image.shape[1]
    return section(
        "prediction",
        "Prediction",
        paragraph(
            f"Of the {IMAGES[held_out.split]}: {shown.name}, the first one scored that has cells. It was predicted tile"
            " by tile; because of the overlap the result has no seams and does not depend on the tile."
        ),
        grid(*_prediction_figures(shown), kind="one" if wide else "two"),
    )


def _prediction_figures(shown: Shown) -> list[Html]:
    image, (height, width) = grey(shown.image), shown.cells.shape
    true, found = (
        element("path", d=outline_path(a), class_=kind)
        for a, kind in ((np.maximum(shown.labels, 0), "true"), (shown.cells, "found"))
    )
    heat = picture(mapped(shown.probability, VIRIDIS, 0, 1), "Predicted probability of a cell, 0 to 1")
    size = f"{height} \N{MULTIPLICATION SIGN} {width} pixels"
    return [
        figure(picture(image, f"Image {shown.name}"), "Image.", f"{shown.name}, {size}."),
        figure(
            picture(image, "The image with the outlines of the true cells", true),
            "True outlines.",
            "Of the labelled cells.",
        ),
        figure(
            heat,
            "Probability.",
            "That a pixel belongs to a cell.",
            colour_bar(VIRIDIS, (0, 0.25, 0.5, 0.75, 1), 0, 1),
        ),
        figure(
            picture(image, "The image with the outlines of the predicted cells", found),
            "Predicted outlines.",
            "Of the predicted cells.",
        ),
        _errors_figure(image, shown),
    ]


def _errors_figure(image: Picture, shown: Shown) -> Html:
    colours = [
        (BOTH, "cell, and predicted (true positive)"),
        (WRONG, "predicted, but no cell (false positive)"),
        (MISSED, "cell, but missed (false negative)"),
    ]
    pixels = errors_in_colour(
        image, shown.labels > 0, (shown.cells > 0) & (shown.labels >= 0)
    )  # ignored pixels: neither
    words = "Orange between two cells merges them: IoU hardly changes, AP decreases."
    return figure(picture(pixels, "The image with right and wrong pixels in colour"), "Errors.", words, legend(colours))
