"""From logits to text: alphabet, greedy and beam search, n-gram language models."""
