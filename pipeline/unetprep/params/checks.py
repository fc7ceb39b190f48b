"""Parameters of `unetprep lint` and `unetprep verify`."""

from dataclasses import dataclass

from unetprep.parameter import Params, parameter
from unetprep.params.files import FileParams
from unetprep.params.labels import DIMS, DIMS_HELP, EVERY_CONNECTIVITY, IGNORE_HELP, check_labels

LINT_RULES = ("empty", "binary", "float", "overflow", "interpolated", "classes", "split", "tiny", "touching")
TINY_PX = {2: 10, 3: 30}  # by dims


@dataclass(frozen=True)
class LintParams(FileParams):
    """How labels are checked."""

    dims: int = parameter(2, DIMS_HELP, choices=DIMS)
    connectivity: str | int = parameter(
        "auto",
        "Neighbours that make pixels one component: 4 or 8, or 6 or 26 with --dims 3; auto: 8 or 26, since components"
        " that touch at a corner are hardly a fault.",
        choices=EVERY_CONNECTIVITY,
    )
    ignore_label: int | None = parameter(None, IGNORE_HELP)
    tiny_px: int | None = parameter(
        None,
        "Components of fewer pixels are reported as tiny.  [default: 10, or 30 with --dims 3]",
        least=0,
        most=10**12,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labels(self.dims, self.connectivity, self.ignore_label)

    def least_px(self) -> int:
        """Pixels from which on a component is not tiny."""
        return TINY_PX[self.dims] if self.tiny_px is None else self.tiny_px


@dataclass(frozen=True)
class VerifyParams(Params):
    """How much of a store is recomputed."""

    samples: int = parameter(
        4,
        "Shards of each kind (target, weights, fields, tiles) that are recomputed and compared.",
        least=0,
        most=10**9,
    )
    all: bool = parameter(False, "Recompute every shard, which takes longer than making the store.")
    seed: int = parameter(0, "Seed of the random choice of these shards.", least=0)
