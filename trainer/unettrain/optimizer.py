"""Optimizer and learning rate schedule: SGD with momentum (the paper) or Adam, with a linear warm-up."""

import torch

from unettrain.config import FitConfig
from unettrain.model import UNet


def learning_rate_at(step: int, config: FitConfig) -> float:
    """Learning rate of an update: a linear warm-up over `warmup_steps`, then constant."""
    return config.peak_learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))


def make_optimizer(model: UNet, config: FitConfig) -> torch.optim.Optimizer:
    """SGD with momentum (the paper) or Adam (the authors' later plugin, Falk et al. 2019)."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), config.peak_learning_rate, config.momentum)
    return torch.optim.Adam(model.parameters(), config.peak_learning_rate)
