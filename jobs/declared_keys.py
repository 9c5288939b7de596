"""The keys that a step declares beside those of every step, as a cluster wants them.

A step on one job declares what that job has. What it reads elsewhere, such as the record of the job
that a claim finds, can only be computed in it; all keys of a queue have one hash tag, so that these
lie in the same slot. The head of each script names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from jobs.keys import Keys

Arguments = Sequence[str | bytes | float]
"""Of a step, after those that all steps have."""
Names = Callable[[Keys, Arguments], Iterator[str]]

KEY_OF_SUBMIT, CLIENT_OF_SUBMIT = 17, 25
"""Places of the idempotency key's name and of the client among the arguments of submit.lua."""
AFTER_OF_CLAIM = 8
RESULT_OF_FINISH = 3
KEY_OF_DONE, WEBHOOK_HOST_OF_DONE, PLACE_HOST_OF_DONE = 6, 9, 11
KEY_OF_BATCH = 5


def declared(step: str, keys: Keys, arguments: Arguments) -> list[str]:
    """Return the keys that a step declares beside those of every step, and of its client or
    batch."""
    names = DECLARED.get(step)
    return list(names(keys, arguments)) if names is not None else []


def _of_job(keys: Keys, arguments: Arguments) -> Iterator[str]:
    """Yield the keys of the job, or the batch, that the first argument names."""
    name = str(arguments[0])
    yield keys.record(name)
    yield keys.result_url(name)
    yield keys.payload(name)


def _of_record(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield keys.record(str(arguments[0]))


def _of_submit(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield from _of_job(keys, arguments)
    yield from _given(arguments[KEY_OF_SUBMIT])
    if client := str(arguments[CLIENT_OF_SUBMIT]):
        yield keys.pending_of(client)


def _of_record_done(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield from _of_job(keys, arguments)
    yield from _given(arguments[KEY_OF_DONE])
    for place in (WEBHOOK_HOST_OF_DONE, PLACE_HOST_OF_DONE):
        if host := str(arguments[place]):
            yield keys.deliveries_of(host)


def _of_finish(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield from _of_job(keys, arguments)
    yield from _given(arguments[RESULT_OF_FINISH])


def _of_claim(keys: Keys, arguments: Arguments) -> Iterator[str]:
    if after := str(arguments[AFTER_OF_CLAIM]):
        yield keys.record(after)


def _of_key(keys: Keys, arguments: Arguments) -> Iterator[str]:
    del keys  # the argument is a name in Redis
    yield from _given(arguments[0])


def _of_charge(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield keys.charged(str(arguments[0]))


def _of_create_batch(keys: Keys, arguments: Arguments) -> Iterator[str]:
    yield from _of_record(keys, arguments)
    yield from _given(arguments[KEY_OF_BATCH])


def _given(name: str | bytes | float) -> Iterator[str]:
    """Yield the name of a key, unless it is empty."""
    if name:
        yield str(name)


DECLARED: Mapping[str, Names] = {
    "submit": _of_submit,
    "repeated": _of_key,
    "record_done": _of_record_done,
    "claim": _of_claim,
    "expected_end": _of_record,
    "renew": _of_record,
    "finish": _of_finish,
    "cancel": _of_job,
    "release": _of_record,
    "charge": _of_charge,
    "refund": _of_charge,
    "end_delivery": _of_job,
    "resend": _of_job,
    "create_batch": _of_create_batch,
    "update_batch": _of_job,
    "cancel_batch": _of_job,
}
"""By step; those that are left out need no more than every step has, or find their jobs
themselves."""
