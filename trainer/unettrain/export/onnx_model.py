"""ONNX models from a network, in one file, verified with ONNX Runtime."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from unettrain.errors import Failure, InvalidInput
from unettrain.export.program import exported_program
from unettrain.model import UNet

OPSET = 18
INPUT, OUTPUT = "image", "probabilities"
LARGEST_BYTES = 2**31 - 2**20  # of one protobuf message
TOLERANCE = 1e-5  # of a probability
REGISTRATION = "torch.onnx._internal.exporter._registration"  # the logger of the operators that torch can export


def onnx_bytes(network: UNet, description: dict[str, Any], producer: str) -> bytes:
    """The content of an ONNX file with all weights; the description stands in its metadata, under "unettrain".

    Raises InvalidInput for a network that is too large for one file.
    """
    num_bytes = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if num_bytes > LARGEST_BYTES:
        raise InvalidInput(f"the weights take {num_bytes:,} bytes", allowed="up to 2 GiB in one ONNX file")
    with warnings.catch_warnings(), _without_notices_of_torchvision():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        converted = torch.onnx.export(
            exported_program(network),
            dynamo=True,
            external_data=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert converted is not None
    model = converted.model_proto
    model.producer_name = producer
    onnx.helper.set_model_props(model, {"unettrain": json.dumps(description)})
    return bytes(model.SerializeToString())


@contextmanager
def _without_notices_of_torchvision() -> Iterator[None]:
    """Drop what the exporter logs for each operator of torchvision, which no network here uses."""
    logger = logging.getLogger(REGISTRATION)

    def is_other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("torchvision is not installed")

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def verify_onnx(content: bytes, network: UNet, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of an image (1, c, y, x) by ONNX Runtime. Raises Failure if those of torch are others."""
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).softmax(1).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: image})
    off = float(abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not off <= TOLERANCE:
        raise Failure(f"the ONNX model gives other probabilities than torch: by {off:.1e}", allowed=f"{TOLERANCE:g}")
    return np.asarray(expected, np.float32)
