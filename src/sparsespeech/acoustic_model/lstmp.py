"""The projected LSTM network of the ESE deck (S4) in torch.

Axes: B utterances, T frames, F coefficients of a frame, V labels with the CTC blank last.

Three LSTM layers with projections feed one another and an output layer; there are no fully
connected layers between. Parameters are named as in ``recurrent.py``:
``layer1.directions.0.weight_projection``, ``layer1.directions.0.peephole`` and so on.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.graph import Lstm


class Lstmp(DeepSpeech):
    """The chain of layers of a ``graph.lstmp``; dropout follows each LSTM layer.

    In inference it is the same function as ``DeepSpeech`` of this graph, whose dropout follows
    fully connected layers only.
    """

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities float32[T, B, V] of normalised frames float[B, T, F].

        Frames beyond ``lengths`` (int64[B]) must be 0.0; they never reach a real frame.
        """
        x = self.windows(frames)
        for layer in self.graph.layers:
            module = self.get_submodule(layer.name)
            if isinstance(layer, Lstm):
                x = nn.functional.dropout(module(x, lengths), self.dropout, self.training)
            else:
                x = module(x)
        return x.float().log_softmax(dim=-1)
