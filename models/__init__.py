"""The zoo: networks, training, evaluation, export, catalog and shipped weights."""

import os

# ONNX Runtime tells its maker that it was imported, before it can be asked not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
