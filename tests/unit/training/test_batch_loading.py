import numpy as np
import torch

from sparsespeech.training.batch_loading import SpeechBatch


def test_a_batch_pads_frames_and_joins_texts() -> None:
    frames = [torch.ones(3, 2), 2 * torch.ones(1, 2)]
    texts = [np.array([4]), np.array([1, 2, 3])]
    batch = SpeechBatch.of(frames, texts, np.array([9, 5]))
    assert batch.frames.tolist() == [[[1, 1]] * 3, [[2, 2], [0, 0], [0, 0]]]
    assert (batch.lengths.tolist(), batch.target_lengths.tolist()) == ([3, 1], [1, 3])
    assert batch.targets.tolist() == [4, 1, 2, 3]
    assert batch.numbers.tolist() == [9, 5]


def test_all_of_a_batch_goes_to_a_device() -> None:
    batch = SpeechBatch.of([torch.ones(1, 2)], [np.array([4])], np.array([0]))
    moved = batch.to(torch.device("meta"))
    tensors = (moved.frames, moved.lengths, moved.targets, moved.target_lengths)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.numbers is batch.numbers
