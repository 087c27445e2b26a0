"""Networks that were trained elsewhere (the ``train`` extra)."""
