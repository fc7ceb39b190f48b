"""The demo with several seeds: its commands as `make demo` runs them, and the scores of `unettrain report`.

    python -m benchmarks.accuracy.demo BUILD      writes benchmarks/results/demo.json; two minutes of CPU time a seed

The seeds differ in the initial network and in order and augmentation of the tiles; the images and their split are the
same. A build folder that has some of the seeds is continued.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import machine, write
from unettrain.reporting.summary_section import training_seconds
from unettrain.training_log import read_log

ROOT = Path(__file__).parents[2]
OUT = ROOT / "benchmarks/results/demo.json"
METHODS = ("trained", "untrained", "otsu")
SEEDS = (0, 1, 2)
PREPARING = ("fetch", "import", "weights", "deform", "tiles")
DIGITS = 4


def main() -> None:
    """Train with every seed, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    *preparing, fit = commands((ROOT / "Makefile").read_text(), asked.build)
    for words in preparing:
        run(words)
    write(asked.out, summary([train(fit, seed) for seed in asked.seeds], fit))


def commands(makefile: str, build: Path) -> list[list[str]]:
    """The commands of `make demo` that prepare the store, and last the one that trains; in `build` instead of demo/."""
    recipe = makefile.partition("\ndemo:")[2].partition("\n\n")[0].replace("\\\n", " ")
    found = [shlex.split(line.replace("demo/", f"{build}/")) for line in recipe.splitlines()]
    preparing = [words for words in found if words[:1] == ["unetprep"] and words[1] in PREPARING]
    return preparing + [words for words in found if words[:2] == ["unettrain", "fit"]]


def train(fit: Sequence[str], seed: int) -> dict[str, Any]:
    """Train with a seed; its scores, and the seconds that the training took."""
    words = list(fit)
    place = words.index("--run") + 1
    words[place] += f"-{seed}"
    run([*words, "--seed", str(seed)])
    scores: dict[str, Any] = json.loads(run(["unettrain", "report", words[place], "--json"]))["scores"]
    seconds = training_seconds(read_log(Path(words[place]) / "log.jsonl"))
    return {"seed": seed, "training_seconds": round(seconds, 1)} | scores


def run(words: Sequence[str]) -> str:
    """The standard output of a command of this project; stops with its messages if it fails."""
    print(shlex.join(words), file=sys.stderr, flush=True)
    program = Path(sys.executable).with_name(words[0])
    return subprocess.run([program, *words[1:]], check=True, stdout=subprocess.PIPE, text=True).stdout


def summary(runs: Sequence[dict[str, Any]], fit: Sequence[str]) -> dict[str, Any]:
    """What the scores rest on, those of each seed, and their mean and range."""
    first = runs[0]
    return {
        "machine": machine("numpy", "torch"),
        "fit": " ".join(fit[fit.index("--run") + 2 :]),
        "split": first["split"],
        "num_images": len(first["images"]),
        "num_cells": first["trained"]["cells"],
        "seeds": [found["seed"] for found in runs],
        "training_seconds": [found["training_seconds"] for found in runs],
        "means": {method: over_seeds([found[method] for found in runs]) for method in METHODS},
        "runs": [
            {"seed": found["seed"], "errors": found["errors"]}
            | {method: rounded(found[method]) for method in METHODS}
            for found in runs
        ],
    }  # fmt: skip


def over_seeds(scores: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, least and greatest of each main score."""
    values = {
        "iou": [found["iou"] for found in scores],
        "ap50": [found["ap"]["0.50"] for found in scores],
        "mean_ap": [found["mean_ap"] for found in scores],
    }
    return {
        name: {"mean": round(statistics.mean(of), DIGITS), "min": round(min(of), DIGITS), "max": round(max(of), DIGITS)}
        for name, of in values.items()
    }


def rounded(scores: Any) -> Any:
    """Scores with a few digits."""
    if isinstance(scores, dict):
        return {name: rounded(value) for name, value in scores.items()}
    return round(scores, DIGITS) if isinstance(scores, float) else scores


if __name__ == "__main__":
    main()
