"""The comparisons: each makes its data in a folder, runs whole commands in turn, and returns figures for JSON."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.many.processes import Command, Cost, Variant, in_turn

HERE = Path(__file__).parent
UNETPREP = str(Path(sys.executable).with_name("unetprep"))
HELP: Command = (UNETPREP, "--help")
KINDS = ("equal", "mixed")
ONE_PROCESS = """
import sys, unetprep
store, labels, images, weights = sys.argv[1:]
stages = [unetprep.WeightsParams()] if weights else []
unetprep.prepare_store(store, images or (), labels, stages)
"""
Found = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, sides in pixels, and how often each comparison is repeated."""

    few: int = 600
    many: int = 5000
    most: int = 20_000
    large_px: int = 6144
    large_cells: int = 43_200
    dense_px: int = 8192
    dense_cells: int = 50_000
    repeats: int = 3
    repeats_of_many: int = 2


TRIAL = Sizes(
    few=20,
    many=40,
    most=60,
    large_px=1024,
    large_cells=1200,
    dense_px=1024,
    dense_cells=800,
    repeats=1,
    repeats_of_many=1,
)


@dataclass(frozen=True)
class Work:
    """The folder of the data, and the sizes."""

    folder: Path
    sizes: Sizes

    def images(self, kind: str, num: int) -> Path:
        """A folder of so many images; the first ones of the largest generated folder of the kind, as hard links."""
        made, folder = self.folder / f"{kind}-{self.sizes.many}", self.folder / f"{kind}-{num}"
        if not made.exists():
            python("-m", "benchmarks.many.images", "folder", str(made), str(self.sizes.many), kind)
        if not folder.exists():
            for part in ("images", "masks"):
                (folder / part).mkdir(parents=True)
                paths = sorted((made / part).iterdir())
                for k in range(num):
                    os.link(paths[k % len(paths)], folder / part / f"{k:05d}.tif")
        return folder

    def labels(self, name: str, side: int, num_cells: int) -> Path:
        """A label image as TIFF."""
        path = self.folder / f"{name}.tif"
        if not path.exists():
            python("-m", "benchmarks.many.images", "large", str(path), str(side), str(num_cells))
        return path

    def store(self, name: str) -> Path:
        """Path of a store."""
        return self.folder / f"{name}.zarr"


def python(*words: str) -> None:
    """Run Python as a process, so that this one stays small."""
    subprocess.run([sys.executable, *words], check=True)


def script(name: str, *paths: Path) -> Command:
    """One of the plain scripts."""
    return (sys.executable, str(HERE / f"script_{name}.py"), *map(str, paths))


def import_command(images: Path, store: Path, *more: str) -> Command:
    """`unetprep import` of a folder."""
    words = ("--image", str(images / "images"), "--labels", str(images / "masks"), "--out", str(store))
    return (UNETPREP, "import", *words, "--quiet", *more)


def stage_command(stage: str, store: Path, *more: str) -> Command:
    """A stage of `unetprep` on a store."""
    return (UNETPREP, stage, "--out", str(store), "--quiet", *more)


def one_process(store: Path, images: Path | None, labels: Path, weights: bool) -> Command:
    """Import, with weights or without, as one process of Python."""
    return (sys.executable, "-c", ONE_PROCESS, str(store), str(labels), str(images or ""), "weights" * weights)


def ratios(costs: dict[str, Cost], ours: str, theirs: str) -> Found:
    """Our CPU and wall time as multiples of theirs."""
    a, b = costs[ours], costs[theirs]
    return {"cpu": round(a.cpu_s / b.cpu_s, 3), "wall": round(a.wall_s / b.wall_s, 3)}


def rounded(costs: dict[str, Cost]) -> Found:
    """All costs, for JSON."""
    return {name: cost.rounded() for name, cost in costs.items()}


def folder_of(work: Work, kind: str, num: int) -> Found:
    """Import, weights and tiles of a folder against plain scripts; repeated commands; the files of the store.

    The script of the tiles runs on the smaller folders alone: it writes 1.6 MB a tile.
    """
    images, name = work.images(kind, num), f"{kind}-{num}"
    store, at_once, plain, cut = (
        work.store(name),
        work.store(f"{name}-one"),
        work.folder / f"{name}-npz",
        work.folder / f"{name}-npy",
    )
    prepare = (import_command(images, store), stage_command("weights", store))
    compared = num == work.sizes.few
    repeats = work.sizes.repeats if compared else work.sizes.repeats_of_many
    costs = in_turn(
        {
            "script": Variant([script("weights", images, plain)], [plain], keep=compared),
            "commands": Variant(prepare, [store], keep=True),
            "one_process": Variant([one_process(at_once, images / "images", images / "masks", True)], [at_once]),
        },
        repeats,
    )
    cutting = {"tiles": Variant([stage_command("tiles", store)], [store / "tiles"], keep=True)}
    if compared:
        cutting = {"script": Variant([script("tiles", plain, cut)], [cut], keep=True), **cutting}
    tiles = in_turn(cutting, repeats if compared else 1)
    if compared:
        python("-m", "benchmarks.many.check", "folder", str(store), str(plain), str(cut))
    again = {"import": prepare[0], "weights": prepare[1], "tiles": stage_command("tiles", store)}
    reruns = in_turn(
        {"help": Variant([HELP]), **{stage: Variant([words]) for stage, words in again.items()}}, work.sizes.repeats
    )
    files = sum(path.is_file() for path in store.rglob("*"))
    for path in (store, plain, cut):
        shutil.rmtree(path, ignore_errors=True)
    return {
        "sizes": kind,
        "images": num,
        "import_and_weights": {
            **rounded(costs),
            "commands_to_script": ratios(costs, "commands", "script"),
            "one_process_to_script": ratios(costs, "one_process", "script"),
        },
        "tiles": rounded(tiles) | ({"tiles_to_script": ratios(tiles, "tiles", "script")} if compared else {}),
        "reruns": {
            **rounded(reruns),
            "longest_over_help_s": round(max(reruns[stage].wall_s for stage in again) - reruns["help"].wall_s, 3),
        },
        "files": {"files": files, "images_a_file": round(num / files, 2)},
    }


def large_image(work: Work) -> Found:
    """`unetprep weights --in` of one large TIFF against a script that goes block by block."""
    sizes = work.sizes
    labels = work.labels("large", sizes.large_px, sizes.large_cells)
    store, plain = work.store("large"), work.folder / "large-plain.zarr"
    costs = in_turn(
        {
            "script": Variant([script("large", labels, plain)], [plain], keep=True),
            "command": Variant([stage_command("weights", store, "--in", str(labels))], [store], keep=True),
        },
        sizes.repeats,
    )
    python("-m", "benchmarks.many.check", "large", str(store), str(plain))
    about = {"side_px": sizes.large_px, "cells": sizes.large_cells}
    return about | rounded(costs) | {"command_to_script": ratios(costs, "command", "script")}


def against_nnunet(work: Work, command: str) -> Found:
    """nnU-Net's planning and preprocessing of the small folder against our commands, one process each."""
    images, store = work.images("equal", work.sizes.few), work.store("beside-nnunet")
    raw, made = work.folder / "nnunet/raw", work.folder / "nnunet/preprocessed"
    python("-m", "benchmarks.many.images", "nnunet", str(images), str(raw))
    os.environ |= {"nnUNet_raw": str(raw), "nnUNet_preprocessed": str(made), "nnUNet_results": str(made.parent)}
    theirs = (command, "-d", "1", "-c", "2d", "-npfp", "1", "-np", "1", "--no_pbar")
    one = ("--workers", "1")
    weights = (import_command(images, store, *one), stage_command("weights", store, *one))
    costs = in_turn(
        {
            "nnunet": Variant([theirs], [made]),
            "weights": Variant(weights, [store]),
            "tiles": Variant((*weights, stage_command("tiles", store, *one)), [store]),
        },
        min(work.sizes.repeats, 2),
    )
    return {
        "images": work.sizes.few,
        "version": version_beside(command),
        **rounded(costs),
        "weights_to_nnunet": ratios(costs, "weights", "nnunet"),
        "tiles_to_nnunet": ratios(costs, "tiles", "nnunet"),
    }


def version_beside(command: str) -> str:
    """The version of nnU-Net, asked of the Python of its environment."""
    words = ["-c", "from importlib.metadata import version; print(version('nnunetv2'))"]
    return subprocess.check_output([Path(command).with_name("python"), *words], text=True).strip()


def two_workers(work: Work) -> list[Found]:
    """The stage `weights` with one worker and two, and two processes of one worker at once."""
    sizes = work.sizes
    dense, small = work.labels("dense", sizes.dense_px, sizes.dense_cells), work.images("equal", sizes.few) / "masks"
    rows = []
    for name, labels in (("one large image", dense), ("many small images", small)):
        imported, finished = work.store("imported"), work.store("finished")
        subprocess.run(one_process(imported, None, labels, False), check=True)
        subprocess.run(one_process(finished, None, labels, True), check=True)
        costs = in_turn(
            {
                "one": _weights_of(imported, 1, 1),
                "two": _weights_of(imported, 1, 2),
                "processes": _weights_of(imported, 2, 1),
                "start": Variant([stage_command("weights", finished, "--workers", "1")]),  # it finds nothing to do
            },
            sizes.repeats,
        )
        for store in (imported, finished):
            shutil.rmtree(store)
        start = costs["start"].wall_s
        one, two, processes = (costs[n].wall_s for n in ("one", "two", "processes"))
        rows.append(
            {
                "data": name,
                **rounded(costs),
                "two_workers": round(one / two, 3),
                "two_processes": round(2 * one / processes, 3),
                "two_workers_without_start": round((one - start) / (two - start), 3),
                "two_processes_without_start": round(2 * (one - start) / (processes - start), 3),
            }
        )
    return rows


def _weights_of(imported: Path, num_processes: int, workers: int) -> Variant:
    """The stage on copies of an imported store, a process for each, all at once."""
    copies = [imported.with_name(f"copy{k}.zarr") for k in range(num_processes)]
    return Variant(
        [stage_command("weights", copy, "--workers", str(workers)) for copy in copies],
        copies,
        together=True,
        before=_copier(imported, copies),
    )


def _copier(store: Path, copies: list[Path]) -> Callable[[], object]:
    return lambda: [shutil.copytree(store, copy) for copy in copies]


def memory(work: Work) -> list[Found]:
    """Most memory of import and weights, by the number of images."""
    rows = []
    for num in (work.sizes.few, work.sizes.most):
        images, store = work.images("equal", num), work.store("memory")
        commands = {"import": import_command(images, store), "weights": stage_command("weights", store)}
        costs = {stage: Variant([words], keep=True).run() for stage, words in commands.items()}
        shutil.rmtree(store)
        rows.append({"images": num, **rounded(costs)})
    return rows
