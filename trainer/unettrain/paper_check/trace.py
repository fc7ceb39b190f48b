"""Inputs and outputs of the blocks of a network during one run."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unettrain.model import UNet

Replace = Callable[[str, Tensor], Tensor]


def keep(_: str, output: Tensor) -> Tensor:
    """The output itself."""
    return output


def blocks(model: UNet) -> dict[str, nn.Module]:
    """The blocks by name: down.0 to down.3, bottom, up.0 ..., merge.0 ..., head."""
    groups = {"down": model.down, "up": model.up, "merge": model.merge}
    named = {f"{name}.{k}": block for name, group in groups.items() for k, block in enumerate(group)}
    return named | {"bottom": model.bottom, "head": model.head}


@torch.no_grad()
def trace(model: UNet, image: Tensor, replace: Replace = keep) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of each block, in the order of computation; `replace` may put others in place of outputs."""
    inputs, outputs = dict[str, Tensor](), dict[str, Tensor]()

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def seen(_: nn.Module, args: Any, output: Tensor) -> Tensor:
            inputs[name], outputs[name] = args[0], replace(name, output)
            return outputs[name]

        return seen

    hooks = [block.register_forward_hook(hook(name)) for name, block in blocks(model).items()]
    try:
        model(image)
    finally:
        for hooked in hooks:
            hooked.remove()
    return inputs, outputs


def sides(tensors: dict[str, Tensor], *kinds: str) -> list[int]:
    """Sides of the tensors of these kinds of blocks, in the order of computation."""
    return [tensor.shape[-1] for name, tensor in tensors.items() if name.split(".")[0] in kinds]


def channels(tensors: dict[str, Tensor], *kinds: str) -> list[int]:
    """Channels of the tensors of these kinds of blocks, in the order of computation."""
    return [tensor.shape[1] for name, tensor in tensors.items() if name.split(".")[0] in kinds]
