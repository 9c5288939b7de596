"""A result that the service keeps elsewhere: the client follows, and leaves its key behind."""

from __future__ import annotations

from typing import Any

import pytest

from anysr_client import UnexpectedAnswer
from tests.clients.conftest import Connect
from tests.clients.scripted_server import Scripted, problem, scripted_server

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
