"""Pictures in the store of a service: results from there, uploads to there, and never the key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anysr_client import InvalidRequest, UnexpectedAnswer, Uploaded, Url
from tests.clients.conftest import Connect
from tests.clients.scripted_server import BREAK, Scripted, problem, scripted_server

JOB = "0f8fad5bd9cb469fa16570867728950e"
FACTS = {
    "X-Request-ID": JOB,
    "X-AnySR-Model": "anysr-s",
    "X-AnySR-Width": "0.5",
    "X-AnySR-Scale": "2",
    "X-AnySR-Reason": "slack",
    "X-AnySR-Budget-Ms": "200.0",
    "X-AnySR-Elapsed-Ms": "120.0",
    "X-AnySR-Deadline": "met",
}
STATE = (
    b'{"id": "%s", "status": "succeeded", "progress": 1.0, "submitted_ms": 1.0, "deadline_ms": 2.0,'
    b' "finished_ms": 1.5, "output_width": 2, "output_height": 2, "run": null, "error": null,'
    b' "webhook": null, "destination": null, "links": {"self": "/jobs/a",'
    b' "result": "/jobs/a/result", "events": "/jobs/a/events"}}' % JOB.encode()
)


def test_a_result_is_taken_from_where_it_is_without_the_key(connect: Connect) -> None:
    picture = Scripted(200, b"picture", {"Content-Type": "image/webp"})
    with scripted_server("", picture) as store:
        elsewhere = {**FACTS, "Location": f"{store.url}/pictures/a?X-Amz-Signature=secret"}
        with scripted_server("", Scripted(202, STATE), Scripted(303, b"", elsewhere)) as service:
            client: Any = connect(service.url, key="anysr_a_secret")
            result = client.submit(b"source", scale=2).result()
        assert (result.picture, result.media_type) == (b"picture", "image/webp")
        assert (result.job_id, result.model, result.width) == (JOB, "anysr-s", 0.5)
        (seen,) = store.seen
        assert "authorization" not in seen.headers
        assert [one.headers["authorization"] for one in service.seen] == [
            "Bearer anysr_a_secret",
            "Bearer anysr_a_secret",
        ]


def test_what_a_store_refuses_is_an_error(connect: Connect) -> None:
    with scripted_server("", Scripted(403, b"<Error/>")) as store:
        elsewhere = {**FACTS, "Location": f"{store.url}/pictures/a"}
        with scripted_server("", Scripted(202, STATE), Scripted(303, b"", elsewhere)) as service:
            client: Any = connect(service.url)
            with pytest.raises(UnexpectedAnswer) as caught:
                client.submit(b"source", scale=2).result()
            assert caught.value.status == 403


def test_only_results_may_be_elsewhere(connect: Connect) -> None:
    with (
        scripted_server("", problem(404, "job_not_found")) as store,
        scripted_server("", Scripted(307, b"", {"Location": store.url})) as service,
    ):
        with pytest.raises(UnexpectedAnswer):
            connect(service.url, key="anysr_a_secret").models()
        assert not store.seen


@pytest.mark.parametrize("lost", [False, True])
def test_a_picture_is_uploaded_without_the_key(connect: Connect, lost: bool) -> None:
    answers = [BREAK, Scripted(412)] if lost else [Scripted(200)]
    with scripted_server("", *answers) as store:
        headers = {"Content-Type": "image/png", "Content-Length": "7", "If-None-Match": "*"}
        url = f"{store.url}/pictures/a?X-Amz-Signature=secret"
        place = {"id": JOB, "method": "PUT", "url": url, "headers": headers, "valid_s": 900}
        created = Scripted(201, json.dumps(place).encode())
        with scripted_server("", created, Scripted(202, STATE)) as service:
            client: Any = connect(service.url, key="anysr_a_secret")
            uploaded = client.upload(b"picture")
            client.submit(uploaded, scale=2)
        assert uploaded == Uploaded(JOB)
        assert [one.body for one in store.seen] == [b"picture"] * len(answers)
        for seen in store.seen:
            assert (seen.method, seen.query) == ("PUT", {"X-Amz-Signature": "secret"})
            assert "authorization" not in seen.headers
            assert headers.items() <= {name: seen.headers[name.lower()] for name in headers}.items()
        order, job = service.seen
        assert (order.path, json.loads(order.body)) == ("/uploads", {"bytes": 7})
        assert (job.path, job.query["upload"], job.body) == ("/jobs", JOB, b"")
        assert {one.headers["authorization"] for one in service.seen} == {"Bearer anysr_a_secret"}


def test_an_address_cannot_be_uploaded(connect: Connect) -> None:
    with pytest.raises(TypeError):
        connect("http://127.0.0.1:1").upload(Url("https://example.com/a.png"))


def test_a_service_without_a_store_says_so(connect: Connect) -> None:
    refused = problem(403, "uploads_disabled")
    with scripted_server("", refused) as service, pytest.raises(InvalidRequest):
        connect(service.url).upload(b"picture")
