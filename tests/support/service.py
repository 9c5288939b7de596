"""A running service for tests of several packages: `anysr serve` in processes of its own."""

from benchmarks.local_service import running_process, running_service, server_timing

__all__ = ["running_process", "running_service", "server_timing"]
