"""Estimates of a run before it starts: tasks, files, bytes, memory and time. Nothing is written."""

from unetprep.estimate.forecast import ArrayForecast as ArrayForecast
from unetprep.estimate.forecast import Forecast as Forecast
from unetprep.estimate.forecast import StageForecast as StageForecast
