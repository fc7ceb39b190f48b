"""Presets: values of several training options under one name."""

from typing import Any

# Ronneberger et al. 2015 give the network, momentum, dropout and the loss. Learning rate, clipping and number of steps,
# which they do not give, are those that were found to train (DESIGN.md).
PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "small": {"base_channels": 8, "steps": 1000},
    "paper": {
        "base_channels": 64,
        "optimizer": "sgd",
        "momentum": 0.99,
        "schedule": "constant",
        "dropout": 0.5,
        "best_by": "loss",
    },
}
