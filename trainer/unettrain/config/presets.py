"""Presets: values of several training options under one name."""

from collections.abc import Mapping
from typing import Any

# The recipe of standard and small was chosen by measurement, with 8 channels (DESIGN.md). Of paper, Ronneberger et al.
# 2015 give network, momentum, dropout, batch size and loss; learning rate, clipping and number of steps, which they do
# not give, are those that trained narrow networks (DESIGN.md). fast scored best in minutes of a CPU, on tiles of depth
# 3 (docs/results.md). large is for a GPU, and was not measured.
PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    # A few minutes of a CPU, for one image of 125 nuclei: `make demo`. One thread, so that its scores are repeated.
    "demo": {"steps": 400, "validate_every": 50, "threads": 1},
    "small": {"base_channels": 8, "steps": 500, "validate_every": 100},
    "fast": {
        "base_channels": 8,
        "steps": 1000,
        "normalization": "instance",
        "learning_rate": 3e-3,
        "warmup_steps": 20,
        "validate_every": 100,
    },
    "large": {
        "base_channels": 64,
        "steps": 20_000,
        "learning_rate": 3e-4,
        "warmup_steps": 500,
        "amp": "bf16",
        "validate_every": 500,
    },
    "paper": {
        "base_channels": 64,
        "steps": 10_000,
        "batch_size": 1,
        "optimizer": "sgd",
        "momentum": 0.99,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "dropout": 0.5,
        "best_by": "loss",
    },
}


def preset_values(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a preset for what is not given. A warm-up takes at most a tenth of the steps that are given."""
    values = {option: value for option, value in PRESETS[name].items() if option not in given}
    if "steps" in given and "warmup_steps" in values:
        values["warmup_steps"] = min(values["warmup_steps"], given["steps"] // 10)
    return values
