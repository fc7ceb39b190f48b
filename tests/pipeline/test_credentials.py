"""Passwords and signatures in URLs are shown, logged and recorded nowhere."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import unettrain.errors
from unetcli.options import result
from unetcli.prep.main import main
from unetcli.progress import logging_to
from unetprep.credentials import mask_credentials
from unetprep.errors import InvalidInput
from unetprep.storage.base import Remote
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import LOCK, locked
from unetprep.storage.registry import open_storage
from unettrain.config import FitConfig, UNetConfig
from unettrain.run_record import make_record, recorded_store

SECRET = "hunter2"
URLS = {
    f"https://user:{SECRET}@host/ds.zarr": "https://user:***@host/ds.zarr",
    f"https://user:a@{SECRET}:b@host/ds.zarr": "https://user:***@host/ds.zarr",
    f"sftp://user:{SECRET}@host:22/x": "sftp://user:***@host:22/x",
    f"https://{SECRET * 3}@host/x": "https://***@host/x",
    f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={SECRET}": (
        "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=***"
    ),
    f"https://h/k?X-Amz-Credential={SECRET}%2Fs3&X-Amz-Security-Token={SECRET}&a=1": (
        "https://h/k?X-Amz-Credential=***&X-Amz-Security-Token=***&a=1"
    ),
    f"https://h/k?se=2026&sig={SECRET}&sp=r": "https://h/k?se=2026&sig=***&sp=r",
    f"https://h/k?access_token={SECRET}": "https://h/k?access_token=***",
    f"https://h/k?AWSAccessKeyId={SECRET}&Signature={SECRET}": "https://h/k?AWSAccessKeyId=***&Signature=***",
}


@pytest.mark.parametrize("url", URLS)
def test_secrets_are_masked(url: str) -> None:
    assert mask_credentials(url) == URLS[url]
    assert mask_credentials(f"cannot read {url}, nor '{url}'") == f"cannot read {URLS[url]}, nor '{URLS[url]}'"
    assert mask_credentials(mask_credentials(url)) == URLS[url]


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/path/a@b:c", "https://host:9000/x?version=3", "tcp://127.0.0.1:8786", "sigma=5, a?b=c", "/a/b:c@d"],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert mask_credentials(text) == text


URL = f"https://user:{SECRET}@127.0.0.1:1/ds.zarr"


def test_errors_and_results_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in (InvalidInput, unettrain.errors.InvalidInput):
        assert SECRET not in str(kind(f"{URL} is not there", allowed=URL, hint=URL))
    for as_json in (False, True):
        result("x", {"store": URL}, f"-> {URL}", as_json)
    said = capsys.readouterr().out
    assert SECRET not in said
    assert said.count("user:***@127.0.0.1") == 2


def test_a_command_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.storage.object_store.RETRY_SECONDS", 0.1)
    said = CliRunner().invoke(main, ["info", URL, "--verbose"])
    assert said.exit_code == 1
    assert "127.0.0.1:1/ds.zarr" in said.output
    assert SECRET not in said.output


def test_places_of_remote_objects_are_masked() -> None:
    storage = open_storage(URL)
    assert isinstance(storage, Remote)
    assert SECRET in storage.url
    assert SECRET not in storage.place("a")


def test_locks_and_logs_hold_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unetprep", "import", "--image", URL])
    with locked(LocalStorage(str(tmp_path / "ds.zarr")), str(tmp_path / "ds.zarr")):
        found = (tmp_path / "ds.zarr" / LOCK).read_text()
    assert "import --image https://user:***@" in found
    with logging_to(str(tmp_path / "log"), quiet=False):
        logging.getLogger("unetprep").warning("waiting for %s", URL)
    for said in ((tmp_path / "log").read_text(), capsys.readouterr().err):
        assert "waiting for https://user:***@" in said


def test_a_run_records_no_password(tmp_path: Path) -> None:
    record: dict[str, Any] = make_record(URL, {}, UNetConfig(), FitConfig())
    assert SECRET not in json.dumps(record)
    with pytest.raises(unettrain.errors.InvalidInput, match="--store URL"):
        recorded_store(record, tmp_path)
    assert recorded_store({"store": "s3://bucket/ds.zarr"}, tmp_path) == "s3://bucket/ds.zarr"
