"""Optimizer and learning rate schedule: SGD with momentum (the paper), Adam or AdamW; warm-up and decay."""

import math

import torch

from unettrain.config import FitConfig
from unettrain.model import UNet

POLYNOMIAL_POWER = 0.9


def learning_rate_at(step: int, config: FitConfig) -> float:
    """Learning rate of update number `step`, from 0 on.

    It rises linearly over `warmup_steps`, and then follows the schedule, of which it is a function: nothing has to be
    saved. "cosine" and "polynomial" fall to 0 after the last of `steps`.
    """
    peak, warmup = config.learning_rate, config.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    left = max(0.0, 1 - (step - warmup) / max(1, config.steps - warmup))  # 1 at the peak, 0 after the last step
    if config.schedule == "cosine":
        return peak * (1 - math.cos(math.pi * left)) / 2
    return peak * left**POLYNOMIAL_POWER if config.schedule == "polynomial" else peak


def make_optimizer(model: UNet, config: FitConfig) -> torch.optim.Optimizer:
    """SGD with momentum (the paper), Adam (the authors' later plugin, Falk et al. 2019), or AdamW."""
    parameters, rate = model.parameters(), config.learning_rate
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, config.momentum)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, rate)
    return torch.optim.AdamW(parameters, rate, weight_decay=config.weight_decay)
