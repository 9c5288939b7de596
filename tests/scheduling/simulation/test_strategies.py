"""The strategies that the policy is compared with follow their papers."""

from __future__ import annotations

from scheduling.load import Load
from scheduling.simulation.strategies import (
    STRATEGIES,
    Aimd,
    Case,
    Fixed,
    Greedy,
    SlackFit,
    batch_ms,
)
from tests.scheduling.test_policy import LADDER

IDLE = Load(0.0, 4)


def case(slack_ms: float, alike: int = 0) -> Case:
    return Case(LADDER, slack_ms, IDLE, alike, worker=0)


def test_greedy_takes_the_widest_in_time_or_else_the_cheapest() -> None:
    assert [Greedy().choose(case(ms))[0] for ms in (1000, 50, 49, 13, 0.1)] == [4, 4, 3, 1, 0]


def test_fixed_offers_one_option() -> None:
    assert Fixed(widest=True).offered(LADDER) == (LADDER[4],)
    assert Fixed(widest=False).offered(LADDER) == (LADDER[1],)
    assert STRATEGIES["widest-admitted"]().admission
    assert not STRATEGIES["widest"]().admission


def test_aimd_adds_one_after_a_hit_and_removes_a_tenth_after_a_miss() -> None:
    aimd = Aimd()
    for _ in range(9):
        aimd.ended(met=True)
    assert aimd.choose(case(100, alike=50)) == (0, 10)
    assert aimd.choose(case(100, alike=3)) == (0, 4)
    aimd.ended(met=False)
    assert aimd.choose(case(100, alike=50)) == (0, 9)
    for _ in range(100):
        aimd.ended(met=False)
    assert aimd.choose(case(100, alike=50)) == (0, 1)


def test_slackfit_takes_the_largest_batch_of_the_bucket_that_the_slack_allows() -> None:
    fit = SlackFit(batch_gain=0.0)
    index, size = fit.choose(case(51.0, alike=20))
    taken = batch_ms(LADDER[index].safe_ms, size, 0.0)
    assert 40 < taken <= 51
    assert fit.choose(case(38.0, alike=20)) == (1, 3)  # 37.5 ms: three narrow before one wide
    assert fit.choose(case(38.0)) == (3, 1)  # nothing to batch it with


def test_a_batch_shares_its_gain() -> None:
    assert batch_ms(100.0, 4, 0.25) == 100 * (0.25 + 0.75 * 4)
    assert batch_ms(100.0, 1, 0.25) == 100
