"""What differs when the commands of the pages are tested: what is given, what is shortened, what is not run and why."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Page:
    """`given`: what of the laboratory is in the folder. `instead`: texts replaced before a block is run."""

    given: tuple[str, ...] = ("images",)
    instead: dict[str, str] = field(default_factory=dict)


STORE = ("images", "store")
RUN = ("images", "store", "run")
SMALL_TILES = {"[import]": "[tiles]\ntile = 188\n\n[import]"}

PAGES = {
    "README.md": Page(instead=SMALL_TILES),
    "docs/augmentation.md": Page(STORE),
    "docs/classes.md": Page(("images", "classes")),
    "docs/clusters.md": Page(),
    "docs/datasets.md": Page(()),
    "docs/evaluation.md": Page(
        (*STORE, "scored", "volume"),
        {
            "images/img-test": "images/0",
            "predicted ds.zarr --split test": "predicted labels",
            "volume.zarr labels.zarr": "volume-labels.tif volume-labels.tif --dims 3",
        },
    ),
    "docs/export.md": Page(RUN),
    "docs/help.md": Page(STORE),
    "docs/inputs.md": Page(("images", "classes", "splits")),
    "docs/install.md": Page(()),
    "docs/layouts.md": Page(("images", "data"), {'layout="coco"': 'layout="pairs"'}),
    "docs/metrics.md": Page((), {"another_curve": 'curves["v_rand"]'}),
    "docs/notebooks.md": Page(()),
    "docs/object-stores.md": Page(()),
    "docs/own-loop.md": Page(STORE, {"steps = 1000": "steps = 2", "base_channels=8": "base_channels=1"}),
    "docs/paper-check.md": Page(()),
    "docs/prediction.md": Page((*RUN, "raw")),
    "docs/python.md": Page(
        instead={"steps=2000": "steps=1, base_channels=1, threads=1", "num_steps=100": "num_steps=1"},
    ),
    "docs/report.md": Page(RUN),
    "docs/resources.md": Page(STORE),
    "docs/start-biologist.md": Page(instead=SMALL_TILES),
    "docs/start-cluster.md": Page(STORE, SMALL_TILES),
    "docs/start-engineer.md": Page(RUN, {"steps = 1000": "steps = 2", "channels=16": "channels=1"}),
    "docs/start-student.md": Page(STORE),
    "docs/streaming.md": Page(
        STORE, {"for batch in stream:": "for batch in [next(iter(stream))]:", "num_workers=4": "num_workers=1"}
    ),
    "docs/touching-cells.md": Page(RUN),
    "docs/training-runs.md": Page(STORE),
    "docs/training.md": Page(
        STORE,
        {"new.zarr --from runs/old": "ds.zarr --from runs/ds", "steps=500": "steps=2, base_channels=1, threads=1"},
    ),
    "docs/view.md": Page(()),
    "docs/volumes.md": Page(("volume",)),
}

# Added to a command: of two values of an option the last one counts.
SHORTER = {
    "unettrain fit": "--steps 2 --base-channels 1 --threads 1 --validate-every 2 --examples 0 --best-by last"
    " --warmup-steps 0 --amp none",  # bf16 is emulated on many CPUs
    "unetprep tiles": "--tile 188 --depth 4",
}

# Exit codes of commands that find what they look for; all others end with 0.
FINDING = {"unetprep lint": (0, 3)}

# Not run. The key is how a command begins, or what a URL or a block of Python holds; the value says why. Where it
# has `unetprep ...` or `unettrain ...`, they are parsed, so that an option that does not exist fails.
NOT_RUN: dict[str, dict[str, str]] = {
    "*": {
        "pip install": "installs packages",
        "make ": "a target of the Makefile",
        "export ": "sets the environment of a shell",
        "torchrun": "starts several processes; tests/trainer/test_distributed.py does",
        "srun": "needs Slurm",
        "#!/bin/bash": "a script for Slurm; tests/cluster and tests/trainer/test_distributed.py run two of them",
        "s3://": "needs a bucket; tests/pipeline/storage and tests/cli run on a server of their own",
        "dask ": "starts a Dask cluster; tests/cluster does",
        "unetprep fetch": "downloads; tests/cli/prep/test_fetch.py does, from a server of its own",
        "unetprep plan": "samples for seconds; tests/cli/prep/test_plan.py runs it",
        "unetprep view": "serves until it is stopped; tests/cli/prep/test_view.py",
        "unettrain paper-check": "takes seconds; tests/cli/test_paper_check.py runs it",
        "unettrain export": "takes long; tests/cli/test_export.py runs it",
    },
    "docs/clusters.md": {"unetprep ": "needs Slurm or starts processes; tests/cluster does"},
    "docs/datasets.md": {
        "unetprep import": "needs a download",
    },
    "docs/export.md": {
        "unettrain import-weights": "needs the weights of another U-Net; tests/cli/test_export.py runs it",
        "unettrain predict unet.pt": "needs the weights of another U-Net",
    },
    "docs/help.md": {
        "unetprep doctor": "takes seconds; tests/cli/prep/test_doctor.py runs it",
        "unetprep completion": "writes into the home folder; tests/cli/test_completion.py runs it",
    },
    "docs/inputs.md": {
        "unetprep import --image slide.ome.tif": "needs a pyramid and HDF5; tests/pipeline/sources reads both"
    },
    "docs/notebooks.md": {"jupyter lab": "serves until it is stopped; tests/notebooks run the notebooks"},
    "docs/paper-check.md": {"check_against_paper": "takes seconds; tests/trainer/paper_check runs it"},
    "docs/prediction.md": {
        "unettrain predict runs/ds image.zarr": "needs an OME-Zarr; tests/cli/test_predict_output.py"
    },
    "docs/start-cluster.md": {
        "unetprep weights --out ds.zarr --cluster": "needs Slurm",
        "unetprep run recipe.toml --log": "needs Slurm",
        "unetprep verify ds.zarr --all": "takes seconds; tests/pipeline/verification runs it",
    },
    "docs/streaming.md": {"xarray.open_zarr": "tests/contract/test_layout.py runs it"},
    "docs/view.md": {
        "unetprep.view(": "waits for a key; tests/pipeline/viewing runs it",
        "ssh -L": "needs another machine",
        "napari ": "a viewer; tests/contract/test_layout.py reads the store as it does",
    },
    "docs/touching-cells.md": {"unettrain report": "takes seconds; docs/report.md runs it"},
}


def mark_of(page: str, command: str) -> str | None:
    """The key of NOT_RUN that keeps a command from being run, or None."""
    is_python = "\n" in command and not command.startswith("#!")
    for part in (page, "*"):
        for key in NOT_RUN.get(part, {}):
            if command.startswith(key) or (key in command and (key == "s3://" or is_python)):
                return key
    return None
