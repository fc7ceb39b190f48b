"""unettrain: the U-Net of Ronneberger et al. 2015, trained on the tiles, weight maps and fields that unetprep computed.

Importing this package is cheap, and torch stays out until a name below that needs it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unettrain import metrics as metrics
    from unettrain.augment.draw import Draw as Draw
    from unettrain.augment.draw import draw as draw
    from unettrain.augment.gpu import augment_batch as augment_batch
    from unettrain.checkpoint import load_checkpoint as load_checkpoint
    from unettrain.config import Augmentation as Augmentation
    from unettrain.config import FitConfig as FitConfig
    from unettrain.config import UNetConfig as UNetConfig
    from unettrain.data.intensity import intensity_range as intensity_range
    from unettrain.data.opening import StoredFields as StoredFields
    from unettrain.data.opening import open_fields as open_fields
    from unettrain.loss import weighted_cross_entropy as weighted_cross_entropy
    from unettrain.model import UNet as UNet
    from unettrain.prediction.image import predict_image as predict_image
    from unettrain.stream.dataset import TileDataset as TileDataset
    from unettrain.stream.tile_stream import TileStream as TileStream
    from unettrain.training_loop import fit as fit

__version__ = "0.1.0"
__all__ = [
    "Augmentation",
    "Draw",
    "FitConfig",
    "StoredFields",
    "TileDataset",
    "TileStream",
    "UNet",
    "UNetConfig",
    "__version__",
    "augment_batch",
    "draw",
    "fit",
    "intensity_range",
    "load_checkpoint",
    "metrics",
    "open_fields",
    "predict_image",
    "weighted_cross_entropy",
]

# No name may equal that of its module: importing the module would put itself in the name's place.
_HOMES = {
    "Augmentation": "unettrain.config",
    "Draw": "unettrain.augment.draw",
    "FitConfig": "unettrain.config",
    "StoredFields": "unettrain.data.opening",
    "TileDataset": "unettrain.stream.dataset",
    "TileStream": "unettrain.stream.tile_stream",
    "UNet": "unettrain.model",
    "UNetConfig": "unettrain.config",
    "augment_batch": "unettrain.augment.gpu",
    "draw": "unettrain.augment.draw",
    "fit": "unettrain.training_loop",
    "intensity_range": "unettrain.data.intensity",
    "load_checkpoint": "unettrain.checkpoint",
    "open_fields": "unettrain.data.opening",
    "predict_image": "unettrain.prediction.image",
    "weighted_cross_entropy": "unettrain.loss",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("unettrain.metrics")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
