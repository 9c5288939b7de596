"""Requests and answers of the Open Inference Protocol, written by hand from its specification."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.service.harness import RunningGateway, drawn

INFER = "/v2/models/anysr/infer"


def base64_input(picture: bytes) -> dict[str, Any]:
    """The input `image` with its data in the JSON."""
    data = [base64.b64encode(picture).decode()]
    return {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}


def element(content: bytes) -> bytes:
    """One element of a binary tensor of BYTES."""
    return len(content).to_bytes(4, "little") + content


def binary_input(name: str, datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    """An input whose data follows the JSON."""
    parameters = {"binary_data_size": size}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


def body_of(members: Any, tail: bytes = b"") -> tuple[bytes, dict[str, str]]:
    """A body with binary data, and its headers."""
    head = json.dumps(members).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + tail, headers


async def infer(
    served: RunningGateway, members: Any = None, url: str = INFER, **parameters: Any
) -> httpx.Response:
    """POST a request in JSON alone, by default of a drawn picture at scale 2."""
    if members is None:
        members = {"inputs": [base64_input(drawn())], "parameters": parameters or {"scale": 2}}
    return await served.client.post(url, json=members)


async def infer_binary(
    served: RunningGateway, tensor: dict[str, Any], tail: bytes, **members: Any
) -> httpx.Response:
    """POST a request whose input follows the JSON."""
    content, headers = body_of({"inputs": [tensor], **members}, tail)
    return await served.client.post(INFER, content=content, headers=headers)


def picture_of(response: httpx.Response) -> bytes:
    """The picture in an answer, by its header in JSON or behind it."""
    assert response.status_code == 200, response.text
    length = response.headers.get("inference-header-content-length")
    if length is None:
        assert response.headers["content-type"] == "application/json"
        (text,) = output_of(response.json())["data"]
        return base64.b64decode(text, validate=True)
    assert response.headers["content-type"] == "application/octet-stream"
    head, tail = response.content[: int(length)], response.content[int(length) :]
    assert output_of(json.loads(head))["parameters"] == {"binary_data_size": len(tail)}
    assert int.from_bytes(tail[:4], "little") == len(tail) - 4
    return tail[4:]


def output_of(members: dict[str, Any]) -> dict[str, Any]:
    """The only output of an answer."""
    (output,) = members["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("image", "BYTES", [1])
    found: dict[str, Any] = output
    return found


def samples_of(picture: bytes) -> np.ndarray[Any, Any]:
    """The samples of a picture, [H, W, 3]."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"))


def assert_error(response: httpx.Response, status: int, code: str) -> str:
    """Check the form of the protocol's error, and return its text."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    members: dict[str, Any] = response.json()
    assert members["code"] == code, members
    assert members["request_id"] == response.headers["x-request-id"]
    assert members["error"]
    assert not {"type", "title", "status", "detail"} & members.keys()
    text: str = members["error"]
    return text
