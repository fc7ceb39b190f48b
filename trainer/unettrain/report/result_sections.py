"""Sections 5 and 6: how the training went, and what the network sees in an image it was not trained on."""

from collections.abc import Sequence

from unettrain.report.curves import Series, line_chart, smoothed, thinned
from unettrain.report.page import Html, colour_bar, element, figure, grid, legend, paragraph, picture, section
from unettrain.report.pictures import BOTH, MISSED, VIRIDIS, WRONG, errors_in_colour, grey, mapped, outline_path
from unettrain.report.scores import IMAGES, HeldOut
from unettrain.report.source import Run

LOG_FROM = 8.0  # greatest loss / least loss from which on the axis is logarithmic


def training_section(run: Run) -> Html:
    """Loss and validation IoU over the steps."""
    words = paragraph(
        "The loss is the cross-entropy of the softmax, weighted by w(x). One step sees one batch of tiles, each deformed"
        " anew, so the training loss jumps from step to step; the thick line is its running mean. With momentum 0.99, as"
        " in the paper, the validation loss swings too, and the network with the lowest one is kept as best.pt."
    )
    if not run.log:
        return section("training", "Training", words, paragraph("The log of this run is empty."))
    charts = [_loss_figure(run.log)]
    iou = [(record["step"], record["val_iou"]) for record in run.log if "val_iou" in record]
    if iou:
        charts.append(_iou_figure(*zip(*iou, strict=True)))
        return section("training", "Training", words, grid(*charts))
    none = paragraph("There is no validation curve: the store has no validation images (--val-fraction at import).")
    return section("training", "Training", words, grid(*charts), none)


def _loss_figure(log: Sequence[dict[str, float]]) -> Html:
    steps, losses = [r["step"] for r in log], [r["loss"] for r in log]
    window = max(3, len(log) // 15)
    series = [Series(*thinned(steps, losses), "faint"), Series(*thinned(steps, smoothed(losses, window)), "train")]
    entries = [("var(--trained)", f"training, mean over {window} logged steps")]
    validated = [(r["step"], r["val_loss"]) for r in log if "val_loss" in r]
    if validated:
        series.append(Series(*thinned(*zip(*validated, strict=True)), "validation"))
        entries.append(("var(--otsu)", "validation"))
    values = [v for s in series for v in s.y]
    log_axis = min(values) > 0 and max(values) / min(values) > LOG_FROM
    scale = "logarithmic axis" if log_axis else "linear axis"
    chart = line_chart(
        series, "Loss over the steps of the training", "step", "weighted loss",
        None if log_axis else (0.0, max(values)), log_axis,
    )  # fmt: skip
    return figure(chart, "Loss.", f"Faint: single steps. {scale.capitalize()}.", legend(entries))


def _iou_figure(steps: Sequence[float], values: Sequence[float]) -> Html:
    chart = line_chart(
        [Series(*thinned(steps, values), "validation")], "IoU on the validation images over the steps", "step",
        "validation IoU", (0.0, 1.0),
    )  # fmt: skip
    words = "Of the cells' pixels, on the validation tiles; the best is 1."
    return figure(chart, "Validation IoU.", words, legend([("var(--otsu)", "validation")]))


def prediction_section(held_out: HeldOut) -> Html:
    """One held-out image: its cells, their predicted probability, the outlines, and the errors."""
    shown = held_out.shown
    image = grey(shown.image)
    true, found = (
        element("path", d=outline_path(a), class_=k) for a, k in ((shown.labels, "true"), (shown.mask, "found"))
    )
    heat = picture(mapped(shown.probability, VIRIDIS, 0, 1), "Predicted probability of a cell, 0 to 1")
    errors = errors_in_colour(image, shown.labels != 0, shown.mask)
    colours = [(BOTH, "cell, and predicted (true positive)"), (WRONG, "predicted, but no cell (false positive)"),
               (MISSED, "cell, but missed (false negative)")]  # fmt: skip
    wide = shown.image.shape[2] > 2 * shown.image.shape[1]
    return section(
        "prediction",
        "Prediction",
        paragraph(
            f"Of the {IMAGES[held_out.split]}: {shown.name}, the first one scored that has cells. It was predicted tile"
            " by tile; thanks to the overlap the result has no seams, and does not depend on the tile."
        ),
        grid(
            figure(picture(image, f"Image {shown.name}"), "Image.", f"{shown.name}, {_size(shown.mask.shape)}."),
            figure(
                picture(image, "The image with the outlines of the true cells", true), "True outlines.",
                "Of the labelled cells.",
            ),
            figure(heat, "Probability.", "That a pixel belongs to a cell; over 0.5 it is taken for one.",
                   colour_bar(VIRIDIS, (0, 0.25, 0.5, 0.75, 1), 0, 1)),
            figure(
                picture(image, "The image with the outlines of the predicted cells", found), "Predicted outlines.",
                "Of the pieces of the predicted mask.",
            ),
            figure(picture(errors, "The image with right and wrong pixels in colour"), "Errors.",
                   "Orange between two cells joins them into one: IoU hardly changes, AP falls.", legend(colours)),
            kind="one" if wide else "two",
        ),
    )  # fmt: skip


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} × {shape[1]} pixels"
