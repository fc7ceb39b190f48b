"""The recipe by measurement: short trainings with one change at a time, on three data sets with three seeds each.

    python -m benchmarks.train.recipe BUILD --data FOLDER      trains what is missing, until --minutes are over

Every training writes a line of BUILD/runs.jsonl and its probabilities, BUILD/probabilities/*.npz, of the validation and
test images. `benchmarks.train.recipe_scores` decodes and scores them, and writes recipe.json beside this file.
"""

import argparse
import json
import sys
import time
from contextlib import closing
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.train.changes import BASE, CHANGES, Change
from benchmarks.train.data_sets import DATA_SETS, DataSet, images_of, make_store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import FitConfig
from unettrain.data.opening import open_image
from unettrain.model import UNet
from unettrain.prediction.image import predict_image
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer

SEEDS = (0, 1, 2)
EVERY = 100  # steps between the networks that may be selected
EMA_DECAY = 0.98
HELD_OUT = ("val", "test")


def main() -> None:
    """Train what is missing, in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with dsb2018, isbi2012 and usiigaci")
    parser.add_argument("--minutes", type=float, default=65, help="no training begins later")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    (asked.build / "probabilities").mkdir(parents=True, exist_ok=True)
    log = asked.build / "runs.jsonl"
    done = {(run["data"], run["change"], run["seed"]) for run in read_runs(log)}
    for change, seed, data in planned():
        if time.monotonic() - begun > 60 * asked.minutes:
            print("the time is over", file=sys.stderr)
            return
        if (data.name, change.name, seed) not in done:
            found = train(data, change, seed, asked.data, asked.build)
            with log.open("a") as lines:
                print(json.dumps(found), file=lines)
            print(found["data"], found["change"], found["seed"], found["seconds"], file=sys.stderr, flush=True)


def planned() -> list[tuple[Change, int, DataSet]]:
    """All trainings, in the order in which they are made: the next seed once every change has the one before it.

    Changes of turn 0 have all seeds before the others, those of turn 2 and long trainings after them.
    """
    every = [
        (change, seed, data)
        for seed, change, data in product(SEEDS, CHANGES, DATA_SETS)
        if not change.only or data.name in change.only
    ]
    shortest = min(data.steps for data in DATA_SETS)
    return sorted(every, key=lambda run: run[0].turn + (run[0].turn > 0 and run[1] > 0 and run[2].steps > shortest))


def read_runs(log: Path) -> list[dict[str, Any]]:
    """The trainings made so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def file_of(build: Path, data: str, change: str, seed: int) -> Path:
    """Where the probabilities of a training are kept."""
    return build / "probabilities" / f"{data}-{change.replace(' ', '_').replace('.', '')}-{seed}.npz"


def train(data: DataSet, change: Change, seed: int, folder: Path, build: Path) -> dict[str, Any]:
    """Make one training; keep the probabilities of its last network, and of those on the way if it selects."""
    url = make_store(data, change.variant, folder, build)
    config = FitConfig(**{**BASE, "steps": data.steps, **change.options, "seed": seed})
    start, stream = time.process_time(), TileStream.of(url, config)
    tiles = stream.tiles
    trainer = Trainer(config.network(tiles.num_channels, tiles.depth), config, tiles.tile_px, tiles.training_images())
    validation = TileStream(url, "val", augmentation=NO_AUGMENTATION, num_steps=len(tiles.indices("val")))
    averaged = deepcopy(trainer.model)
    kept: dict[str, Any] = {}
    losses: list[float] = []
    validated = []
    with closing(stream.batches(0, config.steps)) as batches:
        for batch in batches:
            trainer.update(batch)
            average(averaged, trainer.model)
            losses.append(trainer.pending_loss or 0.0)
            if change.selects and trainer.step % EVERY == 0 and trainer.step < config.steps:
                kept |= probabilities(trainer.model, url, str(trainer.step))
                validated.append(validate(trainer, validation))
    validated.append(validate(trainer, validation))
    kept |= probabilities(trainer.model, url, str(config.steps))
    if change.selects:
        kept |= probabilities(averaged, url, "ema")
    np.savez(file_of(build, data.name, change.name, seed), **kept)
    return {
        "data": data.name,
        "change": change.name,
        "seed": seed,
        "steps": config.steps,
        "store": Path(url).name,
        "training_tiles": len(tiles.indices("train")),
        "seconds": round(time.process_time() - start, 1),
        "losses": [round(float(np.mean(losses[k : k + 20])), 4) for k in range(0, len(losses), 20)],
        "validated": validated,
    }


@torch.no_grad()
def average(averaged: UNet, model: UNet) -> None:
    """Move the exponential moving average of the weights on by one step."""
    for ours, theirs in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - EMA_DECAY)
        else:
            ours.copy_(theirs)


def validate(trainer: Trainer, stream: TileStream) -> dict[str, float]:
    """The validation of `fit`."""
    found = trainer.validate(stream)
    return {
        "step": trainer.step,
        "loss": round(found.loss, 5),
        "iou": round(found.cells.iou, 5),
        "ap": round(found.ap or 0.0, 5),
    }


def probabilities(model: UNet, url: str, key: str) -> dict[str, Any]:
    """Foreground probability (z, y, x) of every validation and test image, by SPLIT/NAME/KEY."""
    found = {}
    for split in HELD_OUT:
        for name in images_of(url, split):
            image = open_image(url, name)
            predicted = predict_image(model, image.pixels, image.intensity, tile_for(image.pixels.shape[-2:]))
            found[f"{split}/{name}/{key}"] = (1 - predicted[0]).astype(np.float16)
    return found


def tile_for(sides: tuple[int, ...]) -> int:
    """The tile that predicts an image at once; the prediction does not depend on it."""
    return 16 * -(-max(sides) // 16) + 188


if __name__ == "__main__":
    main()
