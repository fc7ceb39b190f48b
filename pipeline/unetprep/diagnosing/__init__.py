"""Checks of an installation and of a machine, for `unetprep doctor`."""

from unetprep.diagnosing.check import Check as Check
from unetprep.diagnosing.diagnosis import doctor as doctor

__all__ = ["Check", "doctor"]
