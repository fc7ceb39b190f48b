"""Parameters that every reader of image and label files shares: which image of a file is read, and its axes."""

from dataclasses import dataclass

from unetprep.parameter import Params, parameter


@dataclass(frozen=True)
class FileParams(Params):
    """How image and label files are read."""

    axes: str = parameter(
        "",
        "Axes of the image files, and of label files with as many axes, with or without c, as yx, zyx, cyx, yxc or czyx"
        " (z: slices or a volume, c: channels).  [default: as the file says]",
    )
    label_axes: str = parameter("", "Axes of the label files, where they differ from --axes.  [default: --axes]")
    level: int = parameter(
        0,
        "Level of images that are pyramids, such as whole slides and OME-Zarr; 0 is the full resolution."
        " Labels without levels are taken as they are.",
        least=0,
    )
    series: int | None = parameter(
        None, "Which image of a file with several; 0 is the first.  [default: the only one]", least=0
    )
    label_channel: int | None = parameter(
        None,
        "Channel of the label files that holds the numbers of the cells; 0 is the first.  [default: the only one]",
        least=0,
    )
