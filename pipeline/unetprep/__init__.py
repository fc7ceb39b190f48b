"""unetprep: weight maps, deformation fields and mirrored overlap tiles for U-Net training, computed once into Zarr.

`weight_map`, `separate_instances`, `displacement_field` and `mirrored_tile` work on arrays. The other functions work on
stores, and do what the commands of their names do; their parameter classes hold the defaults. Importing this package is
fast: each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.contents import StoreInfo as StoreInfo
    from unetprep.contents import info as info
    from unetprep.diagnosing import Check as Check
    from unetprep.diagnosing import doctor as doctor
    from unetprep.engine.importing import ImportSummary as ImportSummary
    from unetprep.engine.summary import Summary as Summary
    from unetprep.errors import Conflict as Conflict
    from unetprep.errors import Failure as Failure
    from unetprep.errors import InvalidInput as InvalidInput
    from unetprep.errors import UnetprepError as UnetprepError
    from unetprep.estimate.forecast import Forecast as Forecast
    from unetprep.estimate.forecast import StageForecast as StageForecast
    from unetprep.fetching import Fetched as Fetched
    from unetprep.fetching import Manifest as Manifest
    from unetprep.fetching import datasets as datasets
    from unetprep.fetching import fetch as fetch
    from unetprep.fetching import pixel_digest as pixel_digest
    from unetprep.fetching import verify_local as verify_local
    from unetprep.kernels.mirror import mirrored_tile as mirrored_tile
    from unetprep.kernels.separate import separate_instances as separate_instances
    from unetprep.kernels.spline import displacement_field as displacement_field
    from unetprep.kernels.weights import weight_map as weight_map
    from unetprep.linting.linter import Linted as Linted
    from unetprep.linting.linter import lint as lint
    from unetprep.linting.rules import Finding as Finding
    from unetprep.params import ClusterParams as ClusterParams
    from unetprep.params import DeformParams as DeformParams
    from unetprep.params import FileParams as FileParams
    from unetprep.params import ImportParams as ImportParams
    from unetprep.params import LayoutParams as LayoutParams
    from unetprep.params import LintParams as LintParams
    from unetprep.params import TilesParams as TilesParams
    from unetprep.params import VerifyParams as VerifyParams
    from unetprep.params import WeightsParams as WeightsParams
    from unetprep.prepare import deform as deform
    from unetprep.prepare import import_images as import_images
    from unetprep.prepare import plan as plan
    from unetprep.prepare import plan_recipe as plan_recipe
    from unetprep.prepare import plan_synthetic as plan_synthetic
    from unetprep.prepare import prepare_store as prepare_store
    from unetprep.prepare import relabel as relabel
    from unetprep.prepare import run_recipe as run_recipe
    from unetprep.prepare import tiles as tiles
    from unetprep.prepare import weights as weights
    from unetprep.previews.drawing import FieldsFigure as FieldsFigure
    from unetprep.previews.drawing import PreviewFigure as PreviewFigure
    from unetprep.previews.drawing import preview as preview
    from unetprep.previews.drawing import preview_fields as preview_fields
    from unetprep.relabeling.relabeler import Relabelled as Relabelled
    from unetprep.removal import Removed as Removed
    from unetprep.removal import remove as remove
    from unetprep.sources.formats.table import Format as Format
    from unetprep.sources.formats.table import formats as formats
    from unetprep.sources.layouts.scanning import Scanned as Scanned
    from unetprep.sources.layouts.scanning import scan as scan
    from unetprep.verification import Fault as Fault
    from unetprep.verification import Verified as Verified
    from unetprep.verification import verify as verify
    from unetprep.viewing.view import Viewing as Viewing
    from unetprep.viewing.view import view as view
    from unetprep.work import ClusterOptions as ClusterOptions
    from unetprep.work import RunOptions as RunOptions

__version__ = "0.1.0"

# No name may equal that of a module of this package: importing the module would put itself in the name's place.
_EXPORTS = {
    "unetprep.prepare": (
        *("import_images", "weights", "deform", "tiles", "prepare_store", "run_recipe", "relabel"),
        *("plan", "plan_recipe", "plan_synthetic"),
    ),
    "unetprep.work": ("RunOptions", "ClusterOptions"),
    "unetprep.linting.linter": ("lint", "Linted"),
    "unetprep.linting.rules": ("Finding",),
    "unetprep.contents": ("info", "StoreInfo"),
    "unetprep.sources.formats.table": ("formats", "Format"),
    "unetprep.diagnosing": ("doctor", "Check"),
    "unetprep.sources.layouts.scanning": ("scan", "Scanned"),
    "unetprep.verification": ("verify", "Verified", "Fault"),
    "unetprep.previews.drawing": ("preview", "preview_fields", "PreviewFigure", "FieldsFigure"),
    "unetprep.viewing.view": ("view", "Viewing"),
    "unetprep.fetching": ("fetch", "datasets", "verify_local", "pixel_digest", "Fetched", "Manifest"),
    "unetprep.params": (
        *("ImportParams", "WeightsParams", "DeformParams", "TilesParams"),
        *("FileParams", "LayoutParams", "LintParams", "VerifyParams", "ClusterParams"),
    ),
    "unetprep.engine.importing": ("ImportSummary",),
    "unetprep.engine.summary": ("Summary",),
    "unetprep.estimate.forecast": ("Forecast", "StageForecast"),
    "unetprep.relabeling.relabeler": ("Relabelled",),
    "unetprep.removal": ("remove", "Removed"),
    "unetprep.errors": ("UnetprepError", "InvalidInput", "Conflict", "Failure"),
    "unetprep.kernels.weights": ("weight_map",),
    "unetprep.kernels.separate": ("separate_instances",),
    "unetprep.kernels.spline": ("displacement_field",),
    "unetprep.kernels.mirror": ("mirrored_tile",),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
