"""Sparsity schedules and magnitude masks."""
