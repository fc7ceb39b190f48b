"""A plain torch loop over the layers of the network, to compare with: the U-Net as functions on a list of weights.

It checks nothing, and knows neither variants nor padding. `weights_of` takes the weights of our network in the order in
which the loop uses them, so that both compute the same.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from unettrain.model import UNet

Layer = tuple[Tensor, Tensor]  # weight and bias


def weights_of(model: UNet) -> list[Layer]:
    """Copies of the weights of a network: the way down, the bottom, the way up, the head."""
    up: list[list[Any]] = [[model.up[k], *_convolutions(model.merge[k])] for k in reversed(range(model.config.depth))]
    modules: list[nn.Conv2d | nn.ConvTranspose2d] = [
        *(conv for block in [*model.down, model.bottom] for conv in _convolutions(block)),
        *(module for level in up for module in level),
        model.head,
    ]
    return [(_copy(module.weight), _copy(module.bias)) for module in modules]


def _copy(values: Tensor | None) -> Tensor:
    assert values is not None
    return values.detach().clone().requires_grad_()


def _convolutions(block: nn.Module) -> Iterator[nn.Conv2d]:
    return (module for module in block.modules() if isinstance(module, nn.Conv2d))


def scores(x: Tensor, layers: list[Layer], depth: int, dropout: float) -> Tensor:
    """Scores (b, class, output, output) of images (b, c, tile, tile), in training."""
    layer, skips = iter(layers), []
    for level in range(depth):
        x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
        x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
        if level == depth - 1:
            x = F.dropout(x, dropout)
        skips.append(x)
        x = F.max_pool2d(x, 2)
    x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
    x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
    x = F.dropout(x, dropout)
    for skip in reversed(skips):
        x = F.conv_transpose2d(x, *next(layer), stride=2)
        cut = (skip.shape[-1] - x.shape[-1]) // 2
        x = torch.cat([x, skip[:, :, cut : cut + x.shape[-2], cut : cut + x.shape[-1]]], dim=1)
        x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
        x = F.relu(F.conv2d(x, *next(layer)), inplace=True)
    return F.conv2d(x, *next(layer))


def loss_of(scored: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """sum(w CE) / sum(w)."""
    return (weights * F.cross_entropy(scored, target, reduction="none")).sum() / weights.sum()
