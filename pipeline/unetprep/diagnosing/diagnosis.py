"""The diagnosis: all checks, in the order in which they are shown."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from unetprep.diagnosing.check import Check
from unetprep.diagnosing.extras import check_extras, check_formats
from unetprep.diagnosing.folder import check_folder
from unetprep.diagnosing.machine import check_machine
from unetprep.diagnosing.packages import check_packages
from unetprep.diagnosing.programs import check_compiled, check_gpu, check_schedulers


def doctor(folder: str | Path = ".") -> list[Check]:
    """Check the installation, this machine, and the folder in which stores and runs shall lie.

    Versions come from the records of the installed packages. torch and the compiled base packages are loaded by
    processes of their own, since a broken library may end the process that loads it. In `folder` some small files are
    written and removed. Raises nothing: whatever fails is a check with the state "fault".

        [check for check in unetprep.doctor() if check.state == "fault"]
    """
    with ThreadPoolExecutor(2) as pool:
        compiled, gpu = pool.submit(check_compiled), pool.submit(check_gpu)
        checks = [*check_packages(), *check_extras(), *check_formats(), *check_schedulers()]
        rest = [*check_machine(), *check_folder(Path(folder))]
        return [*checks, *compiled.result(), *gpu.result(), *rest]
