"""Training and gradual pruning of acoustic models (the ``train`` extra)."""
