"""Dashboards for Grafana, as code and as the JSON that it loads."""
