"""Verification of a store: every object present, intact, and consistent with its inputs."""

from unetprep.verification.faults import Fault as Fault
from unetprep.verification.verifier import Verified as Verified
from unetprep.verification.verifier import verify as verify
