"""An EXIF record (`images.exif`): bounded, read and edited, whatever it holds."""

from __future__ import annotations

from benchmarks.specimens import exif_record
from images.exif import MAX_BYTES, PREFIX, bounded, cleaned, is_sound, orientation
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """Read and edit a record as gateway and worker do."""
    assert orientation(data) in range(1, 9)
    record = bounded(data)
    assert record in (b"", data)
    assert len(record) <= MAX_BYTES
    is_sound(record)
    edited = cleaned(record)
    if edited:
        _check(edited, record)


def _check(edited: bytes, record: bytes) -> None:
    assert edited.startswith(PREFIX)
    inner = edited.removeprefix(PREFIX)
    assert len(inner) <= len(record) + 4  # the end of the directories, padded
    assert orientation(inner) == 1
    assert is_sound(bounded(inner))


def seeds() -> list[bytes]:
    """Return a drawn record, its beginning alone, one of a loop, and an empty one."""
    record = exif_record().removeprefix(PREFIX)
    loop = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"
    return [record, record[:60], loop, b"II*\0\x08\0\0\0\0\0\0\0\0\0"]


TARGET = Target(run, seeds, longest=2048)
