import json

import pytest

from tests.cli.conftest import Run
from unetprep import Check

CHECKS = [
    Check("packages", "numpy", "ok", "2.0"),
    Check("extras", "export", "missing", "not installed", "pip install 'unetprep[export]'"),
]


def test_what_is_missing_is_no_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.diagnosing.doctor", lambda folder: CHECKS)
    assert run("unetprep doctor").stdout.splitlines() == [
        "packages",
        "  ok       numpy   2.0",
        "extras",
        "  missing  export  not installed",
        "                   to do: pip install 'unetprep[export]'",
        "doctor: no fault",
    ]


def test_a_fault_has_exit_code_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    fault = Check("folder", "locks", "fault", "fails", "move")

    def doctor(folder: str) -> list[Check]:
        seen.append(folder)
        return [*CHECKS, fault]

    monkeypatch.setattr("unetprep.diagnosing.doctor", doctor)
    told = json.loads(run("unetprep doctor there --json", 3).stdout)
    assert (told["command"], told["status"], seen) == ("doctor", "at fault", ["there"])
    assert told["checks"][-1] == vars(fault)
    assert run("unetprep doctor", 3).stdout.endswith("doctor: 1 fault\n")


def test_it_runs_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this installation, whose packages are those that the project asks for."""
    monkeypatch.setattr("unetprep.diagnosing.diagnosis.check_gpu", list)  # another process would load torch: seconds
    monkeypatch.setattr("unetprep.diagnosing.diagnosis.check_compiled", list)
    assert "doctor: no fault" in run("unetprep doctor").stdout
