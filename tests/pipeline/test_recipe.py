"""Recipes and the section of a cluster, read from TOML."""

from pathlib import Path

import pytest

from unetprep.engine.scheduler import Scheduler, Tls
from unetprep.errors import InvalidInput
from unetprep.params import (
    DeformParams,
    ImportParams,
    WeightsParams,
)
from unetprep.recipe import read_cluster, read_recipe
from unetprep.stages.table import STAGES

WHOLE = """
[cluster]
scheduler = "slurm"
queue = "cpu"
account = "lab"
workers = 50
min-workers = 5
cores = 8
memory = "24GB"
walltime = "1-04:00:00"
interface = "ib0"
job-extra = ["--qos=low", "--nice=5"]
log-folder = "logs"
local-folder = "/scratch"
python = "/opt/python"
wait = "02:00:00"
tls-ca = "ca.pem"
tls-cert = "cert.pem"
tls-key = "/etc/key.pem"
"""


def test_a_recipe_says_all_of_it_with_paths_as_seen_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('out = "ds.zarr"\n[import]\nlabels = "masks"\n' + WHOLE)
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).write_text("")
    params = read_recipe(str(tmp_path / "recipe.toml")).cluster
    assert params == read_cluster(str(tmp_path / "recipe.toml"))
    assert (params.job_extra, params.tls_key) == (("--qos=low", "--nice=5"), "/etc/key.pem")
    assert params.log_folder == str(tmp_path / "logs")
    with pytest.raises(InvalidInput, match=r"tls-key is /etc/key.pem, which cannot be read"):
        Scheduler.of(params)
    (tmp_path / "cluster.toml").write_text(WHOLE.replace("/etc/key.pem", "ca.pem"))
    scheduler = Scheduler.of(read_cluster(str(tmp_path / "cluster.toml")))
    assert (scheduler.address, scheduler.num_workers, scheduler.memory_bytes) == ("slurm", 50, 24 * 10**9)
    assert (scheduler.slurm.cores, scheduler.slurm.min_workers, scheduler.patience_s) == (8, 5, 7200)
    assert scheduler.tls == Tls(*(str(tmp_path / name) for name in ("ca.pem", "cert.pem", "ca.pem")))
    assert hash(scheduler) == hash(Scheduler.of(read_cluster(str(tmp_path / "cluster.toml"))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[cluster]\nschedular = "slurm"', "did you mean 'scheduler'?"),
        ('[clutser]\nscheduler = "slurm"', "did you mean 'cluster'?"),
        ('[cluster]\njob-extra = "--qos=low"', r"job-extra in \[cluster\] of .* is '--qos=low'\n  allowed: a list"),
        ("[cluster]\njob-extra = [1]", "allowed: a list of texts"),
        ("[cluster]\ncores = 0", "cores is 0\n  allowed: 1 to 4096"),
        ('[cluster]\nworkers = "all"', "workers in .* is 'all'\n  allowed: a value of type int"),
        ('[cluster]\nwalltime = "00:01:00"', "walltime is '00:01:00'\n  allowed: two minutes or more"),
        ("cluster = 3", r"allowed: a section \[cluster\]"),
        ('out = "ds.zarr"', "says nothing about a cluster"),
    ],
)
def test_a_wrong_section_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_cluster(str(tmp_path / "cluster.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[weights]\nsigma = 1" + "0" * 400, "a float64 number"),
        ('[import]\nlabels = "a\\u0000b.tif"', "no line breaks"),
        ('out = "a\\nb.zarr"\n[import]\nlabels = "a.tif"', "no line breaks"),
    ],
)
def test_values_of_a_recipe_are_checked(tmp_path: Path, text: str, message: str) -> None:
    labels = "" if "[import]" in text else '[import]\nlabels = "a"\n'
    (tmp_path / "r.toml").write_text(text if text.startswith("out") else f'out = "a.zarr"\n{labels}{text}')
    with pytest.raises(InvalidInput, match=message):
        read_recipe(str(tmp_path / "r.toml"))


@pytest.mark.parametrize(
    ("weights", "deform"),
    [
        ('spacing = "4,1,1"\nclass-weights = "1,2.5"', 'grid = "3,5"'),
        ("spacing = [4, 1, 1]\nclass-weights = [1, 2.5]", "grid = [3, 5]"),
    ],
)
def test_a_recipe_gives_numbers_as_text_or_as_lists(tmp_path: Path, weights: str, deform: str) -> None:
    imports = '[import]\nlabels = "a.tif"\ndims = "3"\nconnectivity = 26\n'
    (tmp_path / "r.toml").write_text(f'out = "a.zarr"\n{imports}[weights]\n{weights}\n[deform]\n{deform}\n')
    recipe = read_recipe(str(tmp_path / "r.toml"))
    assert recipe.importing == ImportParams(dims=3, connectivity=26)
    assert recipe.stages["weights"] == WeightsParams(spacing=(4, 1, 1), class_weights=(1, 2.5))
    assert recipe.stages["deform"] == DeformParams(grid=(3, 5))


def test_paths_start_at_the_folder_of_the_recipe_and_urls_stay(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'out = "s3://bucket/ds.zarr"\n[import]\nimage = ["a.tif", "/b.tif"]\nlabels = "m"\n'
    )
    recipe = read_recipe(str(tmp_path / "r.toml"))
    assert recipe.out == "s3://bucket/ds.zarr"
    assert recipe.images == (str(tmp_path / "a.tif"), "/b.tif")
    assert recipe.labels == (str(tmp_path / "m"),)


def test_a_section_that_is_missing_has_the_defaults_of_its_stage(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('out = "ds.zarr"\n[import]\nlabels = "m"\n[weights]\nsigma = 3\n')
    recipe = read_recipe(str(tmp_path / "r.toml"))
    assert list(recipe.stages) == list(STAGES)
    assert recipe.stages == {name: stage.params() for name, stage in STAGES.items()} | {
        "weights": WeightsParams(sigma=3)
    }
    assert recipe.importing == ImportParams()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[import]\nlabels = "m"', "does not say out"),
        ('out = "a.zarr"\n[import]\nlabels = []', r"does not say labels in \[import\]"),
        ('out = "a.zarr"\n[import]\nlabels = [1]', r"names the path \[1\]"),
        (
            'out = "a.zarr"\n[import]\nlabels = "m"\n[weights]\nsigma = "wide"',
            "sigma in .*is 'wide'\n  allowed",
        ),
        ('out = "a.zarr"\n[import]\nlabels = "m"\n[tiles]\nindex-only = 1', "index-only in .*is 1\n  allowed: a value"),
    ],
)
def test_what_a_recipe_lacks_or_misspells_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_recipe(str(tmp_path / "r.toml"))
