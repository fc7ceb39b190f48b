"""Selection of the torch device."""

import torch

from unettrain.errors import InvalidInput


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU if torch sees one. Raises InvalidInput for a missing device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidInput(f"device is {name!r}", allowed="auto, cpu, cuda, cuda:1, mps ...") from None
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(device.type, False) or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise InvalidInput(f"torch sees no device {name!r} here", allowed="auto, cpu, or an existing device")
    return device
