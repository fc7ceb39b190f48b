"""unetprep: weight maps, deformation fields and mirrored overlap tiles for U-Net training, computed once into Zarr.

The functions below work on arrays, for notebooks and other people's code; the command line `unetprep` runs the same
kernels shard by shard over a store. Importing this package is cheap: each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.kernels.mirror import mirrored_tile as mirrored_tile
    from unetprep.kernels.separate import separate_instances as separate_instances
    from unetprep.kernels.spline import displacement_field as displacement_field
    from unetprep.kernels.weights import weight_map as weight_map

__version__ = "0.1.0"
__all__ = ["__version__", "displacement_field", "mirrored_tile", "separate_instances", "weight_map"]

_HOMES = {
    "displacement_field": "unetprep.kernels.spline",
    "mirrored_tile": "unetprep.kernels.mirror",
    "separate_instances": "unetprep.kernels.separate",
    "weight_map": "unetprep.kernels.weights",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
