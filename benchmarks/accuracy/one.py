"""One training in a process of its own, which `benchmarks.accuracy` starts: reads a request, writes a record.

python -m benchmarks.accuracy.one REQUEST.json RECORD.json
"""

import hashlib
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.data import Splits, load, smaller
from benchmarks.accuracy.methods.trained import Trained
from benchmarks.accuracy.scoring import score

KEPT = ("data", "fold", "size", "variant", "seed", "options", "budget_seconds")


def main(request_file: str, record_file: str) -> None:
    """Train, predict and score what a request asks for."""
    request = json.loads(Path(request_file).read_text())
    splits = load(request["data"], Path(request["folder"]), request["fold"])
    if request["size"] == "smoke":
        splits = smaller(splits)
    train = import_module(f"benchmarks.accuracy.methods.{request['method']}").train
    build = Path(request["build"])
    trained = train(splits, request["seed"], request["budget_seconds"], build, **request["options"])
    record = {key: request[key] for key in KEPT}
    record |= record_of(trained, splits)
    written = Path(record_file).with_suffix(".part")
    written.write_text(json.dumps(record))
    written.rename(record_file)


def record_of(trained: Trained, splits: Splits) -> dict[str, Any]:
    """Predict the validation and test images, and score them."""
    start = time.process_time()
    val, test = ([trained.predict(sample.image) for sample in splits.of(split)] for split in ("val", "test"))
    seconds = time.process_time() - start
    return {
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "predict_seconds": round(seconds, 1),
        "parameters": trained.num_parameters,
        "about": trained.about,
        "images": {split: len(splits.of(split)) for split in ("train", "val", "test")},
        "fingerprint": fingerprint(splits),
        "scores": score(splits, val, test),
    }


def fingerprint(splits: Splits) -> str:
    """SHA-256 of names, images and labels of all splits, in order."""
    digest = hashlib.sha256()
    for split in ("train", "val", "test"):
        for sample in splits.of(split):
            digest.update(f"{split}/{sample.name}/{sample.image.shape}".encode())
            digest.update(np.ascontiguousarray(sample.image).tobytes())
            digest.update(np.ascontiguousarray(sample.labels).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
