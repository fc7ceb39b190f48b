"""Running of one notebook, as text, from top to bottom in this process: `python -m tests.notebooks.runner NOTEBOOK`.

Warnings are errors, connections to other machines are refused, and every figure is checked when it is shown. With
`--save FOLDER` the figures are written there as PNG, to be looked at.
"""

import argparse
import runpy
import socket
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from tests.notebooks.figures import faults


class BadFigure(Exception):
    """A figure that shows nothing."""


def run(notebook: Path, save: Path | None = None) -> int:
    """Run a notebook; the number of figures that it showed. Raises BadFigure, or what the notebook raises."""
    shown: list[int] = []

    def show(*args: Any, **kwargs: Any) -> None:
        for number in plt.get_fignums():
            figure = plt.figure(number)
            shown.append(number)
            if save:
                figure.savefig(save / f"{notebook.stem}-{len(shown):02}.png", dpi=80, bbox_inches="tight")
            found = faults(figure)
            if found:
                raise BadFigure(f"figure {len(shown)} of {notebook.name}: " + "; ".join(found))
        plt.close("all")

    mpl.use("agg")
    plt.show = show
    runpy.run_path(str(notebook), run_name="__main__")
    if plt.get_fignums():
        raise BadFigure(f"{notebook.name}: a figure after figure {len(shown)} was not shown; call plt.show()")
    return len(shown)


def refuse_network() -> None:
    """Let this process connect to itself alone."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a notebook connects to {address}: its tests need no network")
        connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]


def main() -> None:
    """Run the notebook that the command line names."""
    parser = argparse.ArgumentParser(description="Run a notebook and check its figures.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--save", type=Path, help="folder for the figures")
    options = parser.parse_args()
    warnings.simplefilter("error")
    refuse_network()
    print(f"figures shown: {run(options.notebook, options.save)}")


if __name__ == "__main__":
    main()
