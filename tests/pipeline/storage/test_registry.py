"""Which storage a URL opens, and what that imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from unetprep.errors import InvalidInput
from unetprep.storage.fsspec_store import FsspecStorage
from unetprep.storage.local import LocalStorage
from unetprep.storage.object_store import ObjectStorage
from unetprep.storage.registry import open_storage


def test_the_url_chooses_the_storage(tmp_path: Path) -> None:
    assert isinstance(open_storage(str(tmp_path)), LocalStorage)
    assert isinstance(open_storage("s3://bucket/x"), ObjectStorage)
    assert isinstance(open_storage("memory://x"), FsspecStorage)
    (tmp_path / "a b").write_bytes(b"1")
    assert open_storage(f"{tmp_path.as_uri()}/").get("a b") == b"1"
    with pytest.raises(InvalidInput, match="s3:// names no bucket"):
        open_storage("s3://")
    with pytest.raises(InvalidInput, match="nowhere://x cannot be opened"):
        open_storage("nowhere://x")


def test_local_paths_need_no_client() -> None:
    script = (
        "import sys; from unetprep.storage.registry import open_storage; open_storage('x');"
        "sys.exit('obstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
