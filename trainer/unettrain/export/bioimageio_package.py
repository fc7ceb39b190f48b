"""Packages of the BioImage Model Zoo (format 0.5): the ONNX model, its description, and tensors to test it with.

An unpadded network gives less than it is given, which the format says by an offset of the output's size: tile - 184 at
depth 4. A padded one gives as much, of which a halo must be discarded along each edge; tools do this by themselves.
"""

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from bioimageio.spec import ValidationContext, save_bioimageio_package
from bioimageio.spec.model import v0_5 as spec
from numpy.typing import NDArray
from pydantic import ValidationError

from unetprep.kernels.intensity_rules import CLIP
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.export.intensity import TINY, Scaling
from unettrain.export.onnx_model import INPUT, OPSET, OUTPUT
from unettrain.export.params import ExportParams, split_list

PAPER = spec.CiteEntry(
    text="Ronneberger, Fischer and Brox 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation",
    doi=spec.Doi("10.1007/978-3-319-24574-4_28"),
)
TAGS = ["unet2d", "2d", "semantic-segmentation", "pytorch"]


def write_package(
    path: Path,
    folder: Path,
    onnx: bytes,
    params: ExportParams,
    config: UNetConfig,
    scaling: Scaling,
    description: Mapping[str, Any],
    test: tuple[NDArray[Any], NDArray[np.float32]],
) -> None:
    """Write a package to `path`; its parts are prepared in `folder`. `test`: an image as it is stored, and its output.

    Raises InvalidInput, with the validator's words, for texts that the format does not allow.
    """
    weights, readme = folder / "weights.onnx", folder / "README.md"
    weights.write_bytes(onnx)
    readme.write_text(_documentation(params, scaling, description))
    for name, tensor in zip(("test_input.npy", "test_output.npy"), test, strict=True):
        np.save(folder / name, tensor)
    with ValidationContext(perform_io_checks=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about files that it has packed already
        try:
            model = _model(folder, params, config, scaling, description, test[0].dtype.name)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InvalidInput(f"the bioimage.io format does not allow this: {problems[:600]}") from None
        save_bioimageio_package(model, output_path=path)


def _model(
    folder: Path,
    params: ExportParams,
    config: UNetConfig,
    scaling: Scaling,
    description: Mapping[str, Any],
    dtype: str,
) -> spec.ModelDescr:
    classes = description["classes"]
    return spec.ModelDescr(
        name=params.name,
        description=params.description or "U-Net of 2015: the probability of each class at every pixel.",
        authors=[spec.Author(name=name) for name in split_list(params.author)],
        cite=[PAPER, *(spec.CiteEntry(text=doi, doi=spec.Doi(doi)) for doi in split_list(params.cite))],
        license=_license(params.license),
        documentation=spec.FileDescr(source=folder / "README.md"),
        tags=TAGS,
        inputs=[_input(folder, config, scaling, description["pixel_um"], dtype)],
        outputs=[_output(folder, config, classes, description["pixel_um"])],
        weights=spec.WeightsDescr(
            onnx=spec.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET),
        ),
        timestamp=spec.Datetime(datetime.now(UTC)),
        config=spec.Config(unettrain=dict(description)),  # type: ignore[call-arg]
    )


def _license(name: str) -> spec.LicenseId | None:
    try:
        return spec.LicenseId(name) if name else None
    except ValidationError:
        raise InvalidInput(f"license is {name!r}", allowed="an identifier of spdx.org/licenses, as CC-BY-4.0") from None


def _input(
    folder: Path, config: UNetConfig, scaling: Scaling, pixel_um: list[float] | None, dtype: str
) -> spec.InputTensorDescr:
    size = spec.ParameterizedSize(min=config.least_tile_px, step=config.pool_px)
    padded = config.padding == "same"  # of blocks of an unpadded network the outputs cannot be put together
    names: list[str] = [spec.Identifier(f"channel{k}") for k in range(config.in_channels)]
    return spec.InputTensorDescr(
        id=spec.TensorId(INPUT),
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=names),
            *(
                spec.SpaceInputAxis(id=spec.AxisId(axis), size=size, concatenable=padded, **_scale(pixel_um, axis))
                for axis in "yx"
            ),
        ],
        test_tensor=spec.FileDescr(source=folder / "test_input.npy"),
        data=spec.IntervalOrRatioDataDescr(type=dtype),  # type: ignore[arg-type]
        pad=spec.ReflectPadding(mode="reflect") if padded else None,  # without the mode it would be saved as zeros
        preprocessing=_preprocessing(scaling),
    )


def _preprocessing(scaling: Scaling) -> list[Any]:
    clip = spec.ClipDescr(kwargs=spec.ClipKwargs(min=CLIP[0], max=CLIP[1]))
    as_float = spec.EnsureDtypeDescr(kwargs=spec.EnsureDtypeKwargs(dtype="float32"))
    if scaling.percentiles is not None:
        low, high = scaling.percentiles
        axes = [spec.AxisId(axis) for axis in ("channel", "y", "x")]
        kwargs = spec.ScaleRangeKwargs(axes=axes, min_percentile=low, max_percentile=high, eps=TINY)
        return [as_float, spec.ScaleRangeDescr(kwargs=kwargs), clip, as_float]
    assert scaling.low is not None
    assert scaling.high is not None
    gain = 1 / (scaling.high - scaling.low)
    if (gain, scaling.low) == (1.0, 0.0):  # which the format refuses as redundant
        return [as_float, clip, as_float]
    linear = spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=gain, offset=0.0 - scaling.low * gain))
    return [as_float, linear, clip, as_float]


def _output(
    folder: Path, config: UNetConfig, classes: list[str], pixel_um: list[float] | None
) -> spec.OutputTensorDescr:
    space: list[Any] = []
    for axis in "yx":
        size = spec.SizeReference(tensor_id=spec.TensorId(INPUT), axis_id=spec.AxisId(axis), offset=-config.border_px)
        named: dict[str, Any] = {"id": spec.AxisId(axis), "size": size, **_scale(pixel_um, axis)}
        if config.padding == "same":
            space.append(spec.SpaceOutputAxisWithHalo(**named, halo=config.halo_px))
        else:
            space.append(spec.SpaceOutputAxis(**named))
    return spec.OutputTensorDescr(
        id=spec.TensorId(OUTPUT),
        axes=[spec.BatchAxis(), spec.ChannelAxis(channel_names=[spec.Identifier(name) for name in classes]), *space],
        test_tensor=spec.FileDescr(source=folder / "test_output.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )


def _scale(pixel_um: list[float] | None, axis: str) -> dict[str, Any]:
    return {} if pixel_um is None else {"scale": pixel_um["yx".index(axis)], "unit": "micrometer"}


def _documentation(params: ExportParams, scaling: Scaling, description: Mapping[str, Any]) -> str:
    pixel = description["pixel_um"]
    size = f"{pixel[0]:.4g} x {pixel[1]:.4g} um (y, x)" if pixel else "size not known"
    border, halo = description["border"], description["halo"]
    cut = (
        f"The output is {border} pixels smaller than the input ({border // 2} along each edge)."
        if border
        else f"The output has the size of the input; {halo} pixels along each edge lack context and must be discarded."
    )
    lines = [
        f"# {params.name}",
        params.description or "A U-Net (Ronneberger et al. 2015) that gives the probability of each class.",
        f"Written by {description['software']}. Classes: {', '.join(description['classes'])}.",
        "## Use",
        f"Sides of an input are {description['tile_least']} + k * {description['tile_step']} pixels. {cut} Mirror the"
        " image beyond its edges, without repeating the edge pixel.",
        f"Pixels of the training images: {size}.",
        f"Intensities: {scaling.as_dict()}.",
        *scaling.notes,
        f"Instances: {description['decoding']}, see the documentation of unettrain.",
        "## Validation",
        "Compare predictions with your own labels before use: IoU of the foreground, and AP of the instances, on images"
        " that were not trained on (`unettrain evaluate`).",
    ]
    return "\n\n".join(lines) + "\n"
