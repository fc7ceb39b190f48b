"""Assignment of foreign layers to those of our network, by order and shape; all of them fit, or none is taken.

The channels of a convolution tell its level, since they double from level to level. In the file the contracting path
comes before the expanding one; of the latter, levels may come in either order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.foreign.layers import COUNTER, Layer
from unettrain.model import NORM_EPS, UNet

TORCH_EPS = 1e-5  # of torch.nn.BatchNorm2d by default
CONCATENATIONS = ("up-first", "skip-first")


@dataclass(frozen=True)
class Matched:
    """Our network with foreign weights: its configuration and state, and pairs (name in the file, name in ours)."""

    network: UNetConfig
    weights: dict[str, Tensor]
    pairs: tuple[tuple[str, str], ...]


def match(layers: Sequence[Layer], concatenation: str, padding: str) -> Matched:
    """Our network and its weights from foreign layers. Raises InvalidInput, naming what does not fit."""
    config = config_of(layers, padding)
    targets = target_names(config)
    convolutions = _by_kind(layers, "convolution")
    half = 2 * (config.depth + 1)
    expanding = sorted(range(config.depth), key=lambda k: -convolutions[half + 2 * k].shape[0])  # deepest first
    ordered = convolutions[:half] + [convolutions[half + 2 * k + i] for k in expanding for i in (0, 1)]
    ordered += sorted(_by_kind(layers, "up-convolution"), key=lambda layer: -layer.shape[0])
    ordered += _by_kind(layers, "head")
    expected = UNet(config, seed=None).state_dict()
    weights: dict[str, Tensor] = {}
    for layer, name in zip(ordered, targets, strict=True):
        if layer.shape != tuple(expected[f"{name}.weight"].shape):
            raise InvalidInput(
                f"{layer.name}.weight has shape {layer.shape}; nothing was imported",
                allowed=f"{tuple(expected[f'{name}.weight'].shape)}, as the other layers ask for at its place, {name}",
            )
        weights |= _tensors(layer, name, config)
    if concatenation == "skip-first":
        for level in range(config.depth):
            name = f"merge.{level}.0.weight"
            num_skip = expected[f"down.{level}.0.weight"].shape[0]
            weights[name] = torch.cat([weights[name][:, num_skip:], weights[name][:, :num_skip]], dim=1)
    missing = sorted(expected.keys() - weights.keys())
    assert not missing, missing
    pairs = tuple((layer.name, name) for layer, name in zip(ordered, targets, strict=True))
    return Matched(config, {name: weights[name].contiguous() for name in expected}, pairs)


def config_of(layers: Sequence[Layer], padding: str) -> UNetConfig:
    """The shape of the network that has these layers. Raises InvalidInput if no U-Net of ours has them."""
    ups, heads = _by_kind(layers, "up-convolution"), _by_kind(layers, "head")
    convolutions = _by_kind(layers, "convolution")
    depth = len(ups)
    if depth < 1 or len(heads) != 1 or len(convolutions) != 4 * depth + 2:
        raise InvalidInput(
            f"the file has {len(convolutions)} convolutions of 3x3, {depth} up-convolutions of 2x2 and {len(heads)} of"
            " 1x1; nothing was imported",
            allowed="one or more up-convolutions, 4 of 3x3 for each of them and 2 more, and one head of 1x1",
            hint="a network that upsamples by interpolation, or has residual connections, does not fit",
        )
    width = convolutions[0].shape[0]
    release = min(ups, key=lambda layer: layer.shape[0]).shape[1] == 2 * width
    return UNetConfig(
        in_channels=convolutions[0].shape[1],
        num_classes=heads[0].shape[0],
        base_channels=width,
        depth=depth,
        variant="release" if release else "paper",
        padding=padding,
        normalization=_normalization(layers),
    )


def target_names(config: UNetConfig) -> list[str]:
    """Names of our convolutions: contracting path, bottom, expanding path from below, up-convolutions, head."""
    second = 2 if config.normalization == "none" else 3
    levels = range(config.depth)
    blocks = [f"down.{k}" for k in levels] + ["bottom"] + [f"merge.{k}" for k in reversed(levels)]
    names = [f"{block}.{place}" for block in blocks for place in (0, second)]
    return [*names, *(f"up.{k}" for k in reversed(levels)), "head"]


def _by_kind(layers: Sequence[Layer], kind: str) -> list[Layer]:
    return [layer for layer in layers if layer.kind == kind]


def _normalization(layers: Sequence[Layer]) -> str:
    """none or batch. Raises InvalidInput for other normalisations, and for layers that differ in it."""
    has_norm = {layer.norm is not None for layer in layers if layer.kind == "convolution"}
    stray = next((layer.norm_name for layer in layers if layer.kind != "convolution" and layer.norm), "")
    if len(has_norm) != 1 or stray:
        raise InvalidInput(
            f"{f'{stray} normalises' if stray else 'a normalisation follows some but'} not all 3x3 convolutions;"
            " nothing was imported",
            allowed="one after each 3x3 convolution and nowhere else, or none",
        )
    if has_norm == {False}:
        return "none"
    without = [layer.norm_name for layer in layers if layer.norm is not None and "running_var" not in layer.norm]
    if without:
        raise InvalidInput(
            f"{without[0]} has no running statistics: whether it normalises by image, by group or by channel cannot be"
            " seen; nothing was imported",
            allowed="batch normalisation with running statistics, or no normalisation",
        )
    return "batch"


def _tensors(layer: Layer, name: str, config: UNetConfig) -> dict[str, Tensor]:
    """Our tensors for a layer. A bias before batch normalisation is subtracted from its running mean.

    Its weight is scaled, as our epsilon is not that of torch, which a state dict does not tell.
    """
    bias = layer.tensors.get("bias")
    found = {f"{name}.weight": layer.tensors["weight"].float()}
    if layer.norm is None:
        num_out = layer.shape[1] if layer.kind == "up-convolution" else layer.shape[0]
        return found | {f"{name}.bias": torch.zeros(num_out) if bias is None else bias.float()}
    block, _, place = name.rpartition(".")
    norm = f"{block}.{int(place) + 1}"
    ones = torch.ones(layer.shape[0])
    mean = layer.norm["running_mean"].float() - (0 if bias is None else bias.float())
    variance = layer.norm["running_var"].float()
    return found | {
        f"{norm}.weight": layer.norm["weight"].float() * ((variance + NORM_EPS) / (variance + TORCH_EPS)).sqrt(),
        f"{norm}.bias": layer.norm.get("bias", 0 * ones).float(),
        f"{norm}.running_mean": mean,
        f"{norm}.running_var": variance,
        f"{norm}.{COUNTER}": layer.norm.get(COUNTER, torch.tensor(0)).long(),
    }
