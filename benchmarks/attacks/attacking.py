"""The process of an attacker: its work delays the honest caller no more than a machine must."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.attacks.registry import ATTACKS
from benchmarks.attacks.wire import Attacker

PREPARING_S = 180.0


@dataclass(frozen=True)
class Attempt:
    """What an attacker did."""

    sent: int
    """Bytes sent during the attack."""
    answers: dict[str, int]
    """Answers by status, and connections that were `closed` without one."""


class Attacking:
    """A running attack, seen from the process that started it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(self) -> None:
        """Wait until the attack is prepared, and begin it. Raises TimeoutError, and RuntimeError if
        the attacker has ended."""
        if not self._pipe.poll(PREPARING_S):
            raise TimeoutError(f"the attack was not prepared after {PREPARING_S:g} s")
        self._receive()
        self._pipe.send(None)

    def goes_on(self) -> bool:
        return not self._pipe.poll()

    def attempt(self) -> Attempt:
        """Return what was done, once the attack is over. Raises RuntimeError."""
        done = self._receive()
        assert isinstance(done, Attempt)
        return done

    def _receive(self) -> object:
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError("the attacker ended by itself; see its traceback") from None


@contextmanager
def attacking(name: str, port: int, seconds: float) -> Iterator[Attacking]:
    """Run an attack of so many seconds in a process of its own, which ends with the block."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe()
    process = spawned.Process(target=_attack, args=(name, port, seconds, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Attacking(ours)
    finally:
        process.terminate()
        process.join()


def _attack(name: str, port: int, seconds: float, pipe: Connection) -> None:
    """Prepare, announce it, wait for the start, attack, and report."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_attack_for(name, port, seconds, pipe))


async def _attack_for(name: str, port: int, seconds: float, pipe: Connection) -> None:
    attack = ATTACKS[name]()
    await attack.prepare(Attacker(port))
    pipe.send(None)
    await asyncio.to_thread(pipe.recv)
    attacker = Attacker(port)
    end = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout_at(end):
            await attack.run(attacker)
            await asyncio.sleep(seconds)
    except TimeoutError:
        pipe.send(Attempt(attacker.sent, dict(sorted(attacker.answers.items()))))
