"""Fresh virtual environments, made with uv, as `make setup` makes its own. Standard library only."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = ("-c", str(ROOT / "constraints.txt"))  # the build of torch that is wanted


def links() -> list[str]:
    """The folder of wheels that the user's pip looks in, which uv would not look in by itself."""
    folder = os.environ.get("PIP_FIND_LINKS", "")
    return ["--find-links", folder] if folder and Path(folder).is_dir() else []


def make_environment(folder: Path, python: str | Path, *packages: str, options: Sequence[str] = PINS) -> Path:
    """Install packages, as words for `pip install`, into a new environment; returns its folder of programs."""
    uv("venv", "--quiet", "--clear", "--python", str(python), str(folder))
    programs = folder / "bin"
    uv("pip", "install", "--quiet", "--python", str(programs / "python"), *links(), *options, *packages)
    return programs


def uv(*words: str) -> None:
    """Run uv of the environment that runs this program; its messages go to stderr. Raises CalledProcessError."""
    subprocess.run([str(Path(sys.executable).with_name("uv")), *words], check=True, cwd=ROOT, stdout=sys.stderr)
