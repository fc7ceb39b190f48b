"""Parameters of a cluster."""

from dataclasses import fields
from typing import Any

import pytest

from unetprep.errors import InvalidInput
from unetprep.params import (
    ClusterParams,
    SlurmParams,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:30", 630), ("04:00:00", 14400), ("2-12", 216000), ("1-00:30", 88200), ("1-00:00:10", 86410)],
)
def test_times_are_those_of_slurm(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds
    assert parse_time(text) == SlurmParams(walltime=text).walltime_s()


@pytest.mark.parametrize("text", ["", "4h", "1:2:3:4", "-1", "1-"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="walltime is"):
        SlurmParams(walltime=text)


@pytest.mark.parametrize("walltime", ["2", "5", "30", "01:00:00", "7-00:00:00"])
def test_workers_retire_before_slurm_would_kill_them(walltime: str) -> None:
    lifetime, stagger = SlurmParams(walltime=walltime).lifetime_s()
    end = SlurmParams(walltime=walltime).walltime_s()
    assert lifetime + stagger <= end - min(300, end // 10)
    assert lifetime - stagger >= end // 2


def build(kind: type, values: dict[str, Any]) -> object:
    return kind(**values)


@pytest.mark.parametrize("text", ["9" * 5000, "1:" + "9" * 20, "99999-00", "٣:00:00"])
def test_times_are_plain_numbers(text: str) -> None:
    with pytest.raises(InvalidInput, match="walltime is"):
        parse_time(text)


@pytest.mark.parametrize("text", ["cpu\n#SBATCH --x", "cpu\r", "a\x1b[2J", "a\u2028b", "a\0"])
@pytest.mark.parametrize("name", [f.name for f in fields(ClusterParams) if f.type in (str, tuple[str, ...])])
def test_no_text_of_a_job_holds_a_line_break(name: str, text: str) -> None:
    value = (text,) if name == "job_extra" else text
    with pytest.raises(InvalidInput, match="without line breaks"):
        build(ClusterParams, {name: value})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("queue", "cpu --wrap=x"), ("queue", "-p"), ("account", "a b"), ("interface", "ib0; x"), ("interface", "$(x)"),
        ("python", "python; x"), ("python", "`x`"), ("local_folder", "/tmp && x"), ("local_folder", "$(x)"),
    ],
)  # fmt: skip
def test_no_text_of_a_job_is_more_than_a_word(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=name.replace("_", "-")):
        build(ClusterParams, {name: text})


def test_usual_texts_of_a_job_are_taken() -> None:
    ClusterParams(
        queue="gpu,cpu-long", account="lab_1@site", interface="ib0", python="~/envs/u.1/bin/python",
        local_folder="/scratch/${USER}/$SLURM_JOB_ID", job_extra=("--qos=low", "--constraint=[a&b]"),
    )  # fmt: skip
