"""Peer: MONAI's U-Net with batch normalisation, Dice and cross-entropy; the sizes of MONAI's 2D segmentation tutorial.

Padded residual network of five levels, Adam at 1e-3, random crops with flips, quarter turns and varied intensity;
prediction by a sliding window with a Gaussian. The learning rate falls along half a cosine over the CPU time, as ours.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from numpy.typing import NDArray

from benchmarks.accuracy.budget import Budget
from benchmarks.accuracy.data import Splits
from benchmarks.accuracy.methods.crops import crop
from benchmarks.accuracy.methods.ours import num_parameters
from benchmarks.accuracy.methods.trained import Trained

RATE = 1e-3


def train(
    splits: Splits,
    seed: int,
    seconds: float,
    build: Path,
    *,
    side: int = 128,
    batch: int = 8,
    width: int = 16,
    device: str = "cpu",
) -> Trained:
    """Train on binary masks of the cells, until the CPU time is over."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    channels = tuple(width << level for level in range(5))
    net = UNet(2, 1, 2, channels, (2, 2, 2, 2), num_res_units=2, norm="BATCH").to(device)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    budget, steps = Budget(seconds, device), 0
    while budget.used < seconds:
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * budget.fraction)) / 2
        pairs = [augmented(*crop(splits.train, side, rng), rng) for _ in range(batch)]
        image, target = (torch.from_numpy(np.stack(planes))[:, None].to(device) for planes in zip(*pairs, strict=True))
        optimizer.zero_grad()
        loss_of(net(image), target).backward()
        optimizer.step()
        steps += 1
    net.eval()
    inferer = SlidingWindowInferer((2 * side, 2 * side), overlap=0.5, mode="gaussian")

    @torch.no_grad()
    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        whole = torch.from_numpy(image.astype(np.float32) / 255)[None, None].to(device)
        found: Any = inferer(whole, net)
        return found.softmax(1)[0, 1].cpu().numpy()  # type: ignore[no-any-return]

    about = {"crop_px": side, "batch": batch, "channels": channels}
    return Trained(predict, steps, budget.used, num_parameters(net), about)


def augmented(
    image: NDArray[np.uint8], labels: NDArray[np.int32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crop scaled to 0 to 1 and its mask, mirrored and turned at random, with varied intensity."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    stacked = np.stack([image / 255, labels > 0]).astype(np.float32)
    turned = np.rot90(stacked[..., ::-1] if mirror else stacked, turns, axes=(1, 2)).copy()
    turned[0] = np.clip(turned[0] * rng.uniform(0.9, 1.1) + rng.uniform(-0.05, 0.05), 0, 1)
    return turned[0], turned[1]
