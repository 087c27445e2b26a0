"""The passes of the compiler, in the order of ``compiler/lower.py``."""
