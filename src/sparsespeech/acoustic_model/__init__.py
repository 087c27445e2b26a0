"""Float acoustic models in torch (the ``train`` extra)."""
