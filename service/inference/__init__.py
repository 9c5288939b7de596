"""The Open Inference Protocol, version 2, by which KServe's and Triton's clients call the service.

`protocol` has the names that it fixes and what its requests and answers hold; `upload` reads a
request, by `document`, `pieces` and `pixels`; `answer` writes an answer; `server_api`, `model_api`
and `infer_api` have the routes.
"""
