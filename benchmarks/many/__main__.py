"""Many small images and one large one: whole commands of unetprep beside plain scripts and nnU-Net.

    python -m benchmarks.many --out benchmarks/many/results.json [--nnunet PATH] [--folder FOLDER] [--trial]

PATH is the command nnUNetv2_plan_and_preprocess of another environment; without it that comparison is left out.
FOLDER (build/many) holds the data, 12 GB, and is removed at the end. With --trial all sizes are small.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.many.comparisons import (
    KINDS,
    TRIAL,
    Sizes,
    Work,
    against_nnunet,
    folder_of,
    large_image,
    memory,
    two_workers,
)
from benchmarks.measure import machine, write


def compare(folder: Path, sizes: Sizes, nnunet: str | None) -> dict[str, Any]:
    """Every comparison, in a new folder that is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work, start = Work(folder.resolve(), sizes), time.perf_counter()
    found: dict[str, Any] = {"repeats": sizes.repeats, "repeats_of_many": sizes.repeats_of_many, "folders": []}

    def done(what: str) -> None:
        print(f"{time.perf_counter() - start:5.0f} s  {what}", file=sys.stderr)

    for num in (sizes.few, sizes.many):
        for kind in KINDS:
            found["folders"].append(folder_of(work, kind, num))
            done(f"{num} images, {kind}")
    found["large"] = large_image(work)
    done("one large image")
    if nnunet:
        found["nnunet"] = against_nnunet(work, nnunet)
        done("nnU-Net")
    found["two_workers"] = two_workers(work)
    done("two workers")
    found["memory"] = memory(work)
    done("memory")
    shutil.rmtree(folder)
    return found


def main() -> None:
    """Run all once with small sizes, so that everything is compiled and checked; then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nnunet")
    parser.add_argument("--folder", type=Path, default=Path("build/many"))
    parser.add_argument("--trial", action="store_true")
    options = parser.parse_args()
    found = compare(options.folder, TRIAL, options.nnunet if options.trial else None)
    if not options.trial:
        found = compare(options.folder, Sizes(), options.nnunet)
    about = machine("numpy", "numba", "tifffile", "zarr", "imagecodecs")
    write(options.out, {"machine": about, **found})


if __name__ == "__main__":
    main()
