"""Memory of this machine, and a check that a network fits into it before any of it is allocated.

Linux grants more memory than there is, and kills the process that uses it.
"""

import os
from contextlib import suppress
from pathlib import Path

from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
COPIES = {"sgd": 3, "adam": 4}  # weights, gradients, and one or two moments
VALUE_BYTES = 4


def memory_bytes() -> int | None:
    """Memory of this machine, or of the container if that is less; None where the system does not say."""
    found = []
    with suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in CGROUP_LIMITS:
        with suppress(ValueError, OSError):
            found.append(int(Path(path).read_text()))
    return min(found, default=None)


def check_memory(network: UNetConfig, config: FitConfig, on_gpu: bool) -> None:
    """Raise InvalidInput if the network's parameters, and on the CPU all that an update keeps of them, do not fit."""
    available = memory_bytes()
    num_parameters = sum(p.numel() for p in UNet(network, seed=None).parameters())
    needed = num_parameters * VALUE_BYTES * (1 if on_gpu else COPIES[config.optimizer])
    if available is not None and needed > available:
        raise InvalidInput(
            f"a network of {num_parameters:,} parameters needs {needed / 2**30:.1f} GiB of memory for its training, and"
            f" this machine has {available / 2**30:.1f} GiB",
            hint=f"fewer base-channels than {network.base_channels}: half as many take a quarter of the memory",
        )
