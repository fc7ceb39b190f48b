"""What hot pixels do to a prediction, with and without clipping of the scaled values.

python -m benchmarks.intensity.hot_pixels RUN STORE IMAGE     writes hot_pixels.json, and prints the table

RUN is a training run on images whose values fit into 8 bits, IMAGE the name of an image of STORE with labels.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks.measure import machine, write
from unetprep.kernels.intensity_rules import CLIP
from unettrain.checkpoint import load_checkpoint
from unettrain.data.intensity import intensity_range
from unettrain.metrics.components import label_components
from unettrain.metrics.instances import average_precision
from unettrain.metrics.overlap import overlap
from unettrain.model import UNet
from unettrain.prediction.image import predict_image

HERE = Path(__file__).parent
CLIPS = {"none": (-np.inf, np.inf), "-1..2": (-1.0, 2.0), "-0.5..1.5": CLIP, "0..1": (0.0, 1.0)}


def main(run: str, store: str, name: str) -> None:
    """Predict with 0, 1, 10 and 100 hot pixels of 65535."""
    image = np.asarray(_array(store, f"images/{name}/image")[:]).astype(np.uint16)
    labels = np.asarray(_array(store, f"images/{name}/labels/instances/instances")[:])[0]
    model = load_checkpoint(Path(run) / "best.pt").build()
    found = {
        clip: {str(number): scores(model, faulty(image, number), labels, limits) for number in (0, 1, 10, 100)}
        for clip, limits in CLIPS.items()
    }
    write(HERE / "hot_pixels.json", {"machine": machine("numpy", "torch"), "shape": image.shape, "clips": found})
    print("| clipped to | " + " | ".join(f"{n} hot: IoU, AP@0.5" for n in (0, 1, 10, 100)) + " |")
    for clip, row in found.items():
        print(f"| {clip} | " + " | ".join(f"{v['iou']:.3f}, {v['ap50']:.3f}" for v in row.values()) + " |")


def _array(store: str, path: str) -> Any:
    return zarr.open_array(store, path=path, mode="r")


def faulty(image: NDArray[np.uint16], number: int) -> NDArray[np.uint16]:
    """The image with hot pixels at random places."""
    found = image.copy()
    found.reshape(-1)[np.random.default_rng(0).choice(image.size, number, replace=False)] = 65535
    return found


def scores(
    model: UNet, image: NDArray[np.uint16], labels: NDArray[np.int32], limits: tuple[float, float]
) -> dict[str, float]:
    """IoU of the cells and AP at 0.5; the scaled values are clipped here and handed on so that nothing else clips."""
    low, high = intensity_range(image, "percentile")
    scaled = np.clip((image.astype(np.float32) - low) / (high - low), *limits)
    reach = max(1.0, float(np.abs(scaled).max()))
    if reach > CLIP[1]:
        model = _rescaled(model, reach)
        scaled = scaled / reach
    cells = predict_image(model, scaled.astype(np.float32), (0.0, 1.0))[1][0] > 0.5
    return {
        "iou": overlap(labels > 0, cells).iou,
        "ap50": average_precision(labels, label_components(cells), (0.5,))[0.5],
    }


def _rescaled(model: UNet, factor: float) -> UNet:
    """A copy of a network that expects its input divided by a factor."""
    copy = UNet(model.config)
    copy.load_state_dict(model.state_dict())
    first = next(p for p in copy.parameters() if p.ndim == 4)
    first.data *= factor
    return copy.eval()


if __name__ == "__main__":
    main(*sys.argv[1:])
