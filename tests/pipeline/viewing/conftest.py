"""What a page of the viewer gets from its server."""

import json
import zlib
from io import BytesIO
from typing import Any
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from unetprep import Viewing


class Client:
    """Requests as the page makes them."""

    def __init__(self, viewing: Viewing) -> None:
        self.base, self.token = viewing.url.partition("/v/")[0], viewing.url.rstrip("/").rpartition("/")[2]

    def get(self, path: str) -> bytes:
        with urlopen(f"{self.base}/{path}", timeout=30) as answer:
            content: bytes = answer.read()
        return content

    def state(self) -> dict[str, Any]:
        """The state of the page: layers, shaders, position."""
        with urlopen(f"{self.base}/events/{self.token}?c=test&gs=&gc=", timeout=30) as events:
            for line in events:
                message = json.loads(line.partition(b"data: ")[2] or b"{}")
                if message.get("k") == "s":
                    return dict(message["s"])
        raise AssertionError("no state was sent")

    def layers(self) -> dict[str, dict[str, Any]]:
        return {layer["name"]: layer for layer in self.state()["layers"]}

    def info(self, layer: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads(self.get(f"neuroglancer/info/{key_of(layer)}")))

    def values(self, layer: dict[str, Any], scale: int = 1) -> NDArray[Any]:
        """All values of a layer, of which every `scale`-th along y and x is left."""
        shape = self.info(layer)["shape"]
        factors = [1] * (len(shape) - 2) + [scale] * 2
        end = ",".join(str(-(-n // f)) for n, f in zip(shape, factors, strict=True))
        start, key = ",".join("0" * len(shape)), ",".join(map(str, factors))
        data = self.get(f"neuroglancer/npz/{key_of(layer)}/{key}/{start}/{end}")
        return np.asarray(np.load(BytesIO(zlib.decompress(data))))


def key_of(layer: dict[str, Any]) -> str:
    """The secret by which the server knows the pixels of a layer."""
    (source,) = layer["source"]
    return str(source["url"]).rpartition("/")[2]
