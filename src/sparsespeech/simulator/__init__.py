"""Cycle-exact simulation of accelerator programs; ``timing.md`` states the rules."""
