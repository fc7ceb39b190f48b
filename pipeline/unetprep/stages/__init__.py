"""Stages of the pipeline: plans and jobs that compute the arrays of a store. `table.py` lists them."""

from unetprep.stages.table import STAGES as STAGES
from unetprep.stages.table import Stage as Stage
from unetprep.stages.table import stage_of as stage_of
