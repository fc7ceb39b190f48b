#!/usr/bin/env bash
# bioimageio.spec: an input that is described with mirrored (or edge) padding is saved as one padded with zeros.
#
# Versions   bioimageio.spec 0.5.12.0, pydantic 2.13.5, pydantic-core 2.46.5, numpy 2.4.6.
# Expected   The padding of an input tensor, `pad=ReflectPadding()` in Python, is the padding of the saved description.
# Happens    Only values that were set explicitly are written, and the mode of ReflectPadding(), EdgePadding() and
#            SymmetricPadding() is a default. The saved `pad` is an empty mapping, which is read as ConstantPadding with
#            value 0. Nothing warns, and the description is valid before and after.
# Output     ReflectPadding() is saved as pad: {} and read back as ConstantPadding
#            ReflectPadding(mode="reflect") is saved as pad: {'mode': 'reflect'} and read back as ReflectPadding
# Hurts      Who exports a U-Net for ilastik, deepImageJ or the BioImage Model Zoo by this library: consumers that follow
#            the description pad the border of each image with zeros, where the network was trained with mirrored context,
#            so predictions at the edges differ from those of the author, and the tests of the package still pass.
# Instead    Set the mode: ReflectPadding(mode="reflect").
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'bioimageio.spec==0.5.12.0' 'pydantic==2.13.5' 'pydantic-core==2.46.5' 'numpy==2.4.6' \
    'pyyaml==6.0.3'

cd "$work"
"$work/venv/bin/python" - <<'PY'
from pathlib import Path

import numpy as np
import yaml
from bioimageio.spec import load_description, save_bioimageio_yaml_only
from bioimageio.spec.model import v0_5

np.save("test.npy", np.ones((1, 1, 64, 64), np.float32))
AXES = [
    v0_5.BatchAxis(),
    v0_5.ChannelAxis(channel_names=[v0_5.Identifier("image")]),
    v0_5.SpaceInputAxis(id=v0_5.AxisId("y"), size=v0_5.ParameterizedSize(min=32, step=16)),
    v0_5.SpaceInputAxis(id=v0_5.AxisId("x"), size=v0_5.ParameterizedSize(min=32, step=16)),
]


Path("weights.onnx").write_bytes(b"for the description alone")
WEIGHTS = v0_5.WeightsDescr(onnx=v0_5.OnnxWeightsDescr(source=Path("weights.onnx").absolute(), opset_version=18))
CITED = v0_5.CiteEntry(text="Ronneberger et al. 2015", doi=v0_5.Doi("10.1007/978-3-319-24574-4_28"))
Path("README.md").write_text("# Validation\n\nnone")


def there_and_back(padding):
    """The padding of a model's input as bioimageio.spec saves it, and as it reads it again."""
    test = v0_5.FileDescr(source=Path("test.npy").absolute())
    image = v0_5.InputTensorDescr(id=v0_5.TensorId("image"), axes=AXES, test_tensor=test, pad=padding)
    sizes = {axis: v0_5.SizeReference(tensor_id=image.id, axis_id=axis) for axis in map(v0_5.AxisId, "yx")}
    space = [v0_5.SpaceOutputAxis(id=axis, size=size) for axis, size in sizes.items()]
    made = v0_5.OutputTensorDescr(id=v0_5.TensorId("mask"), axes=[*AXES[:2], *space], test_tensor=test)
    model = v0_5.ModelDescr(
        name="example", inputs=[image], outputs=[made], weights=WEIGHTS, cite=[CITED], license="MIT",
        documentation=v0_5.FileDescr(source=Path("README.md").absolute()),
    )
    save_bioimageio_yaml_only(model, Path("rdf.yaml"))
    saved = yaml.safe_load(Path("rdf.yaml").read_text())["inputs"][0]["pad"]
    return saved, type(load_description(Path("rdf.yaml")).inputs[0].pad).__name__


found = {}
for text in ("ReflectPadding()", 'ReflectPadding(mode="reflect")'):
    saved, read = there_and_back(eval(f"v0_5.{text}"))
    found[text] = read
    print(f"{text} is saved as pad: {saved} and read back as {read}")
assert found == {"ReflectPadding()": "ConstantPadding", 'ReflectPadding(mode="reflect")': "ReflectPadding"}, found
print("reproduced")
PY
