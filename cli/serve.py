"""`anysr serve`, `anysr gateway`, `anysr worker`: the service as a whole, or its parts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from pydantic import SecretStr

from cli.extras import needs
from jobs.embedded_redis import redis_server
from jobs.reload_requests import on_hangup
from jobs.server_process import RedisUnavailableError
from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError, settings_of
from models.catalog import CatalogError
from telemetry.logs import configure_logging
from telemetry.tracing import TracingMissing
from workers.runtimes.base import RuntimeMissing

if TYPE_CHECKING:
    from service.settings import GatewaySettings
    from workers.pool import WorkerPool

STOP_GRACE_S = 30.0
"""Time for a worker to finish its current job when the service stops."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """Run the whole service on this machine: gateway, queue and workers.

    Without ANYSR_REDIS_URL it starts a private Redis. Ctrl-C lets requests and the current jobs
    finish; a second one ends all at once.
    """
    with needs("cpu"), _clear_errors():
        # uvicorn raises the signal again after its shutdown; by default that ends the process
        # before the workers and the Redis are stopped below.
        signal.signal(signal.SIGTERM, _leave)
        from service import main as gateway_main
        from service.access.exposure import exposed
        from service.leaving import leave_at_once
        from workers.pool import WorkerPool, pool_environments
        from workers.settings import WorkerSettings

        settings = _gateway_settings(host, port)
        queue_settings = settings_of(QueueSettings)
        worker_settings = settings_of(WorkerSettings)
        with redis_server(queue_settings) as url:
            queue_settings = queue_settings.model_copy(update={"redis_url": url})
            environments = pool_environments(
                workers, worker_settings, queue_settings, url, _without_keys(os.environ)
            )
            pool = WorkerPool(environments)
            pool.start()
            typer.echo(f"AnySR Serve: http://{settings.host}:{settings.port}", err=True)
            if warning := exposed(settings):
                typer.echo(warning, err=True)
            hurry = partial(leave_at_once, pool.kill)
            try:
                gateway_main.run(settings, queue_settings, pool.reload, hurry)
            finally:
                signal.signal(signal.SIGINT, lambda *_: hurry())
                pool.stop(STOP_GRACE_S)


def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Run a gateway on the Redis of ANYSR_REDIS_URL."""
    from service import main as gateway_main

    with _clear_errors():
        gateway_main.run(_gateway_settings(host, port), _shared_queue())


def worker(
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """Run workers on the Redis of ANYSR_REDIS_URL; SIGTERM lets them finish their current jobs."""
    with needs("cpu"), _clear_errors():
        from workers import main as worker_main
        from workers.pool import WorkerPool, pool_environments
        from workers.settings import WorkerSettings

        queue_settings = _shared_queue()
        if processes == 1:
            worker_main.run(settings_of(WorkerSettings), queue_settings)
            return
        settings = settings_of(WorkerSettings)
        configure_logging(settings)
        url, inherited = str(queue_settings.redis_url), _without_keys(os.environ)
        environments = pool_environments(processes, settings, queue_settings, url, inherited)
        asyncio.run(_run_pool(WorkerPool(environments)))


async def _run_pool(pool: WorkerPool) -> None:
    """Run a pool until a signal to stop; pass SIGHUP on."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with on_hangup(pool.reload, stopped.set), pool:
        await stopped.wait()


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _gateway_settings(host: str | None, port: int | None) -> GatewaySettings:
    from service.access.key_file import read_key_file
    from service.settings import GatewaySettings

    given = {"host": host, "port": port}
    settings = settings_of(GatewaySettings)
    if settings.keys is not None:
        read_key_file(settings.keys)  # a wrong one ends the command before any worker starts
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without a gateway's keys: workers, which read foreign bytes, need
    none."""
    from service.settings import GatewaySettings

    prefix, fields = GatewaySettings.model_config["env_prefix"], GatewaySettings.model_fields
    keys = {
        f"{prefix}{name}".upper()
        for name, field in fields.items()
        if SecretStr in get_args(field.annotation)
    }
    return {name: value for name, value in environment.items() if name.upper() not in keys}


def _shared_queue() -> QueueSettings:
    settings = settings_of(QueueSettings)
    if not settings.redis_url:
        typer.echo(
            "Set ANYSR_REDIS_URL to the Redis that gateways and workers share, for example "
            "redis://127.0.0.1:6379/0; or run `anysr serve`, which starts its own.",
            err=True,
        )
        raise typer.Exit(2)
    return settings


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    """Report an error of the installation in one line instead of a traceback."""
    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (CatalogError, RedisUnavailableError, RuntimeMissing, TracingMissing) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
