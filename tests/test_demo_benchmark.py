"""The benchmark that repeats the demo with several seeds."""

from pathlib import Path

from benchmarks.accuracy.demo import PREPARING, ROOT, commands, summary


def test_its_commands_are_those_of_make_demo() -> None:
    makefile = (ROOT / "Makefile").read_text()
    *preparing, fit = commands(makefile, Path("build/x"))
    assert [words[:2] for words in preparing] == [["unetprep", stage] for stage in PREPARING]
    assert fit[:5] == ["unettrain", "fit", "build/x/nuclei.zarr", "--run", "build/x/run"]
    assert " ".join(fit[5:]) in makefile
    assert not any("demo/" in word for words in (*preparing, fit) for word in words)


def test_the_summary_gives_mean_and_range_over_the_seeds() -> None:
    def run(seed: int, ap: float) -> dict[str, object]:
        scores = {"iou": 0.8, "ap": {"0.50": ap}, "mean_ap": 0.5, "cells": 36}
        methods = {"trained": scores, "untrained": scores, "otsu": scores}
        return {"seed": seed, "training_seconds": 9.0, "split": "test", "images": ["a"], "errors": {}, **methods}

    told = summary([run(0, 0.5), run(1, 0.8), run(2, 0.80004)], ["unettrain", "fit", "s", "--run", "r", "--steps", "4"])
    assert told["means"]["trained"]["ap50"] == {"mean": 0.7, "min": 0.5, "max": 0.8}
    assert (told["num_cells"], told["num_images"], told["seeds"], told["fit"]) == (36, 1, [0, 1, 2], "--steps 4")
    assert told["runs"][2]["trained"]["ap"] == {"0.50": 0.8}
