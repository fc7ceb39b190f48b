"""Verification of a store: every object present, intact, and consistent with its inputs."""

from unetprep.verify.faults import Fault as Fault
from unetprep.verify.verifier import Verified as Verified
from unetprep.verify.verifier import verify as verify
