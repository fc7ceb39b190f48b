"""Base of the parameter classes of unettrain."""

from dataclasses import dataclass
from typing import ClassVar

from unetprep.errors import ReportedError
from unetprep.parameter import Params
from unettrain.errors import InvalidInput


@dataclass(frozen=True)
class TrainerParams(Params):
    """Base of parameter classes, whose errors are those of unettrain."""

    invalid_input: ClassVar[type[ReportedError]] = InvalidInput
