"""Layers in a foreign state dict, in its order: convolutions, up-convolutions, the head, and normalisations.

A layer is the group of tensors whose names differ in the last part alone, such as `inc.double_conv.0.weight` and
`.bias`. Which kind it is follows from the shape of its weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unettrain.errors import InvalidInput

COUNTER = "num_batches_tracked"
KNOWN = {"weight", "bias", "running_mean", "running_var", COUNTER}
KINDS = {3: "convolution", 2: "up-convolution", 1: "head"}  # by the side of the kernel


@dataclass
class Layer:
    """A convolution with the normalisation that follows it, if any. `shape` is that of the weight."""

    name: str
    kind: str
    tensors: dict[str, Tensor]
    norm_name: str = ""
    norm: dict[str, Tensor] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight: (out, in, y, x); of an up-convolution (in, out, y, x)."""
        return tuple(self.tensors["weight"].shape)


def layers_of(state: Mapping[str, Tensor]) -> list[Layer]:
    """The layers in the order of the file. Raises InvalidInput, naming the tensors, for what a U-Net does not have."""
    found: list[Layer] = []
    for name, tensors in _groups(state).items():
        weight = tensors.get("weight")
        unknown = sorted(set(tensors) - KNOWN)
        if weight is None or unknown:
            raise _unknown(f"{name}.{(unknown or sorted(tensors))[0]}")
        if weight.ndim == 1:  # a normalisation
            if not found or found[-1].norm is not None or weight.shape[0] not in found[-1].shape[:2]:
                raise _unknown(f"{name}.weight", weight)
            found[-1].norm, found[-1].norm_name = tensors, name
        else:
            side = weight.shape[-1]
            is_square = weight.ndim == 4 and weight.shape[2:] == (side, side) and side in KINDS
            if not is_square or set(tensors) - {"weight", "bias"}:
                raise _unknown(f"{name}.weight", weight)
            found.append(Layer(name, KINDS[side], tensors))
    return found


def _groups(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        layer, _, part = name.rpartition(".")
        if part != COUNTER and (tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64)):
            raise _unknown(name, tensor)
        groups.setdefault(layer, {})[part] = tensor
    return groups


def _unknown(name: str, tensor: Tensor | None = None) -> InvalidInput:
    shape = "" if tensor is None else f", {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)},"
    return InvalidInput(
        f"{name}{shape} is no part of a U-Net of this kind; nothing was imported",
        allowed="3x3 convolutions, each followed by nothing or by a normalisation; 2x2 up-convolutions; a 1x1 head",
    )
