"""What a foreign ONNX graph is, found by reading it and by running drawn pictures through it.

`anysr add` does this in a process of its own, because the graph's maker is not trusted.
"""
