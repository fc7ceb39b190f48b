"""unetprep: weight maps, deformation fields and mirrored overlap tiles for U-Net training, computed once into Zarr.

`weight_map`, `separate_instances`, `displacement_field` and `mirrored_tile` work on arrays. `import_images`, `weights`,
`deform`, `tiles` and `run_recipe` do what the commands of these names do, on a store; their parameter classes hold the
defaults. Importing this package is cheap: each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.kernels.mirror import mirrored_tile as mirrored_tile
    from unetprep.kernels.separate import separate_instances as separate_instances
    from unetprep.kernels.spline import displacement_field as displacement_field
    from unetprep.kernels.weights import weight_map as weight_map
    from unetprep.params import ClusterParams as ClusterParams
    from unetprep.params import DeformParams as DeformParams
    from unetprep.params import ImportParams as ImportParams
    from unetprep.params import TilesParams as TilesParams
    from unetprep.params import WeightsParams as WeightsParams
    from unetprep.prepare import deform as deform
    from unetprep.prepare import import_images as import_images
    from unetprep.prepare import run_recipe as run_recipe
    from unetprep.prepare import tiles as tiles
    from unetprep.prepare import weights as weights

__version__ = "0.1.0"
__all__ = [
    "ClusterParams",
    "DeformParams",
    "ImportParams",
    "TilesParams",
    "WeightsParams",
    "__version__",
    "deform",
    "displacement_field",
    "import_images",
    "mirrored_tile",
    "run_recipe",
    "separate_instances",
    "tiles",
    "weight_map",
    "weights",
]

# No name may equal that of a module of this package: importing the module would put itself in the name's place.
_HOMES = {
    "displacement_field": "unetprep.kernels.spline",
    "mirrored_tile": "unetprep.kernels.mirror",
    "separate_instances": "unetprep.kernels.separate",
    "weight_map": "unetprep.kernels.weights",
    **dict.fromkeys(("deform", "import_images", "run_recipe", "tiles", "weights"), "unetprep.prepare"),
    **dict.fromkeys(
        ("ClusterParams", "DeformParams", "ImportParams", "TilesParams", "WeightsParams"), "unetprep.params"
    ),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
