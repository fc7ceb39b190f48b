"""Peer: nnU-Net's 2D architecture and training recipe, from its own packages for networks and augmentation.

PlainConvUNet with instance normalisation and leaky ReLU, deep supervision, Dice and cross-entropy, SGD with Nesterov
momentum 0.99, polynomial learning rate over the CPU time, images normalised to mean 0 and variance 1, its augmentation,
prediction with a Gaussian sliding window and mirrored inputs. Its planner and 1000 epochs are not part of it: patch
and batch are small enough that the CPU time gives steps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.budget import Budget
from benchmarks.accuracy.data import Splits
from benchmarks.accuracy.methods.crops import crop
from benchmarks.accuracy.methods.ours import num_parameters
from benchmarks.accuracy.methods.trained import Trained

RATE, DECAY = 1e-2, 3e-5
WINDOW_PX, MULTIPLE_PX = 512, 32  # of prediction


def train(
    splits: Splits,
    seed: int,
    seconds: float,
    build: Path,
    *,
    side: int = 128,
    batch: int = 4,
    width: int = 32,
    device: str = "cpu",
) -> Trained:
    """Train on binary masks of the cells, until the CPU time is over."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    np.random.seed(seed)  # noqa: NPY002 - of the augmentation
    rng = np.random.default_rng(seed)
    net = network(side, width).to(device)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.99, nesterov=True, weight_decay=DECAY)
    augment = augmentation(side)
    budget, steps = Budget(seconds, device), 0
    while budget.used < seconds:
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - budget.fraction) ** 0.9
        pairs = [augmented(*crop(splits.train, side + side // 4, rng), augment) for _ in range(batch)]
        image, target = (torch.stack(planes).to(device) for planes in zip(*pairs, strict=True))
        optimizer.zero_grad()
        supervised(loss_of, net(image), target).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 12)
        optimizer.step()
        steps += 1
    net.eval()
    net.decoder.deep_supervision = False

    @torch.no_grad()
    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        window = [min(WINDOW_PX, -(-n // MULTIPLE_PX) * MULTIPLE_PX) for n in image.shape]  # as a rule the whole image
        inferer = SlidingWindowInferer(window, overlap=0.5, mode="gaussian")
        whole = torch.from_numpy(normalized(image))[None, None].to(device)
        found = torch.zeros(image.shape)
        for axes in ((), (2,), (3,), (2, 3)):
            scores: Any = inferer(whole.flip(axes), net)
            found += scores.softmax(1).flip(axes)[0, 1].cpu() / 4
        return found.numpy()

    about = {"patch_px": side, "batch": batch, "stages": len(net.encoder.stages), "channels": width}
    return Trained(predict, steps, budget.used, num_parameters(net), about)


def network(side: int, width: int) -> Any:
    """The network for a patch: pooled until a level has 8 pixels or fewer, at most 512 channels."""
    stages = max(2, int(np.log2(side)) - 2)
    return PlainConvUNet(
        1,
        stages,
        [min(512, width << k) for k in range(stages)],
        nn.Conv2d,
        [(3, 3)] * stages,
        [(1, 1)] + [(2, 2)] * (stages - 1),
        [2] * stages,
        2,
        [2] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )


def supervised(loss_of: Any, outputs: list[Tensor], target: Tensor) -> Tensor:
    """The loss of all resolutions but the lowest, each half as important as the one above."""
    factors = [2.0**-k for k in range(len(outputs) - 1)] or [1.0]
    total = target.new_zeros(())
    for k, factor in enumerate(factors):
        total = total + factor * loss_of(outputs[k], target[..., :: 1 << k, :: 1 << k])
    return total / sum(factors)


def augmentation(side: int) -> Any:
    """The augmentation of nnU-Net for two dimensions, by its own package."""

    def some(transform: Any, probability: float) -> Any:
        return RandomTransform(transform, apply_probability=probability)

    return ComposeTransforms(
        [
            SpatialTransform(
                (side, side), 0, False, p_rotation=0.2, rotation=(-np.pi, np.pi), p_scaling=0.2, scaling=(0.7, 1.4)
            ),
            some(GaussianNoiseTransform((0, 0.1), p_per_channel=1, synchronize_channels=True), 0.1),
            some(GaussianBlurTransform((0.5, 1.0), p_per_channel=0.5), 0.2),
            some(MultiplicativeBrightnessTransform((0.75, 1.25), synchronize_channels=False), 0.15),
            some(ContrastTransform(BGContrast((0.75, 1.25)), preserve_range=True, synchronize_channels=False), 0.15),
            some(SimulateLowResolutionTransform((0.5, 1), False, True, (), p_per_channel=0.5), 0.25),
            some(GammaTransform((0.7, 1.5), 1, False, 1, 1), 0.1),
            some(GammaTransform((0.7, 1.5), 0, False, 1, 1), 0.3),
            MirrorTransform((0, 1)),
        ]
    )


def augmented(image: NDArray[np.uint8], labels: NDArray[np.int32], augment: Any) -> tuple[Tensor, Tensor]:
    """A crop, normalised and augmented, and its mask."""
    mask = torch.from_numpy((labels > 0).astype(np.int16))[None]
    found = augment(image=torch.from_numpy(normalized(image))[None], segmentation=mask)
    return found["image"], found["segmentation"].clamp(min=0).float()


def normalized(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean 0 and variance 1."""
    values = image.astype(np.float32)
    return np.asarray((values - values.mean()) / max(1e-8, float(values.std())), np.float32)
