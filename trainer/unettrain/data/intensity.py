"""Intensity scaling: the values of an image that become 0 and 1 for the network.

An image is scaled as a whole, never tile by tile: ranges of tiles give seams. Images of a store record their range. The
range of a new image follows from the rule, dtype and ranges of the training images, which the checkpoint records, and
comes with warnings where the image differs from those.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.intensity_rules import CLIP, INTENSITY_RULES, intensity_rule_for
from unetprep.kernels.percentiles import RobustRange, intensity_limits, robust_range
from unetprep.parameter import as_text
from unettrain.errors import InvalidInput

BLOCK_PIXELS = 2**22  # that are read at once, in at least LEAST_ROWS: of a tiled file, rows of its tiles
LEAST_ROWS, MOST_ROWS = 256, 1024
FACTOR = 4.0  # a range this many times wider or narrower than those of the training images gives a warning

Range = tuple[float, float]


class ArrayLike(Protocol):
    """A numpy array, or something that is cut like one and read where it is cut, such as a zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sides."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""

    def __getitem__(self, key: Any) -> Any:
        """A part of it."""


@dataclass(frozen=True)
class TrainingImages:
    """Intensities and pixel size of the images that a network was trained on.

    `rule` found the range of each; `dtype` is that of the stored images, "" where a checkpoint does not record it.
    `range` and `percentiles` are medians over the images, (low, high) each: the values that became 0 and 1, and the
    robust range of the values; `width` is the least and the greatest width of the latter; `pixel_um` is the median
    pixel size along y and x in micrometers. None where the store does not record them.
    """

    rule: str = "auto"
    dtype: str = ""
    range: Range | None = None
    percentiles: Range | None = None
    width: Range | None = None
    pixel_um: Range | None = None

    @staticmethod
    def of(rule: str, dtype: str, seen: Mapping[str, Any]) -> "TrainingImages":
        """From the rule and the `training_intensity` of a store or a checkpoint; that may be empty.

        Raises InvalidInput where it is malformed.
        """
        ranges: dict[str, Range] = {}
        for key in ("range", "percentiles", "width", *(["pixel_um"] if "pixel_um" in seen else [])) if seen else ():
            pair = seen.get(key)
            if not (
                isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(v, int | float) for v in pair)
            ):
                raise InvalidInput(f"training_intensity has {key} {pair!r}", allowed="two numbers")
            ranges[key] = float(pair[0]), float(pair[1])
        return TrainingImages(_resolved(rule, dtype, "range" in ranges), dtype, **ranges)

    def as_values(self) -> dict[str, Any]:
        """The ranges as lists, which `of` reads; empty where they are not known."""
        if self.range is None or self.percentiles is None or self.width is None:
            return {}
        pixel = {"pixel_um": [*self.pixel_um]} if self.pixel_um else {}
        return {"range": [*self.range], "percentiles": [*self.percentiles], "width": [*self.width], **pixel}

    def content(self) -> Range:
        """The percentiles of the training images after scaling; 0 and 1 where they are not known."""
        if self.range is None or self.percentiles is None or self.width is None or self.width[0] <= 0:
            return 0.0, 1.0
        (low, high), (least, greatest) = self.range, self.percentiles
        return (least - low) / (high - low), (greatest - low) / (high - low)


NO_IMAGES = TrainingImages()  # nothing is known of them


def _resolved(rule: str, dtype: str, has_percentiles: bool) -> str:
    """The rule that `auto` stood for; before stores recorded percentiles it was minmax for all dtypes but uint8."""
    if rule != "auto" or not dtype:
        return rule
    return intensity_rule_for(rule, dtype) if has_percentiles or dtype == "uint8" else "minmax"


@dataclass(frozen=True)
class Scaling:
    """(low, high), the values of an image that become 0 and 1, and what speaks against it."""

    range: Range
    warnings: tuple[str, ...] = ()


def intensity_range(image: ArrayLike, rule: str = "auto") -> Range:
    """(low, high) of an image (..., y, x): the values that become 0 and 1.

    dtype: the range of its integer type. minmax: its least and greatest value. percentile: percentiles that hot pixels
    do not change (`unetprep.kernels.percentiles`). auto: dtype for uint8, percentile for every other. The image is read
    a block of rows at a time. A constant image gets high = low + 1.

    Raises InvalidInput for an empty image, values that are not finite, and rule dtype for real numbers.
    """
    if rule not in INTENSITY_RULES:
        raise InvalidInput(f"intensity rule is {rule!r}", allowed=", ".join(INTENSITY_RULES))
    return _limits(rule, image, _robust_range(image))


def checked_intensity(asked: str | tuple[float, ...]) -> str | Range:
    """A rule, or a range (low, high) as floats. Raises InvalidInput for everything else."""
    if isinstance(asked, str) and asked in INTENSITY_RULES:
        return asked
    low, high = map(float, asked) if isinstance(asked, tuple) and len(asked) == 2 else (np.nan, np.nan)
    if not (low < high and np.isfinite(high - low)):
        allowed = f"two numbers LOW,HIGH of which LOW is less, such as 0,4095; or {', '.join(INTENSITY_RULES)}"
        raise InvalidInput(f"intensity is {asked if isinstance(asked, str) else as_text(asked)!r}", allowed=allowed)
    return low, high


def scaling_of(
    image: ArrayLike,
    trained: TrainingImages,
    asked: str | tuple[float, ...] | None = None,
    recorded: Range | None = None,
) -> Scaling:
    """The scaling of a new image (..., y, x), as a network that was trained on `trained` expects it.

    `asked` is a rule or a range and has precedence, then comes the range that a store recorded. Otherwise the rule
    of the training holds; an image of another dtype is scaled so that its percentiles become those of the scaled
    training images, since values of two dtypes are not on one scale.

    Raises InvalidInput as `intensity_range` and `checked_intensity` do.
    """
    wanted = recorded if asked is None else checked_intensity(asked)
    seen = _robust_range(image)
    same_dtype = not trained.dtype or stored_dtype(image.dtype) == trained.dtype
    if isinstance(wanted, tuple):
        found = wanted
    elif wanted:
        found = _limits(wanted, image, seen)
    elif same_dtype:
        found = _limits(_rule_of(trained, image), image, seen)
    else:
        found = _matched(seen, trained.content())
    return Scaling(found, tuple(_warnings(image, seen, found, trained, chosen=asked is not None)))


def stored_dtype(dtype: np.dtype[Any]) -> str:
    """The dtype that a store keeps images of a dtype in."""
    return {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}.get(np.dtype(dtype).name, "float32")


def scale_intensity(image: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """(image - low) / (high - low) in float32, clipped to CLIP, in a new array of the same shape."""
    scaled = image.astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low) or np.float32(1)
    return np.clip(scaled, *map(np.float32, CLIP), out=scaled)


def _robust_range(image: ArrayLike) -> RobustRange:
    if 0 in image.shape:
        raise InvalidInput(f"an image of shape {tuple(image.shape)} has no pixels")
    seen = robust_range(lambda: _blocks(image), image.dtype)
    if not np.isfinite(seen.greatest - seen.least):
        seen_values = f"reach from {seen.least} to {seen.greatest}" if seen.least <= seen.greatest else "include NaN"
        raise InvalidInput(f"the image's values {seen_values}", allowed="finite numbers of float32")
    return seen


def rows_at_once(width: int) -> int:
    """Rows of an image that are read at once to find its intensity range; an even number."""
    return max(LEAST_ROWS, min(MOST_ROWS, BLOCK_PIXELS // width // 2 * 2))


def _blocks(image: ArrayLike) -> Iterator[NDArray[Any]]:
    rows = rows_at_once(image.shape[-1])
    for index in np.ndindex(image.shape[:-2]):
        for top in range(0, image.shape[-2], rows):
            yield np.asarray(image[(*index, slice(top, top + rows))])


def _limits(rule: str, image: ArrayLike, seen: RobustRange) -> Range:
    if rule == "dtype" and image.dtype.kind not in "ui":
        raise InvalidInput(
            f"the image has dtype {image.dtype}, which has no range of its own",
            allowed="integers with intensity dtype",
            hint="--intensity percentile, or --intensity LOW,HIGH",
        )
    return intensity_limits(rule, image.dtype, seen)


def _rule_of(trained: TrainingImages, image: ArrayLike) -> str:
    """The rule of the training; of a checkpoint that records no dtype, as older releases understood `auto`."""
    if trained.rule == "auto" and not trained.dtype:
        return "dtype" if image.dtype == np.uint8 else "minmax"
    return trained.rule


def _matched(seen: RobustRange, content: Range) -> Range:
    """The range that brings the percentiles of an image to `content`."""
    flat = max(1.0, abs(seen.low) * 1e-6)  # of an image of one value, a width that float64 can add to it
    width = ((seen.high - seen.low) or flat) / (content[1] - content[0])
    low = seen.low - content[0] * width
    return low, low + width


def _warnings(
    image: ArrayLike, seen: RobustRange, found: Range, trained: TrainingImages, chosen: bool
) -> Iterator[str]:
    """What makes the image different from the training images, so that the prediction may be worse than it could be."""
    dtype, limits = stored_dtype(image.dtype), f"{found[0]:g},{found[1]:g}"
    if not trained.dtype and dtype != "uint8" and trained.rule == "auto" and not chosen:
        yield (
            "the checkpoint is of an older release, which scaled such images by their least and greatest value: one"
            " bright pixel decides the range; --intensity percentile is not affected by it"
        )
    if trained.dtype and dtype != trained.dtype:
        yield (
            f"the image has dtype {image.dtype}, the training images had {trained.dtype}: it is scaled by {limits};"
            " --intensity LOW,HIGH sets another range"
        )
    elif trained.width and not trained.width[0] / FACTOR <= seen.high - seen.low <= trained.width[1] * FACTOR:
        narrow, wide = (f"{width:g}" for width in trained.width)
        yield (
            f"the image's values span {seen.low:g} to {seen.high:g}, over {FACTOR:g} times more or less than those of"
            f" the training images (spans of {narrow} to {wide}): it may be empty, or of another exposure;"
            + (f" the training images had the range --intensity {_typical(trained)}" if not chosen else "")
        )
    least, greatest = trained.content()
    reach = (FACTOR - 1) * (greatest - least)
    bottom, top = ((value - found[0]) / (found[1] - found[0]) for value in (seen.least, seen.greatest))
    if bottom < least - reach or top > greatest + reach:
        yield (
            f"scaled by {limits}, the image's values reach from {bottom:.3g} to {top:.3g}, while the training images"
            f" held {least:.3g} to {greatest:.3g}: hot pixels, or another exposure; the network sees them clipped to"
            f" {CLIP[0]:g} to {CLIP[1]:g}"
        )


def _typical(trained: TrainingImages) -> str:
    return f"{trained.range[0]:g},{trained.range[1]:g}" if trained.range else "LOW,HIGH"
