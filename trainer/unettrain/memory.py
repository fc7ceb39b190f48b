"""Check that a network fits into memory before any of it is allocated.

Linux grants more memory than there is, and kills the process that uses it.
"""

from unetprep.host_memory import total_memory
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

COPIES = {"sgd": 3, "adam": 4, "adamw": 4}  # weights, gradients, and one or two moments
VALUE_BYTES = 4


def check_memory(network: UNetConfig, config: FitConfig, on_gpu: bool) -> None:
    """Raise InvalidInput if the parameters of a network and, on the CPU, its gradients and moments do not fit."""
    total = total_memory()
    num_parameters = sum(p.numel() for p in UNet(network, seed=None).parameters())
    needed = num_parameters * VALUE_BYTES * (1 if on_gpu else COPIES[config.optimizer])
    if total is not None and needed > total:
        raise InvalidInput(
            f"a network of {num_parameters:,} parameters needs {needed / 2**30:.1f} GiB of memory for its training, and"
            f" this machine has {total / 2**30:.1f} GiB",
            hint=f"fewer base-channels than {network.base_channels}: half as many take a quarter of the memory",
        )
