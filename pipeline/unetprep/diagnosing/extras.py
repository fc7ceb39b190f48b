"""Extras and image formats: which are installed, and the command that installs the others."""

from unetprep.diagnosing.check import FAULT, MISSING, OK, Check
from unetprep.diagnosing.packages import EXTRAS, allows, installed_version, requirements_of
from unetprep.sources.formats.table import EXTRA, FORMATS


def check_extras() -> list[Check]:
    """Each extra: complete, missing, or with packages of versions that cannot be used."""
    return [_check_extra(extra, purpose) for extra, purpose in EXTRAS.items()]


def _check_extra(extra: str, purpose: str) -> Check:
    install = f"pip install 'unetprep[{extra}]'"
    versions = {needed: installed_version(needed.name) for needed in requirements_of(extra)}
    wrong = [needed for needed, version in versions.items() if version and not allows(needed, version)]
    absent = [needed.name for needed, version in versions.items() if not version]
    told = [f"{needed.name} is {versions[needed]}, needed: {needed.specifier}" for needed in wrong]
    # Of an extra that nobody installed, versions are no fault: other packages brought the few that are there.
    if absent and (not wrong or 2 * len(absent) > len(versions)):
        whole = "not installed" if len(absent) == len(versions) else f"without {', '.join(absent)}"
        return Check("extras", extra, MISSING, f"{purpose}: {', '.join([whole, *told])}", install)
    if told:
        told += [f"without {', '.join(absent)}"] if absent else []
        return Check("extras", extra, FAULT, f"{purpose}: {', '.join(told)}", install)
    found = ", ".join(f"{needed.name} {version}" for needed, version in versions.items())
    return Check("extras", extra, OK, f"{purpose}: {found}")


def check_formats() -> list[Check]:
    """Each image format, with the package that reads it."""
    return [
        Check("formats", known.name, OK, f"{known.library} {known.version}")
        if known.version
        else Check("formats", known.name, MISSING, f"{known.library} is not installed", EXTRA)
        for known in FORMATS
    ]
