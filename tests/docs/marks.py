"""What differs when the commands of the pages are tested: what is there, what is shortened, what is not run, and why."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Page:
    """`given`: what of the laboratory is in the folder. `instead`: texts replaced before a block is run."""

    given: tuple[str, ...] = ("images",)
    instead: dict[str, str] = field(default_factory=dict)


STORE = ("images", "store")
RUN = ("images", "store", "run")
PAGES = {
    "README.md": Page(),
    "docs/augmentation.md": Page(STORE),
    "docs/classes.md": Page(("images", "classes")),
    "docs/evaluation.md": Page((*STORE, "scored"), {"images/img-test": "images/0"}),
    "docs/export.md": Page(RUN),
    "docs/inputs.md": Page(("images", "classes")),
    "docs/metrics.md": Page((), {"another_curve": 'curves["v_rand"]'}),
    "docs/overwrite.md": Page(RUN),
    "docs/own-loop.md": Page(STORE, {"steps = 1000": "steps = 2", "unettrain.UNet()": "unettrain.UNet(SMALL)"}),
    "docs/prediction.md": Page(RUN, {"'raw/*.tif'": "'*image.tif'"}),
    "docs/report.md": Page(RUN),
    "docs/resources.md": Page(STORE),
    "docs/start-biologist.md": Page(),
    "docs/start-cluster.md": Page(STORE),
    "docs/start-engineer.md": Page(STORE, {"steps = 1000": "steps = 2"}),
    "docs/start-student.md": Page(RUN),
    "docs/streaming.md": Page(STORE, {"for batch in stream:": "for batch in [next(iter(stream))]:"}),
    "docs/touching-cells.md": Page(RUN),
    "docs/training-runs.md": Page(STORE),
    "docs/training.md": Page(STORE, {"steps=500": "steps=2, base_channels=1, threads=1"}),
    "docs/volumes.md": Page(("volume",)),
}

# Added to a command: the last of two values of an option counts.
SHORTER = {
    "unettrain fit": "--steps 2 --base-channels 1 --threads 1 --validate-every 2 --examples 0",
    "unetprep tiles": "--tile 188",
    "unetprep deform": "--fields 20",
}

# Not run. The key is how a command begins, or what a script or block of Python holds; the value says why. An `unetprep` or
# `unettrain` in such a command is parsed, so that an option that does not exist fails.
NOT_RUN: dict[str, dict[str, str]] = {
    "*": {
        "pip install": "installs packages",
        "make ": "a target of the Makefile, which is tested by running it",
        "export ": "sets the environment of a shell",
        "torchrun": "starts several processes; tests/trainer/test_distributed.py does",
        "srun": "needs Slurm",
        "#!/bin/bash": "a script for Slurm; tests/cluster runs them",
        "dask ": "starts a cluster of other machines",
        "jupyter": "opens a notebook; the notebooks have tests of their own",
        "git clone": "downloads the project",
        "unetprep fetch": "downloads; tests/cli/prep/test_fetch.py does from a server of its own",
        "unettrain paper-check": "takes seconds; tests/cli/test_paper_check.py runs it",
        "unettrain export": "takes long; tests/cli/test_export.py runs it",
    },
}
