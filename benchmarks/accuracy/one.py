"""One training in a process of its own, which `benchmarks.accuracy` starts: reads a request, writes a record.

python -m benchmarks.accuracy.one REQUEST.json RECORD.json
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.data import Splits, load, smaller
from benchmarks.accuracy.methods.trained import Trained
from benchmarks.accuracy.scoring import score

Predict = Callable[[NDArray[np.uint8]], NDArray[Any]]
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
    record |= record_of(trained, splits, request["averaged"])
    written = Path(record_file).with_suffix(".part")
    written.write_text(json.dumps(record))
    written.rename(record_file)


def record_of(trained: Trained, splits: Splits, with_average: bool) -> dict[str, Any]:
    """Predict the validation and test images, and score them; `with_average`, also averages over turned images."""
    start = time.process_time()
    scores = scores_of(trained.predict, splits)
    seconds = time.process_time() - start
    if with_average:
        scores["averaged"] = scores_of(partial(averaged, trained.predict), splits)
    return {
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "predict_seconds": round(seconds, 1),
        "parameters": trained.num_parameters,
        "about": trained.about,
        "images": {split: len(splits.of(split)) for split in ("train", "val", "test")},
        "fingerprint": fingerprint(splits),
        "scores": scores,
    }


def scores_of(predict: Predict, splits: Splits) -> dict[str, Any]:
    """Scores of the test images; validation images choose the decoding."""
    val, test = ([predict(sample.image) for sample in splits.of(split)] for split in ("val", "test"))
    return score(splits, val, test)


def averaged(predict: Predict, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean prediction over the turns of an image by multiples of 90 degrees and their mirror images, turned back."""
    found = [
        np.rot90(predict(np.ascontiguousarray(np.rot90(image, turns)[:, ::mirror]))[:, ::mirror], -turns)
        for turns in range(4)
        for mirror in (1, -1)
    ]
    return np.asarray(np.mean(found, axis=0), np.float32)


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
