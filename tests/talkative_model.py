"""A random unidirectional model that hears many letters in everything, for tests of streams."""

from __future__ import annotations

import numpy as np

from sparsespeech.benchmarks.random_models import random_integer_model
from sparsespeech.benchmarks.speech_input import FrontEnd
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech
from sparsespeech.model_file.model import IntegerModel
from tests.scripted_backend import babble


def talkative_model(*, hidden: int = 24, bidirectional: bool = False) -> IntegerModel:
    """DeepSpeech with a third of its weights, calibrated on sound like that of :func:`babble`."""
    sound = babble(3.0, seed=9).astype(np.float32)
    front_end = FrontEnd.fitted(MfccConfig(), sound)
    return random_integer_model(
        deepspeech(hidden, bidirectional=bidirectional),
        front_end.windows(sound),
        features=front_end.config.to_json(),
        input_quantization=front_end.quantization,
        labels=Alphabet().symbols,
        density=0.33,
        seed=5,
    )
