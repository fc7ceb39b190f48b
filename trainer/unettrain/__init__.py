"""unettrain: the U-Net of Ronneberger et al. 2015, trained on the tiles, weight maps and fields that unetprep computed.

`fit`, `predict_files`, `predict_many`, `evaluate_files`, `evaluate_metrics`, `report`, `sampled_draws`, `export_model`,
`load_foreign_weights` and `check_against_paper` do what the commands do. `predict_image`, `separate_instances` and
`evaluate_arrays` work on arrays, as does the package `unettrain.metrics`. Importing unettrain is fast: each name is
loaded when it is first used, and torch with the first name that needs it.
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
    from unettrain.decoding.arrays import separate_instances as separate_instances
    from unettrain.decoding.params import DecodingParams as DecodingParams
    from unettrain.draws import TileDraw as TileDraw
    from unettrain.draws import sampled_draws as sampled_draws
    from unettrain.errors import Conflict as Conflict
    from unettrain.errors import Failure as Failure
    from unettrain.errors import InvalidInput as InvalidInput
    from unettrain.errors import UnettrainError as UnettrainError
    from unettrain.evaluation.arrays import evaluate_arrays as evaluate_arrays
    from unettrain.evaluation.files import evaluate_files as evaluate_files
    from unettrain.evaluation.many import MetricScores as MetricScores
    from unettrain.evaluation.many import evaluate_metrics as evaluate_metrics
    from unettrain.evaluation.params import EvaluateParams as EvaluateParams
    from unettrain.evaluation.result import Evaluation as Evaluation
    from unettrain.export.params import ExportParams as ExportParams
    from unettrain.export.write import Exported as Exported
    from unettrain.export.write import export_model as export_model
    from unettrain.foreign.weights import load_foreign_weights as load_foreign_weights
    from unettrain.loss import weighted_cross_entropy as weighted_cross_entropy
    from unettrain.model import UNet as UNet
    from unettrain.paper_check.check import check_against_paper as check_against_paper
    from unettrain.paper_check.line import PaperCheck as PaperCheck
    from unettrain.prediction.files import Prediction as Prediction
    from unettrain.prediction.files import predict_files as predict_files
    from unettrain.prediction.files import predict_many as predict_many
    from unettrain.prediction.image import predict_image as predict_image
    from unettrain.prediction.params import PredictParams as PredictParams
    from unettrain.reporting.write import Report as Report
    from unettrain.reporting.write import report as report
    from unettrain.stream.dataset import TileDataset as TileDataset
    from unettrain.stream.tile_stream import TileStream as TileStream
    from unettrain.training_loop import FitResult as FitResult
    from unettrain.training_loop import Progress as Progress
    from unettrain.training_loop import fit as fit

__version__ = "0.1.0"

# No name may equal that of a module of this package: importing the module would put itself in the name's place.
_EXPORTS = {
    "unettrain.training_loop": ("fit", "FitResult", "Progress"),
    "unettrain.prediction.files": ("predict_files", "predict_many", "Prediction"),
    "unettrain.prediction.params": ("PredictParams",),
    "unettrain.prediction.image": ("predict_image",),
    "unettrain.decoding.arrays": ("separate_instances",),
    "unettrain.decoding.params": ("DecodingParams",),
    "unettrain.evaluation.files": ("evaluate_files",),
    "unettrain.evaluation.arrays": ("evaluate_arrays",),
    "unettrain.evaluation.many": ("evaluate_metrics", "MetricScores"),
    "unettrain.evaluation.params": ("EvaluateParams",),
    "unettrain.evaluation.result": ("Evaluation",),
    "unettrain.reporting.write": ("report", "Report"),
    "unettrain.export.write": ("export_model", "Exported"),
    "unettrain.export.params": ("ExportParams",),
    "unettrain.foreign.weights": ("load_foreign_weights",),
    "unettrain.paper_check.check": ("check_against_paper",),
    "unettrain.paper_check.line": ("PaperCheck",),
    "unettrain.draws": ("sampled_draws", "TileDraw"),
    "unettrain.config": ("FitConfig", "UNetConfig", "Augmentation"),
    "unettrain.model": ("UNet",),
    "unettrain.checkpoint": ("load_checkpoint",),
    "unettrain.loss": ("weighted_cross_entropy",),
    "unettrain.stream.tile_stream": ("TileStream",),
    "unettrain.stream.dataset": ("TileDataset",),
    "unettrain.augment.draw": ("draw", "Draw"),
    "unettrain.augment.gpu": ("augment_batch",),
    "unettrain.data.opening": ("open_fields", "StoredFields"),
    "unettrain.data.intensity": ("intensity_range",),
    "unettrain.errors": ("UnettrainError", "InvalidInput", "Conflict", "Failure"),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("unettrain.metrics")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "metrics"]
