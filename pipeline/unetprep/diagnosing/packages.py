"""Versions of Python and of the installed packages, compared with the bounds that their records state."""

import platform
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from unetprep.diagnosing.check import FAULT, OK, Check

OURS = "unetprep"
# Extras that a user may want, with what each is for. The others are for work on this project.
EXTRAS = {
    "prep": "preparing data",
    "train": "training and prediction",
    "formats": "more image formats",
    "cluster": "Slurm jobs",
    "s3": "AWS profiles with roles or single sign-on",
    "view": "unetprep view",
    "tensorboard": "fit --tensorboard",
    "export": "export as ONNX and bioimage.io",
    "notebooks": "running the notebooks",
}


def check_packages() -> list[Check]:
    """Python, this package, and its base dependencies with their versions; then packages that do not fit each other."""
    about = metadata.metadata(OURS)
    wanted = about["Requires-Python"] or ""
    fits = Requirement(f"python{wanted}").specifier.contains(platform.python_version(), prereleases=True)
    python = Check("packages", "Python", OK if fits else FAULT, f"{platform.python_version()}, {sys.executable}")
    checks = [Check("packages", OURS, OK, about["Version"]), python]
    checks += [check_version(needed) for needed in requirements_of()]
    return [*checks, *_disagreements()]


def check_version(needed: Requirement) -> Check:
    """Whether a requirement is installed in a version that it allows; a missing one is a fault."""
    version, install = installed_version(needed.name), f"pip install '{needed.name}{needed.specifier}'"
    if not version:
        return Check("packages", needed.name, FAULT, f"not installed, needed: {needed.specifier or 'any'}", install)
    if not allows(needed, version):
        return Check("packages", needed.name, FAULT, f"{version}, needed: {needed.specifier}", install)
    return Check("packages", needed.name, OK, version)


def _disagreements() -> Iterator[Check]:
    """Installed packages whose version another installed package that we use does not allow, as `pip check` finds."""
    ours = {canonicalize_name(needed.name) for extra in ("", *EXTRAS) for needed in requirements_of(extra)}
    for name in sorted(name for name in ours if installed_version(name)):
        for needed in requirements_of(of=name):
            version = installed_version(needed.name)
            if version and not allows(needed, version):
                found = f"{version}, but {name} {installed_version(name)} needs {needed.specifier}"
                to_do = f"pip install '{needed.name}{needed.specifier}'"
                yield Check("packages", needed.name, FAULT, found, to_do)


def requirements_of(extra: str = "", of: str = OURS) -> Sequence[Requirement]:
    """What a package requires on this machine: without an extra, or what an extra adds, other extras resolved."""
    found = []
    for needed in _recorded(of):
        if needed.marker is not None:
            if not needed.marker.evaluate({"extra": extra}) or (extra and needed.marker.evaluate({"extra": ""})):
                continue
        elif extra:
            continue
        if canonicalize_name(needed.name) == of:
            found += [inner for name in sorted(needed.extras) for inner in requirements_of(name, of)]
        else:
            found.append(needed)
    return found


@cache
def _recorded(name: str) -> tuple[Requirement, ...]:
    return tuple(map(Requirement, metadata.requires(name) or ()))


def installed_version(name: str) -> str:
    """The version of an installed package; "" if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def allows(needed: Requirement, version: str) -> bool:
    """Whether a requirement allows a version; one that cannot be compared is allowed."""
    try:
        return needed.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True
