"""From samples to the uint8 windows that an acoustic model reads (offline and streaming)."""
