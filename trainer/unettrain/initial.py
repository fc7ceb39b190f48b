"""Initial weights from a trained network (fine-tuning)."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from torch import Tensor

from unettrain.checkpoint import Checkpoint
from unettrain.config import SHAPE, FitConfig, UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

KEY = "initial weights"  # beside the paths of arrays, in the data that identify a run
RENEWED = {"head": ("num_classes", "classes"), "down.0.0": ("in_channels", "channels")}  # layers that may differ


@dataclass(frozen=True)
class InitialWeights:
    """Weights to begin with: those of another network, and new ones for layers of another shape.

    `digest` identifies the source; `text` says what was taken.
    """

    weights: Mapping[str, Tensor]
    digest: str
    text: str


def adopt_network(config: FitConfig, source: Checkpoint, path: str | Path, given: Collection[str] = ()) -> FitConfig:
    """The configuration with the shape of a trained network, where it does not ask for another one.

    Raises InvalidInput if it does: by a value that is not the default, or by one of the fields in `given`.
    """
    there, asked, usual = asdict(source.network), asdict(config), asdict(FitConfig())
    for name in SHAPE:
        if asked[name] != there[name] and (asked[name] != usual[name] or name in given):
            raise InvalidInput(
                f"{name.replace('_', '-')} is {asked[name]}, and the network of {path} has {there[name]}",
                allowed="its own shape: leave the option out",
            )
    return replace(config, **{name: there[name] for name in SHAPE})


def initial_weights(source: Checkpoint, path: str | Path, network: UNetConfig, seed: int) -> InitialWeights:
    """Weights of `network` from a checkpoint; the first layer and the last may have other channels, and are then new.

    Raises InvalidInput, naming what differs, for any other difference.
    """
    trained, new = source.ema or source.weights, UNet(network, seed).state_dict()
    layers = {name.rpartition(".")[0] for name in new if name not in trained or trained[name].shape != new[name].shape}
    if layers - RENEWED.keys() or trained.keys() - new.keys():
        pairs = ((f.name, getattr(source.network, f.name), getattr(network, f.name)) for f in fields(UNetConfig))
        said = [f"{name.replace('_', '-')} is {a} there and {b} here" for name, a, b in pairs if a != b]
        raise InvalidInput(f"the network of {path} has another shape: {', '.join(said)}")
    taken = {name: new[name] if name.rpartition(".")[0] in layers else trained[name] for name in new}
    digest = hashlib.sha256()
    for name, tensor in sorted(trained.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    text = f"initial weights of {path}, step {source.step:,}: "
    text += "all layers" if not layers else f"all layers but {_differences(layers, source.network, network)}"
    return InitialWeights(taken, digest.hexdigest(), text)


def _differences(layers: set[str], there: UNetConfig, here: UNetConfig) -> str:
    return " and ".join(
        f"{layer}, which is new ({getattr(there, field)} {what} there, {getattr(here, field)} here)"
        for layer, (field, what) in RENEWED.items()
        if layer in layers
    )
