"""Networks of other makers: ONNX graphs of one integer scale, and how they are fed."""
