"""The dashboard of what others build on: clients, addresses, deliveries, batches, result cache."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.panels import Panel, Query, board, lines

REFUSED_CLIENTS = (
    "unauthorized|rate_limited|quota_exceeded|too_many_jobs|share_exceeded|model_not_allowed"
    "|signature_invalid|link_expired"
)
"""Codes of requests that keys, limits, shares and links refuse."""


def integrations() -> Dashboard:
    """Return the dashboard of clients, sources, deliveries, batches and the result cache."""
    return board(
        "anysr-integrations",
        "AnySR / Integrations",
        "Clients and their limits, pictures by address, deliveries, batches, and the result cache.",
        *_clients(),
        *_sources(),
        *_deliveries(),
        *_batches(),
        *_cache(),
    )


def _clients() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests by client",
            "reqps",
            Query(
                "sum by (client) (rate(anysr_client_requests_total[$__rate_interval]))",
                "{{client}}",
            ),
            about="With keys. * stands for all clients beyond the first hundred.",
            stacked=True,
        ),
        lines(
            "Output pixels by client",
            "pixel/s",
            Query(
                "sum by (client) (rate(anysr_client_pixels_total[$__rate_interval]))",
                "{{client}}",
            ),
            about="Of accepted jobs: what each client takes of the workers, beside its share.",
            stacked=True,
        ),
        lines(
            "Refused by key, limit, share or link",
            "reqps",
            Query(
                "sum by (code) (rate(anysr_http_problems_total"
                f'{{code=~"{REFUSED_CLIENTS}"}}[$__rate_interval])) or vector(0)',
                "{{code}}",
            ),
            about="By the code of the problem. share_exceeded: under load, a client beyond its "
            "part of the workers.",
            stacked=True,
        ),
        lines(
            "Problems",
            "reqps",
            Query(
                "sum by (code) (rate(anysr_http_problems_total[$__rate_interval]))",
                "{{code}}",
            ),
            about="All requests that were answered by a problem, by its code.",
            stacked=True,
        ),
    )


def _sources() -> tuple[Panel, ...]:
    return (
        lines(
            "Pictures by address",
            "reqps",
            Query(
                "sum by (source, outcome) (rate(anysr_fetches_total[$__rate_interval]))",
                "{{source}}: {{outcome}}",
            ),
            about="Fetches from URLs (http) and buckets (s3): done, or why not. "
            "address_refused and source_not_allowed: somebody names what is closed.",
            stacked=True,
        ),
        lines(
            "Time to fetch, p90",
            "s",
            Query(
                "histogram_quantile(0.9, sum by (le, source) "
                "(rate(anysr_fetch_duration_seconds_bucket[$__rate_interval])))",
                "{{source}}",
            ),
            about="To a whole picture, or to the failure.",
        ),
        lines(
            "Bytes fetched and stored",
            "Bps",
            Query(
                "sum by (source) (rate(anysr_fetched_bytes_total[$__rate_interval]))",
                "from {{source}}",
            ),
            Query("sum(rate(anysr_stored_bytes_total[$__rate_interval]))", "put somewhere"),
            about="Of pictures fetched by address, and of those put where callers want them.",
        ),
        lines(
            "Failures of buckets",
            "none",
            Query("anysr:bucket_failures:increase15m", "{{operation}}, 15 minutes"),
            about="The store refuses the service's credentials, lacks the bucket, or is not there.",
        ),
        lines(
            "Bytes in the bucket of the pictures",
            "bytes",
            Query("max(anysr_bucket_used_bytes)", "used"),
            Query("max(anysr_bucket_limit_bytes)", "limit"),
            about="Sources, results, cached pictures and uploads below ANYSR_BLOB_URL; the limit "
            "is ANYSR_BLOB_MB. Empty where pictures are in Redis.",
        ),
        lines(
            "Bucket of the pictures full",
            "percentunit",
            Query("anysr:bucket_fill:ratio", "{{holds}}"),
            about="Fraction of the limit in use; at 1, new jobs and uploads are refused.",
            limits=(0.8,),
        ),
        lines(
            "Pictures in the bucket",
            "none",
            Query("max(anysr_bucket_objects)", "objects"),
            about="Each is deleted with its job, or when it expires.",
        ),
    )


def _deliveries() -> tuple[Panel, ...]:
    return (
        lines(
            "Deliveries waiting",
            "none",
            Query("max(anysr_webhooks_waiting)", "webhooks"),
            Query("max(anysr_results_waiting)", "pictures"),
            about="Due, or to be tried again.",
        ),
        lines(
            "Attempts to deliver",
            "ops",
            Query(
                "sum by (kind, outcome) (rate(anysr_delivery_attempts_total[$__rate_interval]))",
                "{{kind}}: {{outcome}}",
            ),
            about="Webhooks and pictures: done, the class of the answer's status, or the error.",
            stacked=True,
        ),
        lines(
            "Delivered and failed",
            "ops",
            Query("max(rate(anysr_webhooks_delivered_total[$__rate_interval]))", "webhooks"),
            Query("max(rate(anysr_webhook_failures_total[$__rate_interval]))", "webhooks failed"),
            Query("max(rate(anysr_results_delivered_total[$__rate_interval]))", "pictures"),
            Query("max(rate(anysr_result_failures_total[$__rate_interval]))", "pictures failed"),
            about="Counted in the queue, over all gateways. A failed attempt is made again.",
        ),
        lines(
            "Deliveries given up",
            "none",
            Query("anysr:dead_deliveries:increase15m", "{{kind}}, 15 minutes"),
            about="anysr webhooks dead lists them, and resend tries them again.",
            limits=(1,),
        ),
        lines(
            "Time of an attempt, p90",
            "s",
            Query(
                "histogram_quantile(0.9, sum by (le, kind) "
                "(rate(anysr_delivery_duration_seconds_bucket[$__rate_interval])))",
                "{{kind}}",
            ),
            about="To the receiver's answer, or to the failure.",
        ),
    )


def _batches() -> tuple[Panel, ...]:
    return (
        lines(
            "Batches open",
            "none",
            Query("max(anysr_batches_open)", "not ended"),
            about="ANYSR_BATCHES may be open at once; more are refused as overloaded.",
        ),
        lines(
            "Sources of batches",
            "ops",
            Query(
                "max by (outcome) (rate(anysr_batch_sources_total[$__rate_interval]))",
                "{{outcome}}",
            ),
            about="That ended, by how they did.",
            stacked=True,
        ),
    )


def _cache() -> tuple[Panel, ...]:
    return (
        lines(
            "Result cache",
            "reqps",
            Query(
                "sum by (outcome) (rate(anysr_cache_requests_total[$__rate_interval]))",
                "{{outcome}}",
            ),
            Query("sum(rate(anysr_cache_evictions_total[$__rate_interval]))", "evicted"),
            about="Requests that looked for a finished picture; a hit costs no worker. Many "
            "evictions: ANYSR_CACHE_MB is small.",
        ),
        lines(
            "Bytes of the result cache",
            "bytes",
            Query("max(anysr_cache_bytes)", "cached"),
            about="Of all cached pictures, in Redis beside the queue's own.",
        ),
    )
