"""The dashboard of the workers and their machines."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import Query, board, lines


def workers() -> Dashboard:
    """Return the dashboard of the workers."""
    return board(
        "anysr-workers",
        "AnySR / Workers",
        "Workers, their runs, and the state of their machines.",
        lines(
            "Workers",
            "none",
            Query("anysr:workers_live", "live"),
            Query("anysr:workers_ready", "ready"),
            Query("sum(anysr_worker_busy)", "busy"),
            about="By their heartbeats of each second; ready ones are warm.",
        ),
        lines(
            "Starts and restarts, 15 minutes",
            "none",
            Query("anysr:worker_starts:increase15m", "started in all"),
            Query(
                'sum by (instance) (changes(process_start_time_seconds{job="worker"}[15m]))',
                "{{instance}} restarted",
            ),
            Query("max(increase(anysr_stuck_workers_total[15m]))", "hung and replaced"),
            about="Started processes; restarts are those at the same address.",
        ),
        lines(
            "Runs",
            "ops",
            Query(
                "sum by (outcome, reason) (rate(anysr_runs_total[$__rate_interval]))",
                "{{outcome}}: {{reason}}",
            ),
            about="A job that loses its worker has more than one.",
            stacked=True,
        ),
        lines(
            "Tiles",
            "ops",
            Query("sum by (instance) (rate(anysr_tiles_total[$__rate_interval]))", "{{instance}}"),
            about="Tiles that ran through a network.",
            stacked=True,
        ),
        lines(
            "Suspended runs",
            "ops",
            Query("sum by (instance) (rate(anysr_yields_total[$__rate_interval]))", "{{instance}}"),
            about="Runs that were suspended for a more urgent job.",
            stacked=True,
        ),
        lines(
            "What workers do without",
            "none",
            Query("sum(anysr_models_broken)", "entries of model folders that are broken"),
            Query("sum(anysr_backends_refused)", "runtimes that computed wrongly or failed"),
            Query(
                'max(anysr_worker_costs_disturbed{over="max"})', "costs measured while disturbed"
            ),
            about="GET /health/ready names each, with its reason.",
        ),
        lines(
            "Workers by model",
            "none",
            Query(
                "sum by (model, runtime, precision) (anysr_model_info)",
                "{{model}}, {{runtime}} {{precision}}",
            ),
            about="Workers that serve each model.",
        ),
        lines(
            "Cores used",
            "none",
            Query(
                'sum by (instance) (rate(process_cpu_seconds_total{job="worker"}'
                "[$__rate_interval]))",
                "{{instance}}",
            ),
            about="Processor seconds per second of each worker.",
            stacked=True,
        ),
        lines(
            "Memory of workers",
            "bytes",
            Query('process_resident_memory_bytes{job="worker"}', "{{instance}}"),
            about="Resident memory of each worker process.",
        ),
        lines(
            "Machines: processor",
            "percentunit",
            Query('max(anysr_machine_cpu_load_ratio{over="max"})', "load, most"),
            Query('max(anysr_machine_cpu_load_ratio{over="mean"})', "load, mean"),
            Query('max(anysr_machine_cpu_steal_ratio{over="max"})', "stolen, most"),
            about="Fractions of all cores' time; stolen: given to others by the hypervisor.",
        ),
        lines(
            "Machines: memory",
            "bytes",
            Query('min(anysr_machine_memory_available_bytes{over="min"})', "available, least"),
            Query('min(anysr_machine_memory_total_bytes{over="min"})', "total, least"),
            about="Of the machine with the least memory available.",
        ),
    )
