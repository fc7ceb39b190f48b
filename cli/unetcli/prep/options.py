"""Options that several commands of `unetprep` share, and the keywords of the Python API that they stand for."""

import os
from collections.abc import Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

import click

from unetcli.options import Command, common
from unetcli.progress import logging_to

if TYPE_CHECKING:
    from unetprep.work import ClusterOptions


def with_storage_options(command: Command) -> Command:
    """Add the option of every command that takes URLs."""

    @wraps(command)
    def run(endpoint_url: str | None, **values: Any) -> Any:
        if endpoint_url:
            os.environ["AWS_ENDPOINT_URL_S3"] = endpoint_url
        return command(**values)

    help = "The S3 server of s3:// URLs, such as http://server:9000.  [default: the environment's]"
    return cast(Command, click.option("--endpoint-url", metavar="URL", help=help)(run))


def with_store_options(command: Command) -> Command:
    """Add the options of every command that makes a part of a store."""
    for option in (
        click.option(
            "--dry-run", is_flag=True, help="Print what would be done, as unetprep plan does, and do nothing."
        ),
        click.option("--overwrite", is_flag=True, help="Replace arrays that were made with other parameters."),
    ):
        command = option(command)
    return with_scheduler_options(command)


def with_scheduler_options(command: Command) -> Command:
    """Add the options of every command that computes on a scheduler."""
    for option in (
        click.option("--log", metavar="FILE", help="Append progress and messages to a log file."),
        click.option(
            "--cluster", metavar="TOML", help="A file, such as a recipe, whose section [cluster] says where it runs."
        ),
        click.option(
            "--memory",
            metavar="SIZE",
            help="Memory limit of each worker process or Slurm job, such as 2GiB.  [default: no limit]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            help="Number of threads (local), worker processes, or Slurm jobs at most.  [default: one for each core;"
            " slurm: 1]",
        ),
        click.option(
            "--scheduler",
            help="local, processes, slurm, or the address of a Dask scheduler, tcp://HOST:PORT.  [default: local]",
        ),
    ):
        command = option(command)
    return common(with_storage_options(_with_one_connection(command)))


def _with_one_connection(command: Command) -> Command:
    """Keep one connection to a cluster for all stages of a command, and log to the file of --log."""

    @wraps(command)
    def run(log: str | None, **values: Any) -> Any:
        from unetprep.engine.dask_cluster import kept_connections

        with logging_to(log, values["quiet"]), kept_connections():
            return command(**values)

    return run


def cluster_options(values: Mapping[str, Any]) -> "ClusterOptions":
    """The keywords of the Python API for the options of `with_scheduler_options`."""
    from unetprep.engine.memory import limit_malloc_arenas
    from unetprep.recipe import read_cluster

    limit_malloc_arenas()
    found: ClusterOptions = {"cluster": read_cluster(values["cluster"])} if values["cluster"] else {}
    given: Any = {name: values[name] for name in ("scheduler", "workers", "memory") if values[name]}
    found.update(given)
    return found
