"""The executor on this machine's processor: integer models run by the native engine.

``engine`` has the executor, ``session`` one stream, ``batcher`` many streams stepped together.
"""
