"""Table of stages by command name. A new stage is a module in this package and one line below."""

from unetprep.stages.base import Stage
from unetprep.stages.deform import DEFORM
from unetprep.stages.tiles import TILES_STAGE
from unetprep.stages.weights import WEIGHTS

STAGES: dict[str, Stage] = {stage.name: stage for stage in (WEIGHTS, DEFORM, TILES_STAGE)}
