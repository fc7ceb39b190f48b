"""Configuration of network, training and augmentation, with defaults, limits and help. Imports no torch.

The command line makes its options from `FitConfig`, and a run directory and a checkpoint record both classes.
"""

from unettrain.config.augmentation import Augmentation
from unettrain.config.base import TrainerParams
from unettrain.config.network import MOST_CHANNELS, MOST_CLASSES, NORMALIZATIONS, PADDINGS, VARIANTS, UNetConfig
from unettrain.config.presets import PRESETS
from unettrain.config.training import SAMPLINGS, SHAPE, SHUFFLES, FitConfig, TrainingConfig

__all__ = [
    "MOST_CHANNELS",
    "MOST_CLASSES",
    "NORMALIZATIONS",
    "PADDINGS",
    "PRESETS",
    "SAMPLINGS",
    "SHAPE",
    "SHUFFLES",
    "VARIANTS",
    "Augmentation",
    "FitConfig",
    "TrainerParams",
    "TrainingConfig",
    "UNetConfig",
]
