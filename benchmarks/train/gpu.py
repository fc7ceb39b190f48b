"""A training step of the full network on a GPU: mixed precision and compilation against float32.

    python -m benchmarks.train.gpu            on the GPU; writes gpu.json and GPU.md beside this file
    python -m benchmarks.train.gpu cpu 4      a trial where there is none: 4 channels, nothing is written

The paper's network (64 channels, tiles of 572, 4 a step) trains with AdamW on tensors that lie on the GPU, each way in
turn with float32.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import described, machine, page, ratio, spread, write
from unettrain.config import FitConfig
from unettrain.stream.batches import Batch
from unettrain.trainer import Trainer

HERE = Path(__file__).parent
TILE_PX, OUTPUT_PX, TILES = 572, 388, 4
WAYS: dict[str, dict[str, Any]] = {
    "bf16": {"amp": "bf16"},
    "fp16": {"amp": "fp16"},
    "bf16, compiled": {"amp": "bf16", "compile": True},
    "float32 in 4 parts": {"accumulate": 4},
    "bf16, averaged weights": {"amp": "bf16", "ema": 0.999},
}
PAIRS, STEPS = 5, 10


def main(name: str = "cuda", channels: str = "64") -> None:
    """Measure, and write it down."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here: run this where there is one, with a build of torch for it")
    on_gpu = device.type == "cuda"
    batch, plain = make_batch(device), make_trainer(device, int(channels))
    cases = []
    for way, options in WAYS.items():
        if on_gpu or "compile" not in options:
            cases.append({"way": way} | compare(make_trainer(device, int(channels), **options), plain, batch, on_gpu))
            print(cases[-1], file=sys.stderr)
    about = machine("torch") | ({"processor": torch.cuda.get_device_name(device)} if on_gpu else {})
    if on_gpu:
        results = {"machine": about, "channels": int(channels), "tiles": TILES, "cases": cases}
        write(HERE / "gpu.json", results)
        (HERE / "GPU.md").write_text(as_page(results))


def make_batch(device: torch.device) -> Batch:
    """Random tiles with two classes."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((TILES, 1, TILE_PX, TILE_PX), generator=generator)
    target = torch.randint(0, 2, (TILES, OUTPUT_PX, OUTPUT_PX), generator=generator)
    weights = torch.rand((TILES, OUTPUT_PX, OUTPUT_PX), generator=generator) + 0.5
    return Batch(image.to(device), target.to(device), weights.to(device), torch.arange(TILES))


def make_trainer(device: torch.device, channels: int, **options: Any) -> Trainer:
    """A trainer of the full network."""
    chosen: dict[str, Any] = {
        "optimizer": "adamw",
        "learning_rate": 1e-4,
        "base_channels": channels,
        "batch_size": TILES,
    } | options
    config = FitConfig(device=str(device), **chosen)
    return Trainer(config.network(1, 4), config, TILE_PX)


def compare(ours: Trainer, plain: Trainer, batch: Batch, on_gpu: bool) -> dict[str, Any]:
    """Some steps of both in turn, and the peak memory of one of ours."""
    steps = STEPS if on_gpu else 1

    def stepping(trainer: Trainer) -> None:
        for _ in range(steps):
            trainer.update(batch)
        if on_gpu:
            torch.cuda.synchronize()

    found: dict[str, Any] = ratio(lambda: stepping(ours), lambda: stepping(plain), PAIRS if on_gpu else 1)
    found["step_ms"] = round(found["ours_seconds"] / steps * 1e3, 3)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        ours.update(batch)
        found["peak_mib"] = torch.cuda.max_memory_allocated() >> 20
    return found


def as_page(found: dict[str, Any]) -> str:
    """The results as a page."""
    return page(
        "Training steps on a GPU, measured",
        "benchmarks.train.gpu",
        "gpu.json",
        f"A step of the network of {found['channels']} channels, {found['tiles']} tiles of {TILE_PX}, against the same"
        f" step in float32. The peak holds both networks. {described(found)}.",
        "| way | step, ms | time / float32 | peak memory, MiB |",
        [f"| {v['way']} | {v['step_ms']:.1f} | {spread(v)} | {v['peak_mib']:,} |" for v in found["cases"]],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
