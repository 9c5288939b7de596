"""The queue and the Redis that it lives in."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import Query, board, lines


def queue() -> Dashboard:
    """Return the dashboard of what waits, of what went wrong, and of Redis."""
    return board(
        "anysr-queue",
        "AnySR / Queue",
        "What waits and for how long, what had to be done twice, and the memory of Redis.",
        lines(
            "Jobs",
            "none",
            Query("anysr:queue_depth", "waiting"),
            Query("anysr:queue_running", "running"),
            about="Jobs in the queue and in the hands of workers.",
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
            about="Predicted cost of what waits.",
        ),
        lines(
            "Done twice, and given up",
            "none",
            Query("anysr:redeliveries:increase15m", "redelivered, 15 minutes"),
            Query("anysr:dead_letters:increase15m", "given up, 15 minutes"),
            about="Jobs whose worker was lost, and jobs that lost too many.",
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
            about="Part of the limit in use; when all is used, new jobs are refused.",
            limits=(0.85,),
        ),
        lines(
            "Age of the gateways' snapshots",
            "s",
            Query("anysr_snapshot_age_seconds", "{{instance}}"),
            about="How long ago each gateway looked at the queue.",
        ),
    )
