"""Table of the stages, the only place that lists them.

Commands, sections of a recipe, plans and runs are derived from it. The code of a stage is loaded when it is first
planned, so that `unetprep --help` stays fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unetprep.errors import InvalidInput
from unetprep.parameter import Params
from unetprep.params import DeformParams, TilesParams, WeightsParams

if TYPE_CHECKING:
    from unetprep.stages.base import Job
    from unetprep.store import Store

Step = Callable[["Store", Any], Sequence["Job"]]


@dataclass(frozen=True)
class Stage:
    """A stage: a command, a section of a recipe, and jobs that compute arrays of a store.

    `module` holds its code: `STEPS`, functions (store, params) -> jobs, each of which is called once the arrays of the
    step before are in the store; and optionally `describe(store, params)`, which writes whatever else belongs to them.
    """

    name: str
    params: type[Params]
    module: str
    summary: str  # one line for the list of commands
    help: str
    examples: tuple[str, ...]  # command lines
    imports_labels: bool = False  # whether its command can import labels first
    creates_store: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        steps: tuple[Step, ...] = import_module(self.module).STEPS
        return steps

    def describe(self, store: "Store", params: Params) -> None:
        """Write what belongs to the arrays of the stage, once they exist."""
        if write := getattr(import_module(self.module), "describe", None):
            write(store, params)


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "weights",
            WeightsParams,
            "unetprep.stages.weights",
            "Compute the weight maps.",
            "Compute the weight map: how much each pixel counts, most between cells that nearly touch.\n\n"
            "Also writes the target, with a line of background between touching cells.",
            (
                "unetprep weights --in labels.tif --out ds.zarr",
                "unetprep weights --out ds.zarr --sigma 5 --w0 10",
            ),
            imports_labels=True,
        ),
        Stage(
            "deform",
            DeformParams,
            "unetprep.stages.deform",
            "Draw random elastic deformations.",
            "Draw random elastic deformations and store them as coarse grids of displacements.",
            ("unetprep deform --out ds.zarr", "unetprep deform --out ds.zarr --fields 5000 --sigma 10 --seed 1"),
            creates_store=True,
        ),
        Stage(
            "tiles",
            TilesParams,
            "unetprep.stages.tiles",
            "Cut the images into overlap tiles.",
            "Cut the images into the network's input tiles, mirroring them at their edges.",
            (
                "unetprep tiles --out ds.zarr",
                "unetprep tiles --out ds.zarr --tile 316",
                "unetprep tiles --out ds.zarr --random 500 --index-only",
            ),
        ),
    )
}


def stage_of(params: Params) -> Stage:
    """The stage that takes parameters of this class. Raises InvalidInput if none does."""
    for stage in STAGES.values():
        if type(params) is stage.params:
            return stage
    raise InvalidInput(
        f"a stage is given as {type(params).__name__}",
        allowed=", ".join(stage.params.__name__ for stage in STAGES.values()),
    )
