"""Report section 1, results: the run in key facts, and its scores next to those of two baselines."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from unetprep.credentials import mask_credentials
from unettrain.metrics.scores import Scores
from unettrain.outcome import training_warnings
from unettrain.reporting.inputs import Run
from unettrain.reporting.page import Html, bar, element, join, number, paragraph, section, table, text, warning
from unettrain.reporting.precision import ap_interval, rounded, uncertainty
from unettrain.reporting.regions import MAX_SIDE_PX
from unettrain.reporting.scores import IMAGES, HeldOut

TRAINABLE = {"trained": "Trained network", "untrained": "Same network, untrained"}
RATIOS: dict[str, Callable[[Scores], float]] = {
    "IoU of the foreground": lambda s: s.pixels.iou,
    "AP at IoU 0.5": lambda s: s.ap[0.5],
    "AP at IoU 0.7": lambda s: s.ap[0.7],
    "AP at IoU 0.9": lambda s: s.ap[0.9],
    "mean AP, 0.5 to 0.9": lambda s: s.mean_ap,
}
COUNTS: dict[str, Callable[[Scores], int]] = {
    "cells found (IoU ≥ 0.5)": lambda s: s.cells[0].tp,
    "cells proposed": lambda s: s.cells[0].tp + s.cells[0].fp,
    "true cells": lambda s: s.cells[0].tp + s.cells[0].fn,
}


def short_name(run: Run) -> str:
    """The last part of the store's path, without its ending."""
    return PurePosixPath(run.store.rstrip("/")).stem


def head(run: Run, held_out: HeldOut) -> Html:
    """Title, key facts of the run, key figures, scores, and their method."""
    top = element(
        "header",
        paragraph("U-Net report", "kicker"),
        element("h1", text(run.files.path.resolve().name), element("span", text(f" on {short_name(run)}"))),
        facts(run),
    )
    changed = run.changed()
    notes = [] if held_out.split == "test" else [split_warning(held_out.split)]
    if changed:
        notes.append(
            warning(
                f"This store no longer holds what the run was trained on ({', '.join(changed)} differ). The held-out"
                " images may have been used in the training."
            )
        )
    notes += [warning(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in training_notes(run)]
    result = section(
        "result",
        "Result",
        *notes,
        key_figures(held_out.scores, held_out.split),
        paragraph(verdict(held_out.scores), "lead"),
        scores_table(held_out),
        paragraph(uncertainty(held_out.scores["trained"], held_out.seed)),
        paragraph(how_scored(held_out), "small"),
    )
    return join([top, result])


def training_notes(run: Run) -> tuple[str, ...]:
    """Warnings about a network whose training ended without an error."""
    best, validated = run.checkpoint, [record["val_iou"] for record in run.log if "val_iou" in record]
    step = int(run.log[-1]["step"]) if run.log else best.step
    return training_warnings(best.best_iou, validated[-1] if validated else None, best.constant, step)


def facts(run: Run) -> Html:
    """Key facts of the run."""
    network, model = run.checkpoint.network, run.checkpoint.build()
    parameters = sum(p.numel() for p in model.parameters())
    last = run.log[-1] if run.log else {}
    best = run.checkpoint.best_loss
    said = {
        "Network": f"U-Net, {network.base_channels} base channels, depth {network.depth}, {parameters:,} parameters",
        "Training": f"{last.get('step', run.checkpoint.step)} steps in {duration(training_seconds(run.log))}",
        "Network shown": f"best.pt, after step {run.checkpoint.step}",
        "Loss": f"validation {best:.4g}" if best is not None else f"training {last.get('loss', float('nan')):.4g}",
        "Store": mask_credentials(run.store),
        "Run": str(run.files.path),
    }
    items = (element("div", element("dt", text(k)), element("dd", text(v))) for k, v in said.items())
    return element("dl", *items, class_="facts")


def training_seconds(log: Sequence[dict[str, float]]) -> float:
    """Total training time: the clock of the log restarts when a run is resumed."""
    seconds = [float(record.get("seconds", 0)) for record in log]
    return sum(now for now, after in zip(seconds, [*seconds[1:], 0.0], strict=False) if after < now)


def duration(seconds: float) -> str:
    """A duration as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def split_warning(split: str) -> Html:
    """Warning for scores of another split than `test`."""
    if split == "val":
        return warning(
            "The store has no images in the split test. The scores below are of the validation images, by which the"
            " best network was chosen, so they are slightly biased."
        )
    return warning(
        "The store has no images in the splits test and val. The scores below are of training images: they measure"
        " memorization, not performance on a new image. Import with --test-fraction to hold some out."
    )


def key_figures(scores: dict[str, Scores], split: str) -> Html:
    """The two main scores, with those of the baselines."""
    iou = {method: rounded(s.pixels.iou, s) for method, s in scores.items()}
    ap = {method: rounded(s.ap[0.5], s) for method, s in scores.items()}
    return element(
        "div",
        _key_figure(f"IoU on {IMAGES[split]}", iou, "pixels in both cell masks / pixels in either"),
        _key_figure(f"AP@0.5 on {IMAGES[split]}", ap, "cells found / (found + missed + invented)"),
        class_="keys",
    )


def _key_figure(title: str, values: dict[str, str], meaning: str) -> Html:
    against = f"untrained {values['untrained']} · Otsu {values['otsu']}"
    lines = {"name": title, "value": values["trained"], "against": against, "small": meaning}
    return element("div", *(element("p", text(words), class_=kind) for kind, words in lines.items()), class_="key")


def verdict(scores: dict[str, Scores]) -> str:
    """The scores in which the network is above Otsu's threshold, and the others; whether AP differs by chance."""
    trained, otsu = scores["trained"], scores["otsu"]
    above = [name for name, value in RATIOS.items() if value(trained) > value(otsu)]
    below = [name for name in RATIOS if name not in above]
    if not above:
        return (
            "The trained network is above Otsu's threshold in no score: on these images a threshold does as well, or"
            " the training was too short."
        )
    words = (
        f"Above Otsu's threshold: {', '.join(above)}. Not above it: {', '.join(below)}."
        if below
        else "The trained network is above Otsu's threshold, a baseline without training, in every score."
    )
    if ap_interval(trained)[0] <= ap_interval(otsu)[1]:
        words += " On so few cells the difference in AP at IoU 0.5 may be chance: the binomial intervals overlap."
    return words


def scores_table(held_out: HeldOut) -> Html:
    """Every score of every method, with bars, and what it rests on."""
    scores, num_images = held_out.scores, len(held_out.names)
    ratios = [
        [text(name), *(join([number(rounded(value(s), s)), bar(value(s), method)]) for method, s in scores.items())]
        for name, value in RATIOS.items()
    ]
    counts = [[text(name), *(number(f"{count(s):,}") for s in scores.values())] for name, count in COUNTS.items()]
    images = [text("images"), *(number(f"{num_images:,}") for _ in scores)]
    seeds = [text("seed"), *(text(held_out.seed if method in TRAINABLE else "none") for method in scores)]
    return table(["", *(title_of(method, held_out) for method in scores)], [*ratios, *counts, images, seeds], "scores")


def title_of(method: str, held_out: HeldOut) -> str:
    """A method in words; for Otsu's threshold with the decoding, which is that of the network."""
    if method in TRAINABLE:
        return TRAINABLE[method]
    watershed = held_out.decoding.instances == "watershed" and held_out.regions[0].region.dims == 2
    return f"Otsu's threshold + the same {'watershed' if watershed else 'connected components'}"


def how_scored(held_out: HeldOut) -> str:
    """Images and method of the scores."""
    used, share = len(held_out.names), sum(r.region.num_pixels for r in held_out.regions) / held_out.num_pixels
    part = (
        "whole"
        if share == 1
        else f"{100 * share:.2g} percent of their pixels, in {len(held_out.regions)} regions of at most {MAX_SIDE_PX}"
        " pixels a side"
    )
    side = "brighter" if held_out.cells_are_brighter else "darker"
    truth = (
        "" if held_out.cells_are_numbered else " Without instance labels in the store, true cells are components too."
    )
    return (
        f"Split {held_out.split}: {used} of {held_out.num_images} images, {part}; counts are pooled. All methods are"
        f" decoded alike, as predict does it: {_decoding(held_out)}. A cell is found if its IoU"
        f" with a true cell reaches the threshold, one to one.{truth} Otsu's threshold is computed for each image;"
        f" cells are the {side} side, as in the training images."
    )


def _decoding(held_out: HeldOut) -> str:
    """How the foreground became cells."""
    params = held_out.decoding
    if held_out.regions[0].region.dims == 3:
        return f"cells are 6-connected components of the pixels with a probability of at least {params.threshold:g}"
    if params.instances == "watershed":
        return (
            f"pixels with a probability of at least {params.threshold:g} are separated by a watershed of the"
            f" {params.seeds}, whose parameters were chosen on the validation split or are the defaults"
        )
    return f"cells are 4-connected components of the pixels with a probability of at least {params.threshold:g}"
