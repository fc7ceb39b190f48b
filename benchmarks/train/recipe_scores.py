"""Decoding and scores of the trainings of `benchmarks.train.recipe`.

    python -m benchmarks.train.recipe_scores BUILD      writes recipe.json beside this file, and prints the tables

Scores are pooled over the held-out images of a split: AP of the instances at IoU 0.5 and 0.7, decoded by watershed
(`separate_instances` with its defaults) and as connected components; IoU of the foreground; the share of wrong pixels;
of isbi2012 also the adapted Rand error, the mean over slices, without the membranes of the truth.
"""

import json
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import adapted_rand_error

from benchmarks.measure import machine, write
from benchmarks.train.changes import BASE, CHANGES
from benchmarks.train.data_sets import DATA_SETS, TILE_PX, truth_of
from benchmarks.train.recipe import HELD_OUT, SEEDS, file_of, read_runs
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.metrics import Scores, score_instances

HERE = Path(__file__).parent
DECODINGS = {name: DecodingParams(instances=name) for name in ("watershed", "components")}
SHOWN = ("watershed_ap50", "watershed_ap70", "components_ap50", "iou", "pixel_error")


def main(folder: str) -> None:
    """Score what is not scored yet, and write everything."""
    build = Path(folder)
    kept = build / "scores.json"
    scores: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    runs = read_runs(build / "runs.jsonl")
    for run in runs:
        key = f"{run['data']}/{run['change']}/{run['seed']}"
        if key not in scores:
            scores[key] = score_run(run, build)
            kept.write_text(json.dumps(scores))
    runs = [run | {"scores": scores[f"{run['data']}/{run['change']}/{run['seed']}"]} for run in runs]
    results = {
        "machine": machine("numpy", "torch"),
        "data_sets": {data.name: data.about for data in DATA_SETS},
        "tile_px": TILE_PX,
        "steps": {data.name: data.steps for data in DATA_SETS},
        "base": BASE,
        "seeds": SEEDS,
        "decodings": {name: asdict(params) for name, params in DECODINGS.items()},
        "changes": {change.name: change.about for change in CHANGES},
        "runs": sorted(runs, key=lambda run: (run["data"], run["change"], run["seed"])),
    }
    write(HERE / "recipe.json", results)
    for data in DATA_SETS:
        print("\n".join(["", *table(results, data.name)]), file=sys.stderr)


def score_run(run: dict[str, Any], build: Path) -> dict[str, Any]:
    """Scores of every network of a training, by its key (a step, or ema) and the split."""
    url = str(build / "stores" / run["store"])
    predicted = np.load(file_of(build, run["data"], run["change"], run["seed"]))
    found: dict[str, Any] = {}
    for path in predicted.files:
        split, name, key = path.split("/")
        found.setdefault(key, {}).setdefault(split, []).append((predicted[path], truth(url, name)))
    return {key: {split: scores_of(of[split], run["data"]) for split in HELD_OUT} for key, of in found.items()}


@cache
def truth(url: str, name: str) -> NDArray[np.int32]:
    """Instances of an image."""
    return truth_of(url, name)


def scores_of(images: list[tuple[NDArray[np.float16], NDArray[np.int32]]], data: str) -> dict[str, float]:
    """Scores of some images, each with its foreground probability and its true instances (z, y, x)."""
    found: dict[str, float] = {}
    for name, params in DECODINGS.items():
        decoded = [separate_instances(p.astype(np.float32), params) for p, _ in images]
        pooled = sum((score_instances(d, t) for d, (_, t) in zip(decoded, images, strict=True)), start=Scores())
        found |= {f"{name}_ap50": pooled.ap[0.5], f"{name}_ap70": pooled.ap[0.7], f"{name}_ap": pooled.mean_ap}
        if data == "isbi2012":
            errors = [
                adapted_rand_error(t, d, ignore_labels=(0,))[0]
                for whole, (_, truths) in zip(decoded, images, strict=True)
                for d, t in zip(whole, truths, strict=True)
            ]
            found[f"{name}_rand"] = float(np.mean(errors))
    pixels = pooled.pixels
    found |= {
        "iou": pixels.iou,
        "pixel_error": (pixels.fp + pixels.fn) / (pixels.tp + pixels.fp + pixels.fn + pixels.tn),
    }
    return {name: round(value, 4) for name, value in found.items()}


def table(results: dict[str, Any], data: str) -> list[str]:
    """Scores on the test images of the last networks: the mean, and those of every seed."""
    shown = (*SHOWN, *(["watershed_rand"] if data == "isbi2012" else []))
    lines = [f"| {data} | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for change in results["changes"]:
        runs = [run for run in results["runs"] if run["data"] == data and run["change"] == change]
        if runs:
            last = [run["scores"][str(run["steps"])]["test"] for run in runs]
            cells = (
                f"**{np.mean(v):.3f}** ({' '.join(f'{x:.2f}' for x in v)})"
                for v in ([s[k] for s in last] for k in shown)
            )
            lines.append(f"| {change} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main(*sys.argv[1:])
