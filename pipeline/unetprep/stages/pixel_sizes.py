"""Pixel size of an imported image: as given, or as its file states it."""

from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.params import ImportParams
from unetprep.params.pixel_size import LENGTH_UNITS, check_spacing
from unetprep.sources import Source

ALIKE = 0.01  # relative difference of the pixel sizes of an image and its labels that counts as rounding


@dataclass(frozen=True)
class ImageScale:
    """Pixel size along z, y and x, None where it is unknown, and its unit, "" if that is unknown."""

    spacing: tuple[float | None, float, float] | None = None
    unit: str = ""

    def __str__(self) -> str:
        sizes = " x ".join("?" if n is None else f"{n:g}" for n in self.spacing or ())
        return f"{sizes} {self.unit}".strip()


UNKNOWN = ImageScale()


def scale_of(image: Source | None, labels: Source, params: ImportParams) -> ImageScale:
    """The pixel size of an image: the parameter, else that of the image's file, else that of its labels'.

    The size of voxels (dims 3) is known only with the distance of slices. Raises InvalidInput, with the file, for sizes
    that cannot be.
    """
    if params.spacing is not None:
        return ImageScale(params.pixel_sizes(), params.unit)
    stated = (stated_scale(source, params.dims) for source in (image, labels))
    return next((scale for scale in stated if scale.spacing), UNKNOWN)


def stated_scale(source: Source | None, dims: int) -> ImageScale:
    """The pixel size that a file states."""
    if source is None or source.pixel_size is None:
        return UNKNOWN
    z, y, x = source.pixel_size
    if y is None or x is None or (z is None and dims == 3):
        return UNKNOWN
    try:
        check_spacing(tuple(n for n in (z, y, x) if n is not None) if dims == 3 else (y, x))
    except InvalidInput as error:
        raise InvalidInput(
            f"{source.path} states a pixel size that cannot be used: {str(error).splitlines()[0]}",
            hint="give the right one with --spacing",
        ) from None
    return ImageScale((z, y, x), source.unit if source.unit in LENGTH_UNITS else "")


def scale_notes(image: Source | None, labels: Source, params: ImportParams) -> list[str]:
    """What speaks against the pixel sizes in the files of an image."""
    if params.spacing is not None:
        return []
    notes = []
    for source in (image, labels):
        if source and source.pixel_size and source.pixel_size[0] is None and params.dims == 3:
            notes.append(
                f"{source.path} states a pixel size along y and x, but no distance of slices, so that its voxels count"
                " as cubes; --spacing Z,Y,X gives it"
            )
            break
    stated = [stated_scale(source, params.dims) for source in (image, labels)]
    if all(scale.spacing for scale in stated) and _differ(*stated):
        notes.append(f"{labels.path} states a pixel size of {stated[1]}, and its image {stated[0]}, which is taken")
    return notes


def _differ(one: ImageScale, other: ImageScale) -> bool:
    pairs = [(a, b) for a, b in zip(one.spacing or (), other.spacing or (), strict=True) if a and b]
    ratios = [a / b for a, b in pairs]
    is_uneven = any(abs(ratio / ratios[-1] - 1) > ALIKE for ratio in ratios)
    return is_uneven or (one.unit == other.unit and abs(ratios[-1] - 1) > ALIKE)
