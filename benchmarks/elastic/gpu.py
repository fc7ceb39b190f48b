"""Augmentation of a batch on a GPU, against the step of the full network that it is for.

    python -m benchmarks.elastic.gpu            on the GPU; writes gpu.json and GPU.md beside this file
    python -m benchmarks.elastic.gpu cpu 8      a trial where there is none: 8 channels, nothing is written

The paper's network (64 channels, tiles of 572) trains by SGD in bfloat16 on tensors that lie on the device. A tile is
deformed, turned and changed in its gray values, from uint8 with a margin of 48.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import described, machine, page, ratio, spread, write
from unetprep.kernels.random_fields import draw_grids
from unettrain import Augmentation, FitConfig, StoredFields, augment_batch, draw
from unettrain.stream.batches import Batch
from unettrain.trainer import Trainer

HERE = Path(__file__).parent
SIDE, OUTPUT, MARGIN = 572, 388, 48
BATCHES = (1, 4)
PAIRS = 21
MOST = 0.05


def stored(num: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tiles with their margin, as a store has them."""
    rng, outer, inner = np.random.default_rng(0), SIDE + 2 * MARGIN, OUTPUT + 2 * MARGIN
    image = rng.integers(0, 256, (num, 1, outer, outer), np.uint8)
    target = rng.integers(0, 2, (num, inner, inner), np.uint8)
    weights = rng.random((num, inner, inner), np.float32) + 1
    image_, target_, weights_ = (torch.from_numpy(a).to(device) for a in (image, target, weights))
    return image_, target_, weights_


def compare(num: int, device: torch.device, channels: int) -> dict[str, Any]:
    """One batch size."""
    fields = StoredFields(draw_grids(0, range(1000), (3, 3), 10.0))
    draws = [draw(Augmentation(), len(fields.grids), 0, 0, k) for k in range(num)]
    tiles = stored(num, device)
    intensity = torch.tensor([[0.0, 255.0]] * num, device=device)
    config = FitConfig(base_channels=channels, batch_size=num, amp="bf16", device=str(device))
    training = Trainer(config.network(1, 4), config, SIDE)

    def augment() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return augment_batch(draws, *tiles, fields, MARGIN, intensity=intensity)

    image, target, weights = augment()
    batch = Batch(image, target.long(), weights, torch.arange(num))
    return ratio(finished(augment, device), finished(lambda: training.update(batch), device), PAIRS)


def finished(call: Callable[[], Any], device: torch.device) -> Callable[[], None]:
    """The same, until the device is done with it."""

    def run() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def main(name: str = "cuda", channels: str = "64") -> None:
    """Measure, and write it down."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here: run this where there is one, with a build of torch for it")
    about = machine("torch")
    results: dict[str, Any] = {
        "machine": about | ({"processor": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
        "tile": SIDE,
        "channels": int(channels),
        "batches": {str(num): compare(num, device, int(channels)) for num in BATCHES},
    }
    if device.type != "cuda":
        print(results)
        return
    write(HERE / "gpu.json", results)
    (HERE / "GPU.md").write_text(as_page(results))


def as_page(found: dict[str, Any]) -> str:
    """The results as a page."""
    return page(
        "Augmentation on a GPU, measured",
        "benchmarks.elastic.gpu",
        "gpu.json",
        f"Against the step of the network of {found['channels']} channels in bfloat16 on tiles of {found['tile']};"
        f" at most {MOST} is what we want. {described(found)}.",
        "| tiles a batch | augmentation, ms | step, ms | augmentation / step |",
        [
            f"| {num} | {v['ours_seconds'] * 1e3:.2f} | {v['theirs_seconds'] * 1e3:.2f} | {spread(v)} |"
            for num, v in found["batches"].items()
        ],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
