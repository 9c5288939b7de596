"""RateLimit-Policy and RateLimit, to the letter of the draft."""

from __future__ import annotations

from jobs.client_limits import Allowance, ClientLimits
from service.access.rate_headers import rate_headers

LEFT = Allowance(requests=7, full_s=1.25, pixels=900, day_s=3600.4)


def test_both_policies() -> None:
    limits = ClientLimits(client="a", requests_per_second=4, burst=10, pixels_per_day=1000)
    assert rate_headers(limits, LEFT) == {
        "RateLimit-Policy": '"requests";q=10;w=3, "pixels";q=1000;qu="pixels";w=86400',
        "RateLimit": '"requests";r=7;t=2, "pixels";r=900;t=3601',
    }
    assert rate_headers(limits, LEFT, spent=901)["RateLimit"].endswith('"pixels";r=0;t=3601')


def test_one_policy_or_none() -> None:
    requests = ClientLimits(client="a", requests_per_second=0.5)
    assert rate_headers(requests, LEFT)["RateLimit-Policy"] == '"requests";q=1;w=2'
    pixels = ClientLimits(client="a", pixels_per_day=5)
    assert rate_headers(pixels, LEFT)["RateLimit"] == '"pixels";r=900;t=3601'
    assert rate_headers(ClientLimits(client="a", jobs_waiting=5), LEFT) == {}
