"""A step of the training, against a bare torch loop over the same layers: time, peak memory, and all that `fit` adds.

    python -m benchmarks.train.stepping FOLDER [CHANNELS ...]      writes stepping.json beside this file

Tiles of 572, one a step, one thread. Forward and backward through both in turn; the same in processes of their own, for
their peak memory; and `fit` on streamed and augmented tiles, between blocks of whose steps the bare loop makes as many
on a tile in memory. Ratios are of CPU time, as other work on the machine does not count there, and of wall time.
"""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import machine, run_process, write
from benchmarks.stream.stepping import make_store
from benchmarks.train import bare
from unettrain.config import FitConfig, UNetConfig
from unettrain.loss import weighted_cross_entropy
from unettrain.model import UNet
from unettrain.stream.tile_stream import TileStream
from unettrain.training_loop import Progress, fit

HERE = Path(__file__).parent
TILE_PX, OUTPUT_PX, DROPOUT = 572, 388, 0.5
CHANNELS = (8, 16)
PAIRS = 9  # of forward and backward, of each two steps
BLOCKS, BLOCK = 7, 4  # of steps of `fit`
SIDE, CELLS = 2048, 5000  # of the image whose tiles are streamed

Times = tuple[float, float]  # CPU and wall seconds
Step = Callable[[], None]


def main(folder: str, *channels: str) -> None:
    """Measure, and write it down."""
    torch.set_num_threads(1)
    where = Path(folder)
    shutil.rmtree(where, ignore_errors=True)
    url = make_store(str(where / "cells.zarr"), "lz4", SIDE, CELLS)
    found = {}
    for base in map(int, channels or map(str, CHANNELS)):
        print(f"{base} channels", file=sys.stderr)
        found[str(base)] = {
            "passes": compared(*passes(base)),
            "peak_mib": {who: peak(who, base) for who in ("ours", "bare")},
            "fit": fitted(url, where / f"run{base}", base),
        }
    shutil.rmtree(where)
    write(HERE / "stepping.json", {"machine": machine("numpy", "torch"), "tile_px": TILE_PX, "channels": found})


def timed(step: Step) -> Times:
    """CPU and wall seconds of a step, all threads together."""
    begun = time.process_time(), time.perf_counter()
    step()
    return time.process_time() - begun[0], time.perf_counter() - begun[1]


def compared(ours: Step, theirs: Step) -> dict[str, Any]:
    """Both in turn. The first pair is not counted."""
    return ratios([(timed(ours), timed(theirs)) for _ in range(PAIRS + 1)][1:])


def ratios(pairs: list[tuple[Times, Times]]) -> dict[str, Any]:
    """Median and range of ours / theirs, and the median seconds of both, by CPU and wall time."""
    found: dict[str, Any] = {"pairs": len(pairs)}
    for k, kind in enumerate(("cpu", "wall")):
        each = [ours[k] / theirs[k] for ours, theirs in pairs]
        seconds = [median(times[k] for times in side) for side in zip(*pairs, strict=True)]
        of_kind = dict(zip(("ratio", "ratio_min", "ratio_max"), (median(each), min(each), max(each)), strict=True))
        of_kind |= {"ours_seconds": seconds[0], "theirs_seconds": seconds[1]}
        found[kind] = {name: round(value, 4) for name, value in of_kind.items()}
    return found


# -- forward and backward ---------------------------------------------------------------------------------------------


def passes(base: int) -> tuple[Step, Step]:
    """Forward, loss and backward through our network, and through the bare loop with the same weights."""
    model = UNet(UNetConfig(base_channels=base, dropout=DROPOUT)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layers = bare.weights_of(model)
    batch = sample()
    torch.manual_seed(0)
    expected = model(batch[0])
    torch.manual_seed(0)
    assert torch.equal(bare.scores(batch[0], layers, model.config.depth, DROPOUT), expected)
    del expected
    return lambda: our_pass(model, *batch), lambda: bare_pass(layers, model.config.depth, *batch)


def sample() -> tuple[Tensor, Tensor, Tensor]:
    """A tile: image, target and weights."""
    torch.manual_seed(0)
    image = torch.rand(1, 1, TILE_PX, TILE_PX).contiguous(memory_format=torch.channels_last)
    return image, torch.randint(2, (1, OUTPUT_PX, OUTPUT_PX)), torch.rand(1, OUTPUT_PX, OUTPUT_PX)


def our_pass(model: UNet, image: Tensor, target: Tensor, weights: Tensor) -> None:
    """Forward, loss and backward of our network."""
    model.train()
    model.zero_grad()
    weighted_cross_entropy(model(image), target, weights).backward()  # type: ignore[no-untyped-call]


def bare_pass(layers: list[bare.Layer], depth: int, image: Tensor, target: Tensor, weights: Tensor) -> None:
    """Forward, loss and backward of the bare loop."""
    for parameter in (p for layer in layers for p in layer):
        parameter.grad = None
    bare.loss_of(bare.scores(image, layers, depth, DROPOUT), target, weights).backward()  # type: ignore[no-untyped-call]


# -- memory -----------------------------------------------------------------------------------------------------------


def peak(who: str, base: int) -> float:
    """The most memory that a process holds that makes two passes of one of the two."""
    call = f"from benchmarks.train.stepping import hold; hold({who!r}, {base})"
    return round(run_process(["-c", call])["peak_mib"], 1)


def hold(who: str, base: int) -> None:
    """Make two passes of one of the two, and let the other one go before."""
    torch.set_num_threads(1)
    model = UNet(UNetConfig(base_channels=base, dropout=DROPOUT)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch, layers, depth = sample(), bare.weights_of(model) if who == "bare" else [], model.config.depth
    model = None if who == "bare" else model
    for _ in range(2):
        our_pass(model, *batch) if model else bare_pass(layers, depth, *batch)


# -- fit --------------------------------------------------------------------------------------------------------------


def fitted(url: str, run: Path, base: int) -> dict[str, Any]:
    """Blocks of steps of `fit`, each followed by as many of the bare loop with plain SGD on a tile in memory."""
    steps = BLOCK * (BLOCKS + 2)  # the first block warms up, and the last step of all also validates
    config = FitConfig(base_channels=base, steps=steps, validate_every=steps, threads=1, device="cpu", dropout=DROPOUT)
    bare_step, pairs = plain_training(url, config), []
    begun: list[Times] = []

    def bare_block() -> None:
        for _ in range(BLOCK):
            bare_step()

    def compare(progress: Progress) -> None:
        if progress.step % BLOCK or progress.step == steps:
            return
        now = time.process_time(), time.perf_counter()
        ours = (now[0] - begun[-1][0], now[1] - begun[-1][1]) if begun else None
        theirs = timed(bare_block)
        if ours:
            pairs.append((ours, theirs))
        begun.append((time.process_time(), time.perf_counter()))

    fit(url, run, config, on_progress=compare)
    return ratios(pairs) | {"steps_in_a_block": BLOCK}


def plain_training(url: str, config: FitConfig) -> Step:
    """One update of the bare loop after the other, on one tile in memory."""
    batch = TileStream.of(url, config).batch(0)
    layers = bare.weights_of(UNet(config.network(1, 4)).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    optimizer = torch.optim.SGD([p for layer in layers for p in layer], config.learning_rate, config.momentum)
    image = batch.image.clone(memory_format=torch.channels_last)
    target, weights = batch.target.clone(), batch.weights.clone()

    def step() -> None:
        bare_pass(layers, 4, image, target, weights)
        optimizer.step()

    return step


if __name__ == "__main__":
    main(*sys.argv[1:])
