"""A whole service under Prometheus with the deployed rules, as processes or as containers."""
