"""Exponential moving average of the weights of a network."""

from copy import deepcopy

import torch

from unettrain.model import UNet


def averaged_copy(model: UNet) -> UNet:
    """A network with the same weights, which no optimizer changes."""
    return deepcopy(model).requires_grad_(False)


@torch.no_grad()
def update_average(averaged: UNet, model: UNet, decay: float, step: int) -> None:
    """Move averaged weights towards those of a network, by 1 - decay of their distance.

    In the first steps by more, 1 - (1 + step) / (10 + step), so that the initial weights are soon forgotten. Buffers
    are copied: the statistics of a batch normalisation are averages already.
    """
    part = 1 - min(decay, (1 + step) / (10 + step))
    for average, weight in zip(averaged.parameters(), model.parameters(), strict=True):
        average.lerp_(weight, part)
    for copied, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
        copied.copy_(buffer)
