"""Parameters that every reader of labels shares: dims, connectivity and the ignored label."""

from unetprep.errors import InvalidInput

DIMS = (2, 3)
CONNECTIVITIES = {2: (4, 8), 3: (6, 26)}  # dims: neighbours across sides alone, and across corners too
EVERY_CONNECTIVITY = ("auto", *CONNECTIVITIES[2], *CONNECTIVITIES[3])
DIMS_HELP = "2: the slices of a stack are independent images; 3: a stack is one volume."
IGNORE_HELP = "Label of pixels whose class is unknown; they are neither cell nor background."


def check_labels(dims: int, connectivity: str | int, ignore_label: int | None) -> None:
    """Raise InvalidInput for a connectivity of other dims, and for an ignored background."""
    if connectivity not in ("auto", *CONNECTIVITIES[dims]):
        raise InvalidInput(
            f"connectivity is {connectivity} with dims {dims}",
            allowed=" or ".join(map(str, CONNECTIVITIES[dims])) + f" with dims {dims}",
        )
    if ignore_label == 0:
        raise InvalidInput("ignore-label is 0, which is background", allowed="any other number that the labels hold")


def num_neighbours(dims: int, connectivity: str | int, corners: bool = False) -> int:
    """The connectivity as a number; auto: across sides alone, or with `corners` across corners too."""
    return CONNECTIVITIES[dims][corners] if isinstance(connectivity, str) else connectivity
