"""Training the full network on streamed tiles, against the same step on tensors that lie on the GPU.

    python -m benchmarks.stream.gpu FOLDER            on the GPU; writes gpu.json and GPU.md beside this file
    python -m benchmarks.stream.gpu FOLDER cpu 4      a trial where there is none: 4 channels, nothing is written

The paper's network (64 channels, tiles of 572) trains by SGD in bfloat16. Tiles come from a store of generated cells,
deformed, turned and changed in their gray values, by the threads that read them or on the device.
"""

import shutil
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import described, machine, page, ratio, spread, write
from benchmarks.stream.stepping import KEPT, make_store
from unettrain.config import Augmentation, FitConfig
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer

HERE = Path(__file__).parent
CASES = ((1, "threads"), (1, "device"), (4, "threads"), (4, "device"))  # tiles a step, and where they are augmented
PAIRS, STEPS = 7, 20
MOST = 1.02


def compare(url: str, num: int, augment_on: str, device: torch.device, channels: int) -> dict[str, Any]:
    """One batch size and one place of augmentation."""
    config = FitConfig(base_channels=channels, batch_size=num, amp="bf16", device=str(device))
    training = Trainer(config.network(1, 4), config, 572)
    stream = TileStream(
        url,
        batch_size=num,
        augmentation=Augmentation(),
        device=device if augment_on == "device" else None,
    )
    steps = STEPS if device.type == "cuda" else 2
    with closing(stream.batches(0)) as batches:
        kept = [Batch(*(t.to(device, copy=True) for t in vars(b).values())) for b in islice(batches, KEPT)]

        def streamed() -> None:
            for batch in islice(batches, steps):
                training.update(batch)

        def there() -> None:
            for k in range(steps):
                training.update(kept[k % KEPT])

        found: dict[str, Any] = ratio(streamed, there, PAIRS)
        if device.type == "cuda":
            found["idle"] = idle_share(streamed)
    found |= {"tiles": num, "augment_on": augment_on, "threads": stream.num_threads}
    return found | {"step_ms": round(found["theirs_seconds"] / steps * 1e3, 3)}


def idle_share(run: Any) -> float:
    """Of the time of some steps, that in which no kernel ran on the GPU."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    spans = sorted(
        (event.time_range.start, event.time_range.end) for event in profile.events() if event.device_type.name == "CUDA"
    )
    busy, until = 0.0, 0.0
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return round(1 - busy / 1e6 / seconds, 4)


def main(where: str, name: str = "cuda", channels: str = "64") -> None:
    """Measure, and write it down."""
    device, folder = torch.device(name), Path(where)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here: run this where there is one, with a build of torch for it")
    shutil.rmtree(folder, ignore_errors=True)
    url = make_store(str(folder / "ds.zarr"), "lz4")
    about = machine("torch")
    results: dict[str, Any] = {
        "machine": about | ({"processor": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
        "channels": int(channels),
        "cases": [],
    }
    for num, augment_on in CASES:
        results["cases"].append(compare(url, num, augment_on, device, int(channels)))
        print(results["cases"][-1], file=sys.stderr)
    shutil.rmtree(folder)
    if device.type == "cuda":
        write(HERE / "gpu.json", results)
        (HERE / "GPU.md").write_text(as_page(results))


def as_page(found: dict[str, Any]) -> str:
    """The results as a page."""
    return page(
        "Training on streamed tiles on a GPU, measured",
        "benchmarks.stream.gpu",
        "gpu.json",
        f"The step of the network of {found['channels']} channels in bfloat16 on streamed tiles of 572, against the"
        f" same step on tensors that lie on the GPU; at most {MOST} is what we want. {described(found)}.",
        "| tiles a step | augmented on | threads | step, ms | streamed / there | GPU idle |",
        [
            f"| {v['tiles']} | {v['augment_on']} | {v['threads']} | {v['step_ms']:.1f} | {spread(v)}"
            f" | {v['idle']:.1%} |"
            for v in found["cases"]
        ],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
