"""Audio chunks in, quantised context windows out, while somebody is still speaking.

Axes: n samples of a chunk, t windows that it completes, F coefficients of a frame, N context
frames on each side, W = (2 N + 1) F inputs of a window (494).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.samples import check_chunk
from sparsespeech.errors import SessionFinishedError
from sparsespeech.features.context_window import frame_type, inner_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, MfccExtractor
from sparsespeech.model_file.model import InputQuantization

Windows = NDArray[Any]  # uint8, or int16 in wide mode (R10)


class WindowStream:
    """The windows of one recording, in chunks; joined they are those of the whole recording.

    A window needs its N later frames, so the stream looks ahead by N strides (180 ms for 9 frames
    of 20 ms) and by the rest of the last frame. Between calls it keeps fewer than
    ``window_length`` samples and at most 2 N quantised frames (under 4 kB in all), however long the
    recording. A chunk that is refused changes nothing: the stream takes the next one.
    """

    def __init__(
        self, config: MfccConfig, quantization: InputQuantization, activation_bits: int = 8
    ) -> None:
        """Start a recording at ``config.sample_rate_hz``; one object serves one recording.

        ``activation_bits``: of the model, 8 or 16 (wide mode).
        """
        self.config = config
        self.clipped_samples = 0  # samples beyond +-1 so far
        self._quantization = quantization
        self._activation_bits = activation_bits
        self._extractor = MfccExtractor(config)
        self._accepted = 0
        self._finished = False
        # Frames that later windows still need; before the first one lies zero (rule R12).
        self._recent: Windows = self._padding()

    def accept(self, samples: NDArray[Any]) -> Windows:
        """Windows [t, W] that are complete after ``samples`` [n], t >= 0.

        ``samples`` are mono, floating with full scale +-1 or int16, and keep the rules of files
        (:mod:`sparsespeech.audio.samples`); n may be 0. Raises AudioError for another type or
        shape, NaN or infinity, SessionFinishedError after :meth:`finish`.
        """
        self._check_unfinished()
        chunk, clipped = check_chunk(
            samples, first_frame=self._accepted, sample_rate_hz=self.config.sample_rate_hz
        )
        self.clipped_samples += clipped
        self._accepted += chunk.size
        return self._advance(self._quantized(self._extractor.accept(chunk)))

    def finish(self) -> Windows:
        """The last windows [t, W]; no samples at all give none.

        Raises SessionFinishedError the second time.
        """
        self._check_unfinished()
        self._finished = True
        frames = self._quantized(self._extractor.finish())
        return self._advance(np.concatenate((frames, self._padding())))

    def _padding(self) -> Windows:
        """The N frames [N, F] beyond an end of the recording."""
        shape = (self.config.context, self.config.coefficients)
        return np.full(shape, self._quantization.zero_point, frame_type(self._activation_bits))

    def _quantized(self, frames: NDArray[np.float64]) -> Windows:
        return quantize_frames(frames, self._quantization, self._activation_bits)

    def _advance(self, frames: Windows) -> Windows:
        """Windows that ``frames`` [t, F] complete; their frames are kept as far as needed."""
        known = np.concatenate((self._recent, frames))
        windows: Windows = inner_windows(known, self.config.context)
        self._recent = known[len(windows) :].copy()
        return windows

    def _check_unfinished(self) -> None:
        if self._finished:
            raise SessionFinishedError(
                f"the stream was finished after {self._accepted} samples "
                f"({self._accepted / self.config.sample_rate_hz:.3f} s) and takes no more; start "
                "a new stream for the next recording"
            )
