"""The benchmarks of ``sparsespeech bench``: one file a benchmark, one file a peer.

A benchmark makes a model with known random weights (or takes a trained one), checks the engine's
logits against the numpy reference on the very input that is timed, and lets the engine and each
peer take turns. Peers run in processes of their own (``peer_worker``).
"""
