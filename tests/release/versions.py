"""The tests with the lowest or the newest versions of the dependencies, and with several versions of Python.

    python -m tests.release.versions lowest | newest | pythons [words for pytest]

Without words a part of the tests runs that touches every dependency. Environments are made in build/versions. torch
stays what constraints.txt says, since its lowest version is offered as a CUDA build of several GB. Other Pythons are
tested without torch, for the same reason: the pipeline alone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.release.environments import PINS, ROOT, links, make_environment, uv

FOLDER = ROOT / "build/versions"
EXTRAS = ("all", "cluster", "export", "s3", "tensorboard")
PYTHONS = ("3.11", "3.12", "3.13")
WITHOUT_TORCH = (
    *("-e", ".[prep,formats]"),
    *("hypothesis>=6.100", "psutil>=5.8", "pytest>=8.2", "pytest-timeout>=2.4", "yaozarrs>=0.3"),
)
OF_PIPELINE = (
    *("tests/pipeline/kernels/test_weights.py", "tests/pipeline/kernels/test_spline.py"),
    *("tests/pipeline/sources/formats", "tests/pipeline/format", "tests/pipeline/stages"),
    *("tests/pipeline/test_recipe.py", "tests/pipeline/engine/test_run.py", "tests/pipeline/diagnosing"),
)
QUICK = (
    *OF_PIPELINE,
    *("tests/contract", "tests/cli/test_help.py", "tests/cli/test_suggestions.py", "tests/cli/prep/test_store.py"),
    *("tests/trainer/test_model.py", "tests/trainer/test_checkpoint.py", "tests/trainer/stream/test_tile_stream.py"),
    *("tests/trainer/prediction/test_files.py", "tests/trainer/export", "tests/trainer/decoding/test_decoder.py"),
)


def main() -> None:
    """Run the tests that the command line names; ends with the exit code of the first that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["lowest", "newest", "pythons"])
    asked, words = parser.parse_known_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if asked.which == "pythons":
        pythons(words)
    else:
        dependencies(asked.which, words)


def dependencies(which: str, words: Sequence[str]) -> None:
    """The tests with the lowest versions that pyproject.toml allows, or the newest that fit each other."""
    chosen = FOLDER / f"{which}.txt"
    # What the tests use must fit the newest versions, and need not be as old as the lowest.
    extras = [word for extra in (*EXTRAS, *(["dev"] if which == "newest" else [])) for word in ("--extra", extra)]
    resolution = "lowest-direct" if which == "lowest" else "highest"
    uv(
        *("pip", "compile", "--quiet", "--python", sys.executable, "--resolution", resolution, *links(), *PINS),
        *("--no-header", "--no-annotate", "--upgrade", *extras, "pyproject.toml", "-o", str(chosen)),
    )
    programs = make_environment(FOLDER / which, sys.executable, "-e", ".[dev]", options=(*PINS, "-c", str(chosen)))
    test(programs, words or QUICK)


def pythons(words: Sequence[str]) -> None:
    """The tests of the pipeline, with each Python that is here; their stores must be equal byte for byte."""
    found = {version: path for version in PYTHONS if (path := find_python(version))}
    stores = {}
    for version, path in found.items():
        print(f"Python {version}: {path}", flush=True)
        programs = make_environment(FOLDER / f"python{version}", path, *WITHOUT_TORCH, options=())
        stores[version] = store_of(programs)
        test(programs, words or OF_PIPELINE)
    absent = [version for version in PYTHONS if version not in found]
    print(f"not found here, and not tested: {', '.join(absent) or 'none'}")
    compare(stores)


def find_python(version: str) -> str | None:
    """A Python of this version: on PATH, of pyenv, or of uv; None if there is none that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    named = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True)]
    for path in filter(None, named):
        seen = "import sys, venv; print(f'{sys.version_info[0]}.{sys.version_info[1]}')"
        done = subprocess.run([path, "-c", seen], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return path
    return None


def store_of(programs: Path) -> dict[str, str]:
    """The digests of the store that an environment makes."""
    command = [str(programs / "python"), "-m", "tests.release.store_digest"]
    found: dict[str, str] = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return found


def compare(stores: dict[str, dict[str, str]]) -> None:
    """End with an error that names the files of the stores that differ."""
    first, *others = stores
    for other in others:
        names = stores[first].keys() | stores[other].keys()
        if differ := sorted(name for name in names if stores[first].get(name) != stores[other].get(name)):
            sys.exit(f"the stores of Python {first} and {other} differ: {', '.join(differ)}")
    print(f"the stores of Python {', '.join(stores)} are equal byte for byte: {len(stores[first])} files")


def test(programs: Path, words: Sequence[str]) -> None:
    """Run pytest in an environment; ends this program if a test fails."""
    # Old libraries are warned of by new ones that they use: a warning is no error here.
    quiet = ("-q", "-p", "no:cacheprovider", "-o", "filterwarnings=default")
    command = [str(programs / "python"), "-m", "pytest", *quiet, *words]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
