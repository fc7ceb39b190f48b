"""Programs of torch.export from a network: any batch, and any legal sides."""

import io
import json
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from unettrain.checkpoint import Checkpoint
from unettrain.errors import InvalidInput
from unettrain.model import UNet

LARGEST_SIDE_PX, LARGEST_BATCH = 2**16, 2**12
DESCRIPTION = "unettrain.json"  # file in a .pt2 archive


class Probabilities(nn.Module):
    """A network followed by the softmax, which together give the probabilities that `unettrain predict` writes."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities of every class of images (b, c, y, x) float32."""
        return self.network.unchecked(image).softmax(1)


def network_for_export(checkpoint: Checkpoint, padding: str) -> UNet:
    """The network of a checkpoint in evaluation mode; with `padding` "same", its weights in a padded network.

    Raises InvalidInput for a padded network with instance normalisation, whose statistics padding would change.
    """
    network = checkpoint.build()
    if padding != "same" or network.config.padding == "same":
        return network
    if not network.config.is_local:
        raise InvalidInput(
            "the network has instance normalisation, whose statistics would change with padding same",
            allowed="padding trained",
        )
    padded = UNet(replace(network.config, padding="same"), seed=None)
    padded.load_state_dict(network.state_dict(), assign=True)
    return padded.eval()


def exported_program(network: UNet) -> ExportedProgram:
    """The program of a network and its softmax, for any batch and any legal sides (`UNetConfig.is_legal_tile`)."""
    config = network.config
    smallest, step = config.legal_tiles_near(1)[0], config.pool_px
    first, rest = divmod(smallest, step)
    most = LARGEST_SIDE_PX // step
    y, x = (step * Dim(name, min=first, max=most) + rest for name in ("y_steps", "x_steps"))
    image = torch.zeros(2, config.in_channels, smallest + step, smallest + 2 * step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own use of its trees
        return torch.export.export(
            Probabilities(network).eval(),
            (image,),
            dynamic_shapes={"image": {0: Dim("batch", min=1, max=LARGEST_BATCH), 2: y, 3: x}},
        )


def program_bytes(network: UNet, description: dict[str, Any]) -> bytes:
    """The content of a .pt2 file, with the description as a file of its archive."""
    content = io.BytesIO()
    torch.export.save(exported_program(network), content, extra_files={DESCRIPTION: json.dumps(description)})
    return content.getvalue()
