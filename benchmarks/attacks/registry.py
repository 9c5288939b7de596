"""The attacks, by the names of the command line."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.empty_scans import EmptyScans
from benchmarks.attacks.heads import EndlessHeads, LongUrl, ManyHeaders
from benchmarks.attacks.large_exif import LargeExif
from benchmarks.attacks.largest_pictures import LargestPictures
from benchmarks.attacks.many_uploads import AcceptedUploads, ManyUploads
from benchmarks.attacks.slow_callers import IdleConnections, SlowUploads
from benchmarks.attacks.unread_results import UnreadResults
from benchmarks.attacks.wire import Attacker


class NoAttack(Attack):
    """Attacks nothing: the honest caller alone, to compare with."""

    name = "none"

    async def run(self, attacker: Attacker) -> None:
        """Return at once."""


ATTACKS: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        NoAttack,
        EmptyScans,
        LargeExif,
        LargestPictures,
        ManyUploads,
        AcceptedUploads,
        EndlessHeads,
        LongUrl,
        ManyHeaders,
        UnreadResults,
        IdleConnections,
        SlowUploads,
    )
}
