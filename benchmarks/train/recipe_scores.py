"""Decoding and scores of the trainings of `benchmarks.train.recipe`.

    python -m benchmarks.train.recipe_scores BUILD      writes recipe.json beside this file, and prints the tables

Scores are pooled over the held-out images of a split: AP of the instances at IoU 0.5 and 0.7, decoded by watershed
(`separate_instances` with its defaults) and as connected components; IoU of the foreground; the share of wrong pixels;
of isbi2012 also the adapted Rand error, the mean over slices, without the membranes of the truth. `chosen`: decoded by
what was best on the validation images, watershed or components, at one of seven thresholds.
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
from benchmarks.train.results import recipe_part
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.metrics import Scores, score_instances

HERE = Path(__file__).parent
DECODINGS = {name: DecodingParams(instances=name) for name in ("watershed", "components")}
CHOICES = [
    DecodingParams(instances=name, threshold=threshold)
    for name in DECODINGS
    for threshold in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
]


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
    chosen = chosen_decodings(runs, build)
    runs = [run | {"chosen": chosen[f"{run['data']}/{run['change']}/{run['seed']}"]} for run in runs]
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
        "selection": selection(runs),
        "runs": sorted(runs, key=lambda run: (run["data"], run["change"], run["seed"])),
    }
    write(HERE / "recipe.json", results)
    print("\n".join(recipe_part(results)), file=sys.stderr)


def score_run(run: dict[str, Any], build: Path) -> dict[str, Any]:
    """Scores of every network of a training, by its key (a step, or ema) and the split."""
    url = str(build / "stores" / run["store"])
    predicted = np.load(file_of(build, run["data"], run["change"], run["seed"]))
    found: dict[str, Any] = {}
    for path in predicted.files:
        split, name, key = path.split("/")
        found.setdefault(key, {}).setdefault(split, []).append((predicted[path], truth(url, name)))
    return {key: {split: scores_of(of[split], run["data"]) for split in HELD_OUT} for key, of in found.items()}


def chosen_decodings(runs: list[dict[str, Any]], build: Path) -> dict[str, Any]:
    """For every training the decoding of CHOICES that is best on the validation images, and its test scores."""
    kept = build / "chosen.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for run in runs:
        key = f"{run['data']}/{run['change']}/{run['seed']}"
        if key not in found:
            found[key] = chosen_decoding(run, build)
            kept.write_text(json.dumps(found))
    return found


def chosen_decoding(run: dict[str, Any], build: Path) -> dict[str, Any]:
    """The best decoding of the last network of a training."""
    url = str(build / "stores" / run["store"])
    predicted = np.load(file_of(build, run["data"], run["change"], run["seed"]))
    last = [path for path in predicted.files if path.endswith(f"/{run['steps']}")]

    def scored(split: str, params: DecodingParams) -> Scores:
        images = ((predicted[path], truth(url, path.split("/")[1])) for path in last if path.startswith(split))
        decoded = ((separate_instances(p.astype(np.float32), params), t) for p, t in images)
        return sum((score_instances(labels, t) for labels, t in decoded), start=Scores())

    best = max(CHOICES, key=lambda params: scored("val", params).mean_ap)
    test = scored("test", best)
    scores = {"ap50": test.ap[0.5], "ap70": test.ap[0.7], "ap": test.mean_ap, "iou": test.pixels.iou}
    about = {"instances": best.instances, "threshold": best.threshold}
    return about | {name: round(value, 4) for name, value in scores.items()}


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
                adapted_rand_error(t, d, ignore_labels=(0,))[0]  # type: ignore[no-untyped-call]
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


def selection(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Test scores of the network that each rule takes from a training, for every training that kept some on the way."""
    found = []
    for run in runs:
        validated = {str(v["step"]): v for v in run["validated"]}
        steps = [key for key in run["scores"] if key in validated]
        if len(steps) > 1:
            of_val = {key: run["scores"][key]["val"] for key in steps}
            taken = {
                "last": str(run["steps"]),
                "loss": min(steps, key=lambda key: validated[key]["loss"]),
                "iou": max(steps, key=lambda key: of_val[key]["iou"]),
                "ap": max(steps, key=lambda key: of_val[key]["watershed_ap"]),
                "ema": "ema",
            }
            about = {key: run[key] for key in ("data", "change", "seed")}
            scores = {rule: run["scores"][key]["test"] for rule, key in taken.items() if key in run["scores"]}
            found.append(
                about
                | {"taken": taken, "ap50": {rule: s["watershed_ap50"] for rule, s in scores.items()}}
                | {"ap": {rule: s["watershed_ap"] for rule, s in scores.items()}}
            )
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
