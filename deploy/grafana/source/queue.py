"""The dashboard of the queue and its Redis."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import Query, board, lines


def queue() -> Dashboard:
    """Return the dashboard of waiting jobs, redeliveries and Redis."""
    return board(
        "anysr-queue",
        "AnySR / Queue",
        "Waiting jobs and their age, redeliveries, and the memory of Redis.",
        lines(
            "Jobs",
            "none",
            Query("anysr:queue_depth", "waiting"),
            Query("anysr:queue_running", "running"),
            about="Waiting and running jobs.",
            stacked=True,
        ),
        lines(
            "Age",
            "s",
            Query("anysr:queue_oldest_age_seconds", "of the oldest"),
            Query("anysr:queue_overdue_seconds", "most urgent is overdue"),
            about="A job is overdue when it had to start earlier to be in time.",
            limits=(30,),
        ),
        lines(
            "Time in the queue",
            "s",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (le) "
                    '(rate(anysr_job_stage_seconds_bucket{stage="queue"}[$__rate_interval])))',
                    f"p{100 * part:g}",
                    exemplars=True,
                )
                for part in (0.5, 0.9, 0.99)
            ),
            about="From submission to the claim.",
        ),
        lines(
            "Backlog",
            "s",
            Query("anysr:queue_backlog_seconds", "waiting, each at its cheapest"),
            about="Predicted cost of the waiting jobs.",
        ),
        lines(
            "Redelivered and given up",
            "none",
            Query("anysr:redeliveries:increase15m", "redelivered, 15 minutes"),
            Query("anysr:dead_letters:increase15m", "given up, 15 minutes"),
            about="Jobs that lost a worker, and jobs that lost too many.",
        ),
        lines(
            "Memory of Redis",
            "bytes",
            Query("max by (holds) (anysr_redis_memory_used_bytes)", "{{holds}}: used"),
            Query("max by (holds) (anysr_redis_memory_limit_bytes)", "{{holds}}: limit"),
            about="The limit is maxmemory, or the machine's memory without one.",
        ),
        lines(
            "Redis full",
            "percentunit",
            Query("anysr:redis_memory:ratio", "{{holds}}"),
            about="Fraction of the limit in use; at 1, new jobs are refused.",
            limits=(0.85,),
        ),
        lines(
            "Age of the gateways' snapshots",
            "s",
            Query("anysr_snapshot_age_seconds", "{{instance}}"),
            about="Time since each gateway last read the queue.",
        ),
    )
