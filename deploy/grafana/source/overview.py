"""The overview dashboard: whether budgets are kept, and if not, since when."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import HALF, Query, board, lines, number

ALLOWED = 0.01
"""Fraction of the jobs that may miss their budget; equal to that in deploy/prometheus/rules."""


def overview() -> Dashboard:
    """Return the dashboard of the service level."""
    return board(
        "anysr-overview",
        "AnySR / Overview",
        "Answers to callers, and use of the month's allowance of missed budgets.",
        number(
            "Budgets met, last hour",
            "percentunit",
            Query("1 - anysr:budget_misses:ratio_rate1h"),
            "Of the admitted jobs. The objective is 99 % over 30 days.",
        ),
        number(
            "Allowance left, 30 days",
            "percentunit",
            Query(
                '1 - sum(increase(anysr_budgets_total{outcome="missed"}[30d]))'
                f" / sum(increase(anysr_budgets_total[30d])) / {ALLOWED}"
            ),
            "Rest of the 1 % that may be missed; below 0 the objective is not reached.",
        ),
        number(
            "Workers ready",
            "none",
            Query("anysr:workers_ready"),
            "Warm workers that accept jobs.",
        ),
        number(
            "Alerts firing",
            "none",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)'),
            "What to do about each: docs/runbooks.md.",
            limits=(1, 2),
        ),
        lines(
            "Burn rate",
            "none",
            *(
                Query(f"anysr:budget_misses:ratio_rate{window} / {ALLOWED}", window)
                for window in ("5m", "1h", "6h", "3d")
            ),
            about="How many times faster than allowed budgets are missed; 1 is just allowed. "
            "Beyond 14.4 over 1 h, or 6 over 6 h, someone is called.",
            limits=(6, 14.4),
        ),
        lines(
            "Requests by status",
            "reqps",
            Query(
                "sum by (status) (rate(anysr_http_requests_total"
                '{route=~"/upscale|/jobs", method="POST"}[$__rate_interval]))',
                "{{status}}",
            ),
            about="Requests for pictures. 422: refused, as the budget is too small or the input "
            "wrong; 429: too much to do; 503: no worker.",
            stacked=True,
        ),
        lines(
            "Time to the picture",
            "s",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (le) "
                    "(rate(anysr_job_duration_seconds_bucket[$__rate_interval])))",
                    f"p{100 * part:g}",
                    exemplars=True,
                )
                for part in (0.5, 0.9, 0.99)
            ),
            about="From the end of the upload to the finished answer. Points are single traces.",
        ),
        lines(
            "Time of requests by route, p90",
            "s",
            Query(
                "histogram_quantile(0.9, sum by (le, route) "
                "(rate(anysr_http_request_duration_seconds_bucket[$__rate_interval])))",
                "{{route}}",
            ),
            about="From the head of a request to the end of its answer, with the upload.",
        ),
        lines(
            "Budget left when finished",
            "s",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (le) "
                    "(rate(anysr_deadline_slack_seconds_bucket[$__rate_interval])))",
                    f"p{100 * part:g}",
                )
                for part in (0.01, 0.1, 0.5)
            ),
            about="Below 0 the answer was late.",
        ),
        lines(
            "Refused by admission",
            "reqps",
            Query(
                "sum by (reason) (rate(anysr_admission_rejected_total[$__rate_interval]))",
                "{{reason}}",
            ),
            about="Valid pictures that were not admitted to the queue.",
            span=HALF,
            stacked=True,
        ),
        lines(
            "Jobs ended",
            "ops",
            Query(
                "sum by (outcome, reason) (rate(anysr_jobs_total[$__rate_interval]))",
                "{{outcome}}: {{reason}}",
            ),
            about="By the reason for the width, or the code of the error.",
            stacked=True,
        ),
        lines(
            "Pixels",
            "pixel/s",
            Query(
                "sum by (direction) (rate(anysr_pixels_total[$__rate_interval]))", "{{direction}}"
            ),
            about="Of admitted pictures (in) and of finished ones (out).",
        ),
        lines(
            "Bytes of pictures",
            "Bps",
            Query(
                "sum by (direction) (rate(anysr_picture_bytes_total[$__rate_interval]))",
                "{{direction}}",
            ),
            about="Of admitted pictures (in) and of those sent to their end (out).",
        ),
        lines(
            "Versions",
            "none",
            Query(
                "count by (job, version, runtime) (anysr_build_info)",
                "{{job}} {{version}}, {{runtime}}",
            ),
            about="Gateways and workers by what they run; a deployment shows two lines for a job.",
        ),
    )
