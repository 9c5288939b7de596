"""What a service keeps beside its processes: in Redis, in its folders, in shared memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import redis

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class StoreSample:
    """What is kept at a moment. Of Redis, -1 where it did not answer."""

    keys: int
    lasting_keys: int
    """Of these, the keys that never expire."""
    redis_bytes: int
    """Allocated by Redis."""
    connections: int
    """To Redis."""
    temporary_files: int
    temporary_bytes: int
    other_files: int
    """In the service's other folders."""
    shared_memory: int
    """Names in shared memory that were not there at the start, of the whole machine."""


class Stores:
    """Looks at them."""

    def __init__(self, socket: str, temporary: Path, others: tuple[Path, ...]) -> None:
        self._redis = redis.Redis(unix_socket_path=socket, socket_timeout=10)
        self._temporary = temporary
        self._others = others
        self._shared_before = _names(SHARED_MEMORY)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def sample(self) -> StoreSample:
        """Return what is kept now."""
        keys, lasting, used, connections = self._of_redis()
        files = _files(self._temporary)
        return StoreSample(
            keys=keys,
            lasting_keys=lasting,
            redis_bytes=used,
            connections=connections,
            temporary_files=len(files),
            temporary_bytes=sum(map(_size, files)),
            other_files=sum(len(_files(folder)) for folder in self._others),
            shared_memory=len(_names(SHARED_MEMORY) - self._shared_before),
        )

    def kinds_of_keys(self) -> dict[str, int]:
        """Return the numbers of keys by the second part of their names. Raises RedisError."""
        names = [bytes(name).decode() for name in self._redis.scan_iter(count=500)]
        kinds = Counter(name.split(":")[1] if ":" in name else name for name in names)
        return dict(sorted(kinds.items()))

    def _of_redis(self) -> tuple[int, int, int, int]:
        try:
            found = self._redis.info()
        except (redis.RedisError, OSError):
            return -1, -1, -1, -1
        space = found.get("db0", {"keys": 0, "expires": 0})
        lasting = space["keys"] - space["expires"]
        return space["keys"], lasting, found["used_memory"], found["connected_clients"]


def _files(folder: Path) -> list[Path]:
    found = list[Path]()
    with contextlib.suppress(OSError):  # a folder was removed meanwhile
        found.extend(path for path in folder.rglob("*") if not path.is_dir())
    return found


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):  # it was removed meanwhile
        return path.stat().st_size
    return 0


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.glob("*"))
