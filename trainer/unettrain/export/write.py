"""Export of a trained network to a file."""

import zipfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.storage.output import OutputKind, check_output
from unettrain import __version__
from unettrain.config import UNetConfig
from unettrain.data.intensity import TrainingImages
from unettrain.errors import Failure, raises_own_errors
from unettrain.export.description import describe
from unettrain.export.intensity import scaling_of
from unettrain.export.params import ENDINGS, ExportParams
from unettrain.export.program import DESCRIPTION, network_for_export, program_bytes
from unettrain.run_checkpoints import find_checkpoint

COMMAND = "unettrain export"
PRODUCER = f"{COMMAND} {__version__}"
NO_LICENSE = "the package names no license: others may not use it; --license CC-BY-4.0 would let them"
NO_AUTHOR = "the package names no author: --author"
UNPADDED = (
    "the network is unpadded: bioimageio.core cannot predict an image with it block by block; --padding same exports"
    " the same weights so that it can"
)


@dataclass(frozen=True)
class Exported:
    """A written export: its path, format, description, and warnings."""

    path: Path
    format: str
    description: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        named = {"out": str(self.path), "format": self.format, "warnings": list(self.warnings)}
        return named | {"description": self.description}


@raises_own_errors
def export_model(
    checkpoint: str | Path, out: str | Path, params: ExportParams | None = None, *, overwrite: bool = False
) -> Exported:
    """Write a trained network for other software: ONNX, a program of torch.export, or a bioimage.io package.

    `checkpoint` is a run directory, whose best network is used, or a .pt file. `out` ends in .onnx, .pt2 or .zip, as
    the format says. The exported network takes images (b, c, y, x) float32 that are scaled as the description says,
    of any batch and any legal sides, and ends with the softmax: it gives the probability of every class. The
    description (sizes, halo, intensity, pixel size, decoding) stands in the file too. ONNX is run once and compared
    with torch.

    Raises InvalidInput for a checkpoint, option or output that cannot be used, Conflict if `out` exists and may not be
    replaced, Failure if a package of the extra `unetprep[export]` is missing, or if the ONNX model is wrong.

        unettrain.export_model("runs/ds", "cells.zip", ExportParams(format="bioimageio", license="CC-BY-4.0"))
    """
    params = params or ExportParams()
    kind = OutputKind(COMMAND, (ENDINGS[params.format],), is_own_export)
    output = check_output(out, kind, overwrite=overwrite, inputs=[str(checkpoint)])
    onnx = None if params.format == "torch" else _optional("onnx_model")
    packages = _optional("bioimageio_package") if params.format == "bioimageio" else None
    trained = find_checkpoint(checkpoint)
    network = network_for_export(trained, params.padding)
    images = TrainingImages.of(trained.intensity_rule, trained.image_dtype, trained.training_intensity)
    scaling = scaling_of(images, params.intensity)
    description = describe(trained, network.config, scaling, images.pixel_um, PRODUCER)
    warnings = (*scaling.notes, *_warnings(params, network.config))
    if onnx is None:
        output.write_bytes(program_bytes(network, description))
        return Exported(Path(out), params.format, description, warnings)
    content = onnx.onnx_bytes(network, description, PRODUCER)
    image = synthetic_image(network.config, images)
    expected = onnx.verify_onnx(content, network, scaling.apply(image))
    if packages is None:
        output.write_bytes(content)
    else:
        with output.writing() as path, TemporaryDirectory() as folder:
            test = (image, expected)
            packages.write_package(path, Path(folder), content, params, network.config, scaling, description, test)
    return Exported(Path(out), params.format, description, warnings)


def synthetic_image(config: UNetConfig, images: TrainingImages) -> NDArray[Any]:
    """An image (1, c, y, x) of bright discs, of the dtype and within the range of the training images.

    A package is tested with it. It is not taken from the training images, which may not be meant for others.
    """
    side = config.least_tile_px + 3 * config.pool_px
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    discs = np.zeros((config.in_channels, side, side))
    for _ in range(max(3, side * side // 2000)):
        cy, cx, radius = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(5, 12)
        discs[:, (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 0.8
    low, high = images.percentiles or images.range or (0.0, 255.0)
    values = low + (high - low) * np.clip(discs + rng.normal(0.1, 0.05, discs.shape), 0, 1)
    dtype = np.dtype(images.dtype or "float32")
    return (np.rint(values) if dtype.kind in "ui" else values).astype(dtype)[None]


def is_own_export(path: Path) -> bool:
    """Whether `unettrain export` wrote a file, by its producer (ONNX) or a text in its archive."""
    if not path.is_file():
        return False
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return COMMAND.encode() in file.read(256)
    with zipfile.ZipFile(path) as archive:
        marked = [name for name in archive.namelist() if name.endswith((DESCRIPTION, "bioimageio.yaml", "rdf.yaml"))]
        return any(COMMAND.encode() in archive.read(name) for name in marked)


def _optional(module: str) -> ModuleType:
    """A module of this package that needs the extra `export`."""
    try:
        return import_module(f"unettrain.export.{module}")
    except ImportError as error:
        raise Failure(f"{error}", hint="pip install 'unetprep[export]'") from None


def _warnings(params: ExportParams, config: UNetConfig) -> tuple[str, ...]:
    found = []
    if not config.is_local:
        found.append("with instance normalisation the result depends on the size of the tiles; use whole images")
    if params.format == "bioimageio":
        found += [UNPADDED] if config.padding == "valid" else []
        found += [NO_LICENSE] if not params.license else []
        found += [NO_AUTHOR] if not params.author else []
    return tuple(found)
