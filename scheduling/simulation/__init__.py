"""Simulation of scheduling strategies: workloads, strategies to compare, and an upper bound."""
