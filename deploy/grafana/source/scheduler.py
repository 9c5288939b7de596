"""The dashboard of the policy: its decisions and predictions."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import Query, board, lines, spread

QUANTILES = (0.1, 0.5, 0.9)


def scheduler() -> Dashboard:
    """Return the dashboard of width mix, slack, predictions and backlog."""
    return board(
        "anysr-scheduler",
        "AnySR / Scheduler",
        "Widths and their reasons, slack, and predicted against actual time.",
        lines(
            "Width mix",
            "ops",
            Query(
                "sum by (model, width) (rate(anysr_width_selected_total[$__rate_interval]))",
                "{{model}} @ {{width}}",
            ),
            about="Pictures by model and width; lanczos @ 0 is plain resampling.",
            stacked=True,
        ),
        lines(
            "Why this width",
            "ops",
            Query(
                "sum by (reason) (rate(anysr_width_selected_total[$__rate_interval]))",
                "{{reason}}",
            ),
            about="widest: all fitted. slack: narrowed to its own budget. backlog: narrowed for "
            "those that wait. demand: narrowed for those that keep coming. floor: no network "
            "fitted. pinned: the caller chose.",
            stacked=True,
        ),
        spread(
            "Slack",
            "s",
            Query(
                "sum by (le) (increase(anysr_deadline_slack_seconds_bucket[$__rate_interval]))",
                "{{le}}",
            ),
            "Budget left when the answer was finished; below 0 the answer was late.",
        ),
        lines(
            "Actual over predicted time",
            "none",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (le) "
                    "(rate(anysr_cost_model_error_ratio_bucket[$__rate_interval])))",
                    f"p{100 * part:g}",
                )
                for part in QUANTILES
            ),
            about="Of runs; 1 is a perfect prediction, 2 took twice as long.",
            limits=(2,),
        ),
        lines(
            "Mispredicted runs",
            "percentunit",
            Query("anysr:mispredicted_runs:ratio_rate15m", "{{instance}}"),
            about="Fraction of runs that took under half or over twice the predicted time.",
            limits=(0.25,),
        ),
        lines(
            "Pace",
            "none",
            Query("max by (over) (anysr_worker_pace_ratio)", "{{over}}"),
            about="Recent network time over the calibrated one; above 1 the workers have "
            "become slower.",
        ),
        lines(
            "Backlog",
            "s",
            Query("anysr:queue_backlog_seconds", "waiting, each at its cheapest"),
            Query("anysr:queue_backlog_seconds / (anysr:workers_ready > 0)", "for each worker"),
            about="Predicted cost of the waiting jobs.",
        ),
        lines(
            "Time by stage, p90",
            "s",
            Query(
                "histogram_quantile(0.9, sum by (le, stage) "
                "(rate(anysr_job_stage_seconds_bucket[$__rate_interval])))",
                "{{stage}}",
                exemplars=True,
            ),
            about="Over runs that delivered a picture. Points are single traces.",
        ),
    )
