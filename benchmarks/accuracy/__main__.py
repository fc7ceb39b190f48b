"""Accuracy on held-out real images, from the files of a data set to a file of results.

    python -m benchmarks.accuracy DATA --data FOLDER [--size smoke|cpu|full] [--groups ours,peers,ablations]

DATA is isbi2012 or nuclei; FOLDER holds the files of the data sets in isbi2012 and dsb2018, whose pixels are compared
with the manifests. Every variant is trained for the same time with every seed, each training in a process of its own.
Trainings that have been made are kept in --build; the results are written to benchmarks/results/DATA.json, or of
another size than cpu, DATA-SIZE.json. `python -m benchmarks.accuracy.results` makes docs/results.md of them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.data import load
from benchmarks.accuracy.scoring import floor
from benchmarks.accuracy.variants import DATA, VARIANTS, Variant, variants
from benchmarks.measure import machine
from unetprep.fetching import verify_local

RESULTS = Path(__file__).parents[1] / "results"
FOLDS = 5
MANIFESTS = {"isbi2012": ("isbi2012", "isbi2012"), "nuclei": ("dsb2018-selection", "dsb2018")}
PEERS = ("monai", "dynamic-network-architectures", "batchgeneratorsv2", "stardist", "tensorflow-cpu")
GROUPS = tuple(dict.fromkeys(variant.group for variant in VARIANTS))


class Size(NamedTuple):
    """How long every training may take, with which seeds, and options that all methods get."""

    seconds: float
    seeds: tuple[int, ...]
    options: dict[str, Any]


SIZES = {
    "smoke": Size(4, (0,), {}),
    "cpu": Size(90, (0, 1, 2), {}),  # CPU time of one thread
    "full": Size(45, (0, 1, 2), {"device": "cuda"}),  # of a GPU: wall time
}


def main() -> None:
    """Make the trainings that are missing, and write the results."""
    asked = arguments()
    size, folds = SIZES[asked.size], range(FOLDS) if asked.folds else [FOLDS - 1]
    manifest, folder = MANIFESTS[asked.name]
    verify_local(manifest, asked.data / folder)
    build = asked.build / asked.size
    build.mkdir(parents=True, exist_ok=True)
    for fold, seed, variant in planned(asked.name, asked.groups, size, list(folds)):
        record = build / f"{asked.name}-{variant.name.replace(' ', '_')}-{fold}-{seed}.json"
        request = {
            "data": asked.name,
            "folder": str(asked.data),
            "fold": fold,
            "size": asked.size,
            "build": str(build / f"fold{fold}"),
            "variant": variant.name,
            "method": variant.method,
            "options": variant.options | size.options,
            "averaged": variant.averaged and asked.name == "isbi2012",
            "seed": seed,
            "budget_seconds": asked.seconds or size.seconds,
        }
        if not made(record, request):
            train(request, record)
        found = json.loads(record.read_text())
        print(summary(found), file=sys.stderr, flush=True)
    floors = {fold: floor(load(asked.name, asked.data, fold)) for fold in folds if asked.name == "isbi2012"}
    write_results(asked.name, asked.size, build, asked.results, floors)


def arguments() -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=DATA)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="cpu")
    parser.add_argument("--groups", type=lambda text: tuple(text.split(",")), default=("ours",))
    parser.add_argument("--folds", action="store_true", help="all five folds of isbi2012 instead of the last")
    parser.add_argument("--seconds", type=float, help="of each training, instead of those of the size")
    parser.add_argument("--build", type=Path, default=Path("build/accuracy"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"--groups: {', '.join(sorted(unknown))}; allowed are {', '.join(GROUPS)}")
    if asked.folds and asked.name != "isbi2012":
        parser.error("--folds: only isbi2012 has folds")
    return asked


def planned(name: str, groups: tuple[str, ...], size: Size, folds: list[int]) -> Iterator[tuple[int, int, Variant]]:
    """All trainings: each seed of all variants before the next, so that a run that is stopped has complete seeds."""
    for fold in folds:
        for seed in size.seeds:
            for variant in variants(groups, name):
                if all(map(find_spec, variant.packages)):
                    yield fold, seed, variant
                elif seed == size.seeds[0]:
                    print(f"{variant.name} is left out: {', '.join(variant.packages)} not installed", file=sys.stderr)


def made(record: Path, request: dict[str, Any]) -> bool:
    """Whether a training has been made with these options."""
    if not record.exists():
        return False
    found = json.loads(record.read_text())
    return bool(found["options"] == request["options"] and found["budget_seconds"] == request["budget_seconds"])


def train(request: dict[str, Any], record: Path) -> None:
    """Make a training in a process of its own, whose CPU time is that of the training."""
    Path(request["build"]).mkdir(parents=True, exist_ok=True)
    asked = record.with_suffix(".request.json")
    asked.write_text(json.dumps(request))
    subprocess.run([sys.executable, "-m", "benchmarks.accuracy.one", asked, record], check=True)


def summary(record: dict[str, Any]) -> str:
    """A training in a line."""
    scores = record["scores"]
    instances = scores["chosen" if "chosen" in scores else "instances"]
    ap = ", ".join(f"AP@{t} {instances['ap'][t]:.3f}" for t in ("0.50", "0.70"))
    rand = f", V_rand {scores['challenge']['v_rand']['best']:.4f}" if "challenge" in scores else ""
    return f"{record['variant']}, fold {record['fold']}, seed {record['seed']}: {record['steps']} steps, {ap}{rand}"


def write_results(name: str, size: str, build: Path, folder: Path, floors: dict[int, Any]) -> None:
    """Write all trainings of a data set and a size that have been made, those of earlier calls included."""
    found = [
        json.loads(path.read_text()) for path in sorted(build.glob(f"{name}-*.json")) if ".request" not in path.name
    ]
    order = {variant.name: k for k, variant in enumerate(VARIANTS)}
    found.sort(key=lambda record: (record["fold"], order[record["variant"]], record["seed"]))
    results = {
        "data": name,
        "size": size,
        "machine": machine("numpy", "torch", *filter(is_installed, PEERS)),
        "variants": {variant.name: {"about": variant.about, "group": variant.group} for variant in VARIANTS},
        "floor": floors,  # of each fold: true labels of the slice before
        "runs": found,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (f"{name}.json" if size == "cpu" else f"{name}-{size}.json")
    file.write_text(json.dumps(results, indent=1) + "\n")


def is_installed(package: str) -> bool:
    """Whether a package is installed; those of the peers need not be."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
