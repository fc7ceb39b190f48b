"""Comparison of the pixel size of a new image with that of the training images."""

from dataclasses import dataclass

from unetprep.lengths import METERS
from unetprep.sources.calibration import Calibration
from unettrain.errors import InvalidInput

FACTOR = 1.5  # pixels larger or smaller by more than this are another pixel size
RULES = ("check", "resample", "ignore")
MICROMETER = METERS["micrometer"]


@dataclass(frozen=True)
class Resizing:
    """The size (y, x) to which an image is resampled, None for its own, and what speaks against its pixel size."""

    size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()


def resizing_of(
    trained_um: tuple[float, float] | None,
    calibration: Calibration | None,
    size: tuple[int, int],
    rule: str,
    path: str,
) -> Resizing:
    """What a rule asks for an image of `size` (y, x): one of `RULES`.

    `trained_um` is the pixel size of the training images along y and x in micrometers. check refuses an image whose
    pixels are larger or smaller by more than `FACTOR`; resample gives it pixels of the size of the training; ignore
    predicts it as it is, with a warning. Raises InvalidInput for another rule too.
    """
    if rule not in RULES:
        raise InvalidInput(f"pixel-size is {rule!r}", allowed=", ".join(RULES))
    if trained_um is None:
        return Resizing()
    found = _in_um(calibration)
    trained = f"{trained_um[0]:.4g} x {trained_um[1]:.4g} um (y, x)"
    if found is None:
        return Resizing(warnings=(f"{path} states no pixel size; the training images have {trained}",))
    ratios = [a / b for a, b in zip(found, trained_um, strict=True)]
    if all(1 / FACTOR <= ratio <= FACTOR for ratio in ratios):
        return Resizing()
    problem = f"{path} has pixels of {found[0]:.4g} x {found[1]:.4g} um, and the training images of {trained}"
    if rule == "check":
        raise InvalidInput(
            problem,
            allowed=f"pixels larger or smaller by at most a factor of {FACTOR:g}",
            hint="--pixel-size resample predicts it at the pixel size of the training, --pixel-size ignore as it is",
        )
    if rule == "ignore":
        return Resizing(warnings=(problem,))
    height, width = (max(1, round(n * ratio)) for n, ratio in zip(size, ratios, strict=True))
    return Resizing((height, width))


def _in_um(calibration: Calibration | None) -> tuple[float, float] | None:
    if calibration is None or calibration.unit not in METERS:
        return None
    factor = METERS[calibration.unit] / MICROMETER
    return calibration.y * factor, calibration.x * factor
