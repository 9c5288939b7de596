"""Upscale one picture through Triton's client for the Open Inference Protocol.

pip install "tritonclient[http]"
python examples/triton_client.py photo.png 2.5 larger.png
"""

import os
import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

SERVER = os.environ.get("ANYSR_SERVER", "http://127.0.0.1:8000")


def upscale(source: str, scale: float, target: str) -> None:
    """Write the picture that fits a budget of 5 seconds."""
    with open(source, "rb") as file:
        picture = np.array([file.read()], dtype=np.object_)
    tensor = InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(picture)
    with InferenceServerClient(SERVER.removeprefix("http://")) as client:
        result = client.infer(
            "anysr", [tensor], parameters={"scale": scale, "latency_budget_ms": 5000}
        )
    with open(target, "wb") as file:
        file.write(result.as_numpy("image")[0])
    facts = result.get_response()["parameters"]
    print(f"{facts['model']} at width {facts['width']:g} ({facts['reason']}): {facts['deadline']}")


if __name__ == "__main__":
    try:
        upscale(sys.argv[1], float(sys.argv[2]), sys.argv[3])
    except InferenceServerException as error:
        sys.exit(f"{error.status()}: {error.message()}")
