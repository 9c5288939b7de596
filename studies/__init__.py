"""Experiments behind the figures in docs/: run by hand from a checkout, not shipped.

Each study runs as `python -m studies.NAME`. All read their arguments by argparse, which the studies
that need nothing but torch share with the others.
"""
