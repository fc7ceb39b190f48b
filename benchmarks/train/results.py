"""What the benchmarks of this folder have written, as tables for people: RESULTS.md.

python -m benchmarks.train.results
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.measure import described, spread

HERE = Path(__file__).parent
SCORES = {
    "watershed_ap50": "AP@0.5, watershed",
    "watershed_ap70": "AP@0.7, watershed",
    "components_ap50": "AP@0.5, components",
    "iou": "IoU of the foreground",
    "pixel_error": "pixel error",
}
RULES = ("last", "loss", "iou", "ap", "ema")


def recipe_part(found: dict[str, Any]) -> list[str]:
    """Scores of every change of the recipe, and of every rule that selects a network."""
    base = ", ".join(f"{name} {value}" for name, value in found["base"].items() if name not in ("device", "threads"))
    lines = [
        "## The recipe, one change at a time",
        "",
        f"Held-out test images, which neither trained nor validated. Tiles of {found['tile_px']}, one a step; {base},"
        f" where a row says nothing else. Mean over the seeds, and each of them. {described(found)}.",
        "",
        *(f"- {name}, {found['steps'][name]} steps: {about}." for name, about in found["data_sets"].items()),
        "",
        *(f"- **{name}**: {about}." for name, about in found["changes"].items()),
        "",
    ]
    for data in found["data_sets"]:
        lines += [*recipe_table(found, data), ""]
    return [*lines, *selection_table(found["selection"])]


def recipe_table(found: dict[str, Any], data: str) -> list[str]:
    """Scores of the last networks on the test images of a data set."""
    shown = SCORES | ({"components_rand": "adapted Rand error, components"} if data == "isbi2012" else {})
    titles = ["AP@0.5, chosen decoding", "IoU, chosen threshold", *shown.values()]
    lines = [f"| {data} | {' | '.join(titles)} |", "|---|" + "---|" * len(titles)]
    for change in found["changes"]:
        runs = [run for run in found["runs"] if (run["data"], run["change"]) == (data, change)]
        if runs:
            last = [run["scores"][str(run["steps"])]["test"] for run in runs]
            cells = [of_seeds(run["chosen"][key] for run in runs) for key in ("ap50", "iou")]
            cells += [of_seeds(scores[key] for scores in last) for key in shown]
            lines.append(f"| {change} | {' | '.join(cells)} |")
    return lines


def of_seeds(values: Iterable[float]) -> str:
    """The mean, and the value of every seed."""
    each = list(values)
    return f"**{mean(each):.3f}** ({', '.join(f'{value:.2f}' for value in each)})"


def selection_table(found: list[dict[str, Any]]) -> list[str]:
    """Scores of the networks that the rules select, averaged over the seeds."""
    lines = [
        "## Which network is kept",
        "",
        "AP of the test images, mean over IoU 0.5 to 0.9, of the network that a rule takes from a training by its"
        " validation images; last: the last one; ema: the average of the weights.",
        "",
        f"| data set, recipe | {' | '.join(RULES)} |",
        "|---|" + "---|" * len(RULES),
    ]
    for data, change in dict.fromkeys((row["data"], row["change"]) for row in found):
        rows = [row["ap"] for row in found if (row["data"], row["change"]) == (data, change)]
        cells = (of_seeds(known) if (known := [row[rule] for row in rows if rule in row]) else "" for rule in RULES)
        lines.append(f"| {data}, {change} | {' | '.join(cells)} |")
    return [*lines, ""]


def stepping_part(found: dict[str, Any]) -> list[str]:
    """Steps against a bare torch loop."""
    lines = [
        "## A step, against a bare torch loop over the same layers",
        "",
        f"Tiles of {found['tile_px']}, one a step, one thread; CPU time (wall time on the same machine, which also did"
        f" other work). {described(found)}.",
        "",
        "| channels | forward and backward | peak memory | a step of `fit` on streamed, augmented tiles |",
        "|---|---|---|---|",
    ]
    for base, row in found["channels"].items():
        passes, fitted = (
            f"{spread(row[key]['cpu'])}; wall {row[key]['wall']['ratio']:.3g}" for key in ("passes", "fit")
        )
        ours, bare = row["peak_mib"]["ours"], row["peak_mib"]["bare"]
        lines.append(f"| {base} | {passes} | **{ours / bare:.3g}** ({ours:.0f} MiB) | {fitted} |")
    return [*lines, ""]


def decoding_part(found: dict[str, Any]) -> list[str]:
    """Decoding against scikit-image."""
    row = found["against_skimage"]
    peaks = ", ".join(f"{m['side']} px {m['peak_mib']} MiB" for m in found["memory"])
    return [
        "## Instances of a probability, against scipy and scikit-image",
        "",
        f"{row['shape'][0]} x {row['shape'][1]} pixels, {row['cells']} cells; distance, Gaussian, maxima, watershed on"
        f" one thread. {described(found)}.",
        "",
        f"Time: {spread(row['watershed'])} of theirs; on two threads {spread(row['two_threads'])} of one. The most"
        f" memory, with the generation of the image: {peaks}.",
        "",
    ]


def predicting_part(found: dict[str, Any]) -> list[str]:
    """Prediction against MONAI's sliding window, and its memory."""
    lines = ["## Prediction, against MONAI's SlidingWindowInferer", ""]
    if row := found.get("compared"):
        lines += [
            f"{row['side']} x {row['side']} pixels, the same network of {row['base_channels']} channels, one thread;"
            f" the times of others are multiples of ours, of {row['pairs']} turns. Seam: the largest difference of a"
            f" probability from that of the whole image at once. {described(found)}.",
            "",
            "| method | megapixels a CPU second | CPU time | memory | seam |",
            "|---|---|---|---|---|",
        ]
        for method in (name for name, value in row.items() if isinstance(value, dict)):
            ratios = (row.get(f"{method}_to_ours_{key}", [1.0])[0] for key in ("cpu_seconds", "more_mib"))
            seam, speed = found["largest_seam"].get(method), row[method]["megapixels_per_cpu_second"]
            cells = (f"{speed:.3g}", *(f"{ratio:.3g}" for ratio in ratios), "" if seam is None else f"{seam:.2g}")
            lines.append(f"| {method} | {' | '.join(cells)} |")
        lines.append("")
    for side, memory in found.get("memory_by_side", {}).items():
        lines.append(f"- {side} px: {', '.join(f'{key} {value:g}' for key, value in memory.items())}")
    return [*lines, ""]


PARTS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "recipe": recipe_part,
    "stepping": stepping_part,
    "decoding": decoding_part,
    "predicting": predicting_part,
}


def main() -> None:
    """Write the page, of what has been measured."""
    files = {name: HERE / f"{name}.json" for name in PARTS}
    there = [name for name, file in files.items() if file.exists()]
    source = ", ".join(f"{name}.json" for name in there)
    lines = ["# Training, measured", "", f"Written by `python -m benchmarks.train.results` from {source}.", ""]
    for name in there:
        lines += PARTS[name](json.loads(files[name].read_text()))
    (HERE / "RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
