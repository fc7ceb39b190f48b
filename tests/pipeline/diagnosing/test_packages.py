"""Versions of packages against the bounds of their records, on a set of pretended installations."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from unetprep.diagnosing import packages
from unetprep.diagnosing.extras import check_extras, check_formats
from unetprep.diagnosing.packages import EXTRAS, check_packages, check_version, requirements_of

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = {"bench", "peers", "stardist", "dev"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of installed packages, to be changed; nothing else is installed."""
    versions = {"numpy": "2.0.0", "dask": "2026.1.0", "distributed": "2026.1.0"}
    for module in ("packages", "extras", "programs"):
        monkeypatch.setattr(f"unetprep.diagnosing.{module}.installed_version", lambda name: versions.get(name, ""))
    return versions


def test_the_bounds_are_those_of_the_project() -> None:
    assert [str(needed) for needed in requirements_of()] == PROJECT["dependencies"]
    of_prep = {Requirement(line).name for line in PROJECT["optional-dependencies"]["prep"]}
    assert {needed.name for needed in requirements_of("prep")} == of_prep
    assert {needed.name for needed in requirements_of("cluster")} == {"dask-jobqueue", *of_prep}


def test_every_extra_that_a_user_may_want_is_checked() -> None:
    assert {*EXTRAS, "all"} | FOR_DEVELOPERS == {*PROJECT["optional-dependencies"]}


@pytest.mark.parametrize(
    ("version", "state", "found", "to_do"),
    [
        ("2.0.0", "ok", "2.0.0", ""),
        ("1.25.9", "fault", "1.25.9, needed: >=1.26", "pip install 'numpy>=1.26'"),
        ("", "fault", "not installed, needed: >=1.26", "pip install 'numpy>=1.26'"),
        ("2.13.0+cpu", "ok", "2.13.0+cpu", ""),
        ("of my own", "ok", "of my own", ""),
    ],
)
def test_a_package_below_its_bound_is_a_fault(
    installed: dict[str, str], version: str, state: str, found: str, to_do: str
) -> None:
    installed["numpy"] = version
    check = check_version(Requirement("numpy>=1.26"))
    assert (check.state, check.found, check.to_do) == (state, found, to_do)


def test_packages_that_do_not_fit_each_other_are_a_fault(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = {"numba": (Requirement("numpy<2.1"),), "unetprep": (Requirement("numba"), Requirement("numpy"))}
    monkeypatch.setattr(packages, "_recorded", lambda name: needs.get(name, ()))
    installed |= {"numba": "0.60.0", "numpy": "2.1.0", "unetprep": "0.1.0"}
    (check,) = [check for check in check_packages() if check.state == "fault"]
    assert check.found == "2.1.0, but numba 0.60.0 needs <2.1"
    assert check.to_do == "pip install 'numpy<2.1'"


def test_an_extra_is_complete_missing_or_at_fault(installed: dict[str, str]) -> None:
    def prep() -> tuple[str, str, str]:
        check = next(check for check in check_extras() if check.name == "prep")
        return check.state, check.found.partition(": ")[2], check.to_do

    install = "pip install 'unetprep[prep]'"
    assert prep()[0] == "missing"
    assert prep()[1].startswith("without edt, ")
    installed |= {needed.name: "9999" for needed in requirements_of("prep")}
    assert prep()[0] == "ok"
    installed["edt"] = "2.1"
    assert prep() == ("fault", "edt is 2.1, needed: >=3", install)
    del installed["scipy"]
    assert prep() == ("fault", "edt is 2.1, needed: >=3, without scipy", install)
    for name in ("dask", "distributed", "obstore", "matplotlib"):
        del installed[name]
    state, found, _ = prep()
    assert (state, found[:12], found[-25:]) == ("missing", "without dask", ", edt is 2.1, needed: >=3")
    installed.clear()
    assert prep() == ("missing", "not installed", install)


def test_a_missing_format_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {check.state for check in check_formats()} == {"ok"}
    monkeypatch.setattr("unetprep.sources.formats.table.Format.version", "")
    missing = check_formats()
    assert {check.state for check in missing} == {"missing"}
    assert {check.to_do for check in missing} == {"pip install 'unetprep[formats]'"}
