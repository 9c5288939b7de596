"""The simulator: loads, strategies to compare, and the bound that none can pass."""
