"""Whether a store is what was written."""

from unetprep.verify.faults import Fault as Fault
from unetprep.verify.verifier import Verified as Verified
from unetprep.verify.verifier import verify as verify
