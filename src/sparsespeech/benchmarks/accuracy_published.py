"""What the sources say about the loss of pruning and quantization, to stand beside our figures.

WER in per cent, each on its own model, corpus and training: losses compare, levels do not.
"""

from __future__ import annotations

from sparsespeech.benchmarks.result import Row

# DeepSpeech of 122.75 M parameters, 960 hours of LibriSpeech, medians of five runs.
TABLE_III: tuple[Row, ...] = tuple(
    {
        "source": "S2, Table III", "weights": weights, "arithmetic": arithmetic,
        "sparsity": sparsity, "test_wer": wer,
    }
    for weights, arithmetic, sparsity, wer in (
        ("dense", "float", 0.0, 6.06),
        ("dense", "int8", 0.0, 6.17),
        ("sparse", "float", 0.96, 6.25),
        ("sparse", "int8", 0.96, 6.29),
    )
)  # fmt: skip

# By the names that the plan gives single runs: 90.54 % by iterative pruning (S3; DeepSpeech, 960
# hours), and 10.3 % density, then 8 bits by fixed-point retraining (S4; 100 hours of LibriSpeech).
SINGLE_RUNS: dict[str, tuple[Row, ...]] = {
    "9054": (
        {"source": "S3", "weights": "dense", "arithmetic": "float", "sparsity": 0.0, "wer": 5.12},
        {
            "source": "S3", "weights": "iteratively pruned", "arithmetic": "float",
            "sparsity": 0.9054, "wer": 5.39,
        },
    ),
    "density10": (
        {"source": "S4", "weights": "dense", "arithmetic": "float", "sparsity": 0.0, "wer": 12.90},
        {
            "source": "S4", "weights": "pruned by sensitivity", "arithmetic": "float",
            "sparsity": 0.897, "wer": 12.22,
        },
        {
            "source": "S4", "weights": "pruned, fixed-point retrained", "arithmetic": "int8",
            "sparsity": 0.897, "wer": 11.96,
        },
    ),
}  # fmt: skip


def table_iii_loss(weights: str, arithmetic: str) -> float:
    """Points of WER that S2's row has more than its dense float."""
    rates = {(row["weights"], row["arithmetic"]): float(row["test_wer"]) for row in TABLE_III}
    return rates[weights, arithmetic] - rates["dense", "float"]


def published_of(label: str) -> tuple[Row, ...]:
    """Rows of the source that a single run reproduces; none for other labels."""
    return tuple({"run": label, **row} for row in SINGLE_RUNS.get(label, ()))
