"""Description of an exported network, as plain values: shape, sizes, intensity, pixel size and decoding."""

from dataclasses import asdict
from typing import Any

from unettrain.checkpoint import Checkpoint
from unettrain.config import UNetConfig
from unettrain.export.intensity import Scaling

SCHEMA_VERSION = 1


def describe(
    checkpoint: Checkpoint, config: UNetConfig, scaling: Scaling, pixel_um: tuple[float, float] | None, software: str
) -> dict[str, Any]:
    """What a program that runs the exported network needs to know.

    Sides of tiles are `tile_least` + k * `tile_step`; the output is `border` pixels smaller; of it, `halo` pixels along
    each edge have seen zeros beyond the tile and must be discarded. `pixel_um` is (y, x).
    """
    padded = config.padding == "same"
    return {
        "schema_version": SCHEMA_VERSION,
        "software": software,
        "network": asdict(config),
        "step": checkpoint.step,
        "tile_least": config.least_tile_px,
        "tile_step": config.pool_px,
        "tile_trained": checkpoint.tile_px,
        "border": config.border_px,
        "halo": config.halo_px if padded else 0,
        "missing_context": "mirrored without repeating the edge pixel",
        "intensity": scaling.as_dict(),
        "pixel_um": None if pixel_um is None else list(pixel_um),
        "output": "softmax: the probability of each class, background first",
        "classes": class_names(config.num_classes),
        "decoding": asdict(checkpoint.decoding_params),
    }


def class_names(num_classes: int) -> list[str]:
    """Names of the classes: background and foreground, or background and class1, class2 ..."""
    return (
        ["background", "foreground"]
        if num_classes == 2
        else ["background", *(f"class{k}" for k in range(1, num_classes))]
    )
