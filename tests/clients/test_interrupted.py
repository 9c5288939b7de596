"""Both kinds of client against a server that fails first: what is repeated, and how."""

from __future__ import annotations

import time

import pytest

from anysr_client import (
    NO_RETRIES,
    AccessDenied,
    Busy,
    Conflict,
    ConnectionFailed,
    Deadline,
    DeadlineExceeded,
    Retries,
    UnexpectedAnswer,
    Url,
)
from tests.clients.conftest import Connect
from tests.clients.scripted_server import (
    BREAK,
    Scripted,
    ScriptedServer,
    problem,
    scripted_server,
)
from tests.support.pictures import draw_jpeg

PHOTO = draw_jpeg(40, 30)
BUSY = problem(429, "overloaded", Retry_After="0")
LOADING = problem(503, "not_ready", Retry_After="0")
IN_USE = problem(409, "idempotency_key_in_use", Retry_After="0")
PROXY = Scripted(502, b"<html>Bad Gateway</html>")
NOWHERE = "http://127.0.0.1:9"


def keys(server: ScriptedServer, path: str) -> list[str | None]:
    return [one.headers.get("idempotency-key") for one in server.asked(path)]


def budgets(server: ScriptedServer, path: str = "/upscale") -> list[float]:
    return [float(one.query["latency_budget_ms"]) for one in server.asked(path)]


@pytest.mark.parametrize("fault", [BREAK, PROXY, BUSY])
def test_an_upscaling_is_repeated_with_what_remains(
    connect: Connect, service_url: str, fault: Scripted
) -> None:
    with scripted_server(service_url, fault, LOADING, only="/upscale") as server:
        made = connect(server.url).upscale(PHOTO, scale=2, deadline=60)
        assert made.media_type == "image/jpeg"
        first, second, third = budgets(server)
        assert 60_000 > first > second > third > 0
        assert keys(server, "/upscale") == [None] * 3
        assert [one.body for one in server.asked("/upscale")] == [PHOTO] * 3


def test_a_refused_job_is_submitted_with_a_new_key_and_what_remains(
    connect: Connect, service_url: str
) -> None:
    with scripted_server(service_url, BUSY, LOADING, only="/jobs") as server:
        job = connect(server.url).submit(PHOTO, scale=2, deadline=60)
        assert job.last.output_width == 80
        first, second, third = budgets(server, "/jobs")
        assert 60_000 > first > second > third > 0
        assert len(set(keys(server, "/jobs")) - {None}) == 3


@pytest.mark.parametrize("fault", [BREAK, PROXY, IN_USE])
def test_a_request_that_may_have_left_a_job_is_repeated_as_it_was(
    connect: Connect, service_url: str, fault: Scripted
) -> None:
    with scripted_server(service_url, fault, LOADING, only="/jobs") as server:
        connect(server.url).submit(PHOTO, scale=2, deadline=60)
        assert len(budgets(server, "/jobs")) == 3
        assert len(set(budgets(server, "/jobs"))) == 1
        assert len(set(keys(server, "/jobs")) - {None}) == 1


def test_a_callers_own_key_and_budget_are_kept(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url, BUSY, only="/upscale") as server:
        wish = {"scale": 2, "budget": 20, "idempotency_key": 'the "first"'}
        made = connect(server.url).upscale(PHOTO, **wish)
        assert keys(server, "/upscale") == ['"the \\"first\\""'] * 2
        assert made.budget_ms == 20_000.0
        assert {one.headers["content-length"] for one in server.asked("/upscale")} == {
            str(len(PHOTO))
        }


def test_the_smaller_of_budget_and_deadline_is_sent(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url) as server:
        client = connect(server.url)
        client.upscale(PHOTO, scale=2, budget=20, deadline=50)
        client.upscale(PHOTO, scale=2, budget=50, deadline=20)
        assert budgets(server)[0] == 20_000.0
        assert budgets(server)[1] < 20_000.0


def test_a_refusal_beyond_patience_is_raised(connect: Connect, service_url: str) -> None:
    quota = problem(429, "quota_exceeded", Retry_After="9999")
    with scripted_server(service_url, quota) as server:
        with pytest.raises(Busy) as caught:
            connect(server.url).upscale(PHOTO, scale=2)
        assert (caught.value.code, caught.value.retry_after) == ("quota_exceeded", 9999.0)
        assert len(server.seen) == 1


def test_a_refusal_beyond_the_deadline_is_raised(connect: Connect, service_url: str) -> None:
    later = problem(503, "not_ready", Retry_After="30")
    with scripted_server(service_url, later, only="/upscale") as server:
        with pytest.raises(Busy):
            connect(server.url).upscale(PHOTO, scale=2, deadline=20)
        assert len(server.asked("/upscale")) == 1


def test_a_conflict_without_a_time_is_raised(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url, problem(409, "model_cannot")) as server:
        with pytest.raises(Conflict):
            connect(server.url).upscale(PHOTO, scale=2)
        assert len(server.seen) == 1


def test_broken_connections_are_counted(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url, *[BREAK] * 9) as server:
        with pytest.raises(ConnectionFailed) as caught:
            connect(server.url, retries=Retries(attempts=3, first_pause_s=0.001)).models()
        assert caught.value.reached
        assert len(server.seen) == 3


@pytest.mark.parametrize(("fault", "family"), [(BUSY, Busy), (BREAK, ConnectionFailed)])
def test_without_retries_one_try_is_made(
    connect: Connect, service_url: str, fault: Scripted, family: type[Exception]
) -> None:
    with scripted_server(service_url, fault) as server:
        with pytest.raises(family):
            connect(server.url, retries=NO_RETRIES).models()
        assert len(server.seen) == 1


def test_an_address_is_sent_in_place_of_a_picture(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url) as server:
        with pytest.raises(AccessDenied) as caught:
            connect(server.url).upscale(Url("https://host.example/a b.png?c=1&d"), scale=2)
        assert caught.value.code == "source_not_allowed"
        [seen] = server.seen
    assert seen.query == {"scale": "2", "image_url": "https://host.example/a b.png?c=1&d"}
    assert seen.body == b""


def test_a_service_that_cannot_be_reached(connect: Connect) -> None:
    with pytest.raises(ConnectionFailed, match="cannot be reached") as caught:
        connect(NOWHERE).models()
    assert not caught.value.reached


def test_a_deadline_that_has_passed_sends_nothing(connect: Connect, service_url: str) -> None:
    with scripted_server(service_url) as server:
        client = connect(server.url)
        client.models()
        with pytest.raises(DeadlineExceeded) as caught:
            client.upscale(PHOTO, scale=2, deadline=Deadline(time.monotonic()))
        assert (caught.value.code, caught.value.status) == ("deadline_exceeded", None)
        assert len(server.seen) == 1


def test_what_is_no_service(connect: Connect, service_url: str) -> None:
    moved = Scripted(308, b"", {"Location": "https://elsewhere/"})
    page = Scripted(200, b"<html>", {"Content-Type": "text/html"})
    with scripted_server(service_url, moved, page, page) as server:
        client = connect(server.url)
        with pytest.raises(UnexpectedAnswer, match="308, towards https://elsewhere/"):
            client.upscale(PHOTO, scale=2)
        with pytest.raises(UnexpectedAnswer, match="without a picture"):
            client.upscale(PHOTO, scale=2)
        with pytest.raises(UnexpectedAnswer, match="no Models"):
            client.models()


def test_the_key_is_sent_and_never_shown(
    connect: Connect, service_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSR_KEY", "anysr_of_the_environment")
    denied = problem(401, "unauthorized")
    with scripted_server(service_url, denied, denied) as server:
        for settings in ({}, {"key": "anysr_given"}):
            with pytest.raises(AccessDenied) as caught:
                connect(server.url, **settings).models()
            assert "anysr_" not in str(caught.value)
        keys = [one.headers["authorization"] for one in server.seen]
    assert keys == ["Bearer anysr_of_the_environment", "Bearer anysr_given"]
    with pytest.raises(ValueError, match="a character that no key has") as wrong:
        connect(service_url, key="anysr\nsecret")
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize("address", ["ftp://host", "host:8000", "http://", "http://h:port"])
def test_an_address_that_is_none(connect: Connect, address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        connect(address)


@pytest.mark.parametrize(
    "faults",
    [
        [BREAK],
        [LOADING, BREAK, PROXY],
        [Scripted(200, b"event: job\ndata: {", {"Content-Type": "text/event-stream"})],
        [Scripted(404, b"<html>a proxy without events</html>")],
    ],
)
def test_a_job_is_watched_where_its_events_break_off(
    connect: Connect, service_url: str, faults: list[Scripted]
) -> None:
    with scripted_server(service_url) as server:
        job = connect(server.url).submit(PHOTO, scale=2)
        server.only, server.script = f"/jobs/{job.id}/events", faults
        assert job.wait(deadline=60).status == "succeeded"
