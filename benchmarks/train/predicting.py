"""Seamless prediction against MONAI's SlidingWindowInferer: time, memory and seams; memory by the size of the image.

    python -m benchmarks.train.predicting OUT.json [--side 4096] [--base-channels 8] [--pairs 3]

Both predict an image in memory on the CPU with one thread, each run in a process of its own: MONAI into an array in
memory, we into the resumable file of scores in which `unettrain predict` keeps those of an image of this size.
MONAI predicts with our network, its 3x3 convolutions padded, as its inferer needs (the same widths and weights, in
channels-last), by windows of 512 x 512. Times are of the CPU, of all threads of the process, since the machine may be
shared; the wall's are given too. Memory is the peak of the process less what it held before the prediction: image,
network and libraries.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from benchmarks.measure import machine, write
from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.prediction.averaging import ScoreTask, probabilities, summed_scores
from unettrain.prediction.files import predict_files
from unettrain.prediction.whole import whole_scores
from unettrain.prediction.work_folder import WorkFolder

WINDOW_PX = 512
OVERLAPS = {"monai_0.25": (0.25, "constant"), "monai_0.5": (0.5, "gaussian")}
SEAM_SIDE = 1024
SIDES = (2048, 4096, 8192, 16384)


def cells(side: int, first: int = 0, rows: int | None = None) -> NDArray[np.uint8]:
    """Rows of an image of round cells on a noisy ground."""
    rows = side if rows is None else rows
    y, x = np.ogrid[first : first + rows, :side]
    waves = np.sin(y / 9.0) * np.sin(x / 11.0) + 0.5 * np.sin(y / 31.0 + x / 23.0)
    noise = np.random.default_rng(first).normal(0, 15, (rows, side))
    return np.clip(90 + 60 * waves + noise, 0, 255).astype(np.uint8)


def network(base_channels: int, padding: str = "valid") -> UNet:
    """A network that nobody trained."""
    model = UNet(UNetConfig(base_channels=base_channels, padding=padding), seed=1).eval()
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


# -- what a process of its own measures -------------------------------------------------------------------------------


def ours(base_channels: int, image: NDArray[np.float32], amp: str = "none") -> Callable[[], Any]:
    """Our prediction of an image (c, z, y, x)."""
    task = ScoreTask(network(base_channels), image, (0.0, 1.0), amp=amp)

    def predict() -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder, WorkFolder(Path(folder, "p.tif"), "") as work:
            return summed_scores(task, work).read(0, slice(0, SEAM_SIDE), slice(0, SEAM_SIDE))

    return predict


def theirs(base_channels: int, image: NDArray[np.float32], overlap: float, mode: str) -> Callable[[], Any]:
    """MONAI's prediction of an image (c, z, y, x)."""
    from monai.inferers import SlidingWindowInferer

    model, tensor = network(base_channels, "same"), torch.from_numpy(image[:, 0][None])
    inferer = SlidingWindowInferer((WINDOW_PX, WINDOW_PX), sw_batch_size=1, overlap=overlap, mode=mode)
    return lambda: inferer(tensor, model)


def measured(method: str, side: int, base_channels: int) -> dict[str, float]:
    """Time and memory of one prediction, in this process."""
    torch.set_num_threads(1)
    image = (cells(side) / np.float32(255)).astype(np.float32)[None, None]
    small = np.ascontiguousarray(image[:, :, :WINDOW_PX, :WINDOW_PX])

    def call(of: NDArray[np.float32]) -> Callable[[], Any]:
        if method.startswith("ours"):
            return ours(base_channels, of, method.partition("_")[2] or "none")
        return theirs(base_channels, of, *OVERLAPS[method])

    with torch.inference_mode():
        call(small)()  # loads what is loaded once
        predict = call(image)
        before = _peak_mib(reset=True)
        cpu, wall = time.process_time(), time.perf_counter()
        predict()
        found = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return found | {"peak_mib": _peak_mib(), "more_mib": _peak_mib() - before}


def _peak_mib(*, reset: bool = False) -> float:
    """The peak of the memory of this process; since now, where `reset`."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def bright_parts(base_channels: int) -> UNet:
    """A network whose foreground is where an image is bright, after four means of 3 x 3 pixels."""
    model = network(base_channels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for block, skip in ((model.down[0], 0), (model.merge[0], base_channels)):  # of [upsampled, skip]
            for k, channel in ((0, skip), (2, 0)):
                block[k].weight[0, channel] = 1 / 9  # type: ignore[index]
        model.head.weight[1, 0] = 60.0
        model.head.bias[1] = -30.0  # type: ignore[index]
    return model


def in_file(side: int, base_channels: int) -> dict[str, float]:
    """Time and memory of the prediction of a file into a file of labels, with its decoding, in this process."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place, model = Path(folder), bright_parts(base_channels)
        save_checkpoint(place / "net.pt", Checkpoint(model.config, model.state_dict(), 572, 0, 0))
        for size, name in ((512, "small.tif"), (side, "image.tif")):
            rows = (cells(size, y, 256) for y in range(0, size, 256))
            bands = (band[:, x : x + 256] for band in rows for x in range(0, size, 256))
            tifffile.imwrite(place / name, bands, shape=(size, size), dtype=np.uint8, tile=(256, 256))
        predict_files(place / "net.pt", place / "small.tif", place / "small-out.tif", threads=1)
        before = _peak_mib(reset=True)
        cpu, wall = time.process_time(), time.perf_counter()
        done = predict_files(place / "net.pt", place / "image.tif", place / "out.tif", threads=1)
        found = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        counted = {"num_instances": float(done.num_instances or 0)}
    return found | counted | {"peak_mib": _peak_mib(), "more_mib": _peak_mib() - before}


# -- comparison -------------------------------------------------------------------------------------------------------


def run_apart(*words: str) -> dict[str, float]:
    """What a process of its own measures."""
    line = [sys.executable, "-m", "benchmarks.train.predicting", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(" ".join(words), found, file=sys.stderr, flush=True)
    return found


def seams(base_channels: int) -> dict[str, float]:
    """The largest difference of the foreground probability from that of the whole image as one tile of the network."""
    image = (cells(SEAM_SIDE) / np.float32(255)).astype(np.float32)[None, None]
    found = {}
    with torch.inference_mode():
        scores = summed_scores(ScoreTask(network(base_channels), image, (0.0, 1.0), tile_px=572))
        whole = whole_scores(network(base_channels), image[:, 0], (0.0, 1.0))
        tiled = probabilities(scores.read(0, slice(None), slice(None)))
        found["ours"] = float(abs(tiled - probabilities(whole[1:] - whole[:1])).max())
        padded = network(base_channels, "same")(torch.from_numpy(image[:, 0][None])).softmax(1)[0, 1]
        for name, (overlap, mode) in OVERLAPS.items():
            predicted = theirs(base_channels, image, overlap, mode)().softmax(1)[0, 1]
            found[name] = float((predicted - padded).abs().max())
    return found


def half_precision(base_channels: int) -> dict[str, float]:
    """The differences of the foreground probability in bfloat16 from that in float32."""
    image = (cells(SEAM_SIDE) / np.float32(255)).astype(np.float32)[None, None]
    whole, half = (probabilities(ours(base_channels, image, amp)()) for amp in ("none", "bf16"))
    difference = abs(half - whole)
    return {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "foreground_changed": float(((half >= 0.5) != (whole >= 0.5)).mean()),
    }


def compared(side: int, base_channels: int, pairs: int) -> dict[str, Any]:
    """All methods in turn, `pairs` times; ratios to ours within each turn."""
    methods = ("ours", "ours_bf16", *OVERLAPS)
    turns = [
        {m: run_apart("one", m, "--side", str(side), "--base-channels", str(base_channels)) for m in methods}
        for _ in range(pairs)
    ]
    found: dict[str, Any] = {"side": side, "base_channels": base_channels, "pairs": pairs}
    for method in methods:
        values = {key: statistics.median(turn[method][key] for turn in turns) for key in turns[0][method]}
        values["megapixels_per_cpu_second"] = side**2 / 1e6 / values["cpu_seconds"]
        found[method] = {key: round(value, 3) for key, value in values.items()}
    for method in methods[1:]:
        for key in ("cpu_seconds", "wall_seconds", "more_mib"):
            ratios = [turn[method][key] / turn["ours"][key] for turn in turns]
            found[f"{method}_to_ours_{key}"] = [round(f(ratios), 3) for f in (statistics.median, min, max)]
    return found


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", help="the JSON file to write; or, within a process of its own: one, file")
    parser.add_argument("method", nargs="?", default="")
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--base-channels", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--largest", type=int, default=SIDES[-1], help="the largest side whose memory is measured")
    parser.add_argument("--parts", default="compared,memory", help="what is measured anew; the rest of the file stays")
    a = parser.parse_args()
    if a.what in ("one", "file"):
        found = measured(a.method, a.side, a.base_channels) if a.what == "one" else in_file(a.side, a.base_channels)
        print(json.dumps(found))
        return
    torch.set_num_threads(1)
    out = Path(a.what)
    before: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    packages = ("torch", "monai", "numpy") if "compared" in a.parts else ("torch", "numpy")
    results: dict[str, Any] = {"machine": before.get("machine", {}) | machine(*packages)}
    if "compared" in a.parts:
        results["compared"] = compared(a.side, a.base_channels, a.pairs)
        results["largest_seam"] = {k: float(f"{v:.2g}") for k, v in seams(a.base_channels).items()}
        results["bf16_difference"] = {k: float(f"{v:.2g}") for k, v in half_precision(a.base_channels).items()}
    if "memory" in a.parts:
        sizes = [str(side) for side in SIDES if side <= a.largest]
        results["memory_by_side"] = {
            side: {k: round(v, 2) for k, v in run_apart("file", "--side", side, "--base-channels", "4").items()}
            for side in sizes
        }
    write(out, before | results)


if __name__ == "__main__":
    main()
