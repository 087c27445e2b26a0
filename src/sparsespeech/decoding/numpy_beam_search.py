"""The CTC prefix beam search in numpy: the reference, and what runs without the native module.

The native search (``native/src/decoding/beam_search.cc``) does the same float64 operations in the
same order, and where scores are equal takes the same prefix, so both give equal transcripts.

Axes: T frames, V classes (the last is the CTC blank), N prefixes in the beam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.log_probabilities import checked_log_probabilities
from sparsespeech.decoding.prefix import Prefix
from sparsespeech.decoding.transcript import (
    CharacterSpan,
    Transcript,
    transcript_from_spans,
)

if TYPE_CHECKING:
    from sparsespeech.decoding.beam_search import BeamSearchDecoder

# Rows of the state matrix [8, N]; the last frame is either the blank or another class.
(
    _BLANK,  # ln of the sum over alignments that end in the blank
    _OTHER,  # ... in the prefix's last character
    _FUSED,  # language score, from the prefix
    _BEST_BLANK,  # ln of the best alignment that ends in the blank
    _BEST_OTHER,  # ... in the last character
    _PEAK_BLANK,  # largest log-posterior of the last character in the best alignment, blank case
    _PEAK_OTHER,  # ... other case
    _END_BLANK,  # frame after the last character in the best alignment, blank case
) = range(8)

# Where the last character of a best alignment begins, and where and how sure the one before it
# ended: (link of the previous character, first frame, end of the previous, peak of the previous).
_Link = tuple[Any, int, int, float]
_Floats = NDArray[np.float64]


class NumpyBeamSearchStream:
    """One utterance under way. The cost of a frame does not depend on the frames before it."""

    def __init__(self, decoder: BeamSearchDecoder) -> None:
        alphabet = decoder.alphabet
        self._decoder = decoder
        self._blank = alphabet.blank
        self._space = alphabet.symbols.index(" ") if " " in alphabet.symbols else -1
        self._frame = 0
        # The empty text behaves like one that ends in a space: spaces add nothing to it.
        first = self._space if self._space >= 0 else self._blank
        root = Prefix(None, first, "", decoder.scorer.initial_state, 0.0, 0.0)
        state = np.zeros((8, 1))
        state[[_OTHER, _BEST_OTHER]] = -np.inf
        nothing = np.array([None], object)
        self._enter([root], state, nothing, nothing)

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, float32[t, V] in nats. Raises ValueError as decode does."""
        for row in checked_log_probabilities(log_probabilities, self._decoder.alphabet):
            self._advance(row)
            self._frame += 1

    def partial(self) -> Transcript:
        """The best transcript so far; its last word may still grow or change."""
        scores = self._acoustic() + self._state[_FUSED]
        best = int(scores.argmax())
        return self._transcript(best, float(scores[best]))

    def finish(self) -> Transcript:
        """The best transcript if no frame follows."""
        return self.n_best(1)[0]

    def n_best(self, count: int) -> list[Transcript]:
        """Up to ``count`` different transcripts if no frame follows, best first."""
        acoustic = self._acoustic()
        same_text: dict[Prefix, list[int]] = {}
        for position, prefix in enumerate(self._prefixes):
            if prefix.symbol == self._space and prefix.parent is not None:
                prefix = prefix.parent  # a space at the end is no text
            same_text.setdefault(prefix, []).append(position)
        ranked = sorted(
            (
                (
                    float(np.logaddexp.reduce(acoustic[positions]))
                    + prefix.final_score(self._decoder.scorer),
                    positions,
                )
                for prefix, positions in same_text.items()
            ),
            key=lambda item: item[0],
            reverse=True,
        )
        best_path = self._state[[_BEST_BLANK, _BEST_OTHER]].max(axis=0)
        return [
            self._transcript(max(positions, key=lambda position: best_path[position]), score)
            for score, positions in ranked[: max(0, count)]
        ]

    def _acoustic(self) -> _Floats:
        """Acoustic log-probability of each prefix, float64[N]."""
        total: _Floats = np.logaddexp(self._state[_BLANK], self._state[_OTHER])
        return total

    def _transcript(self, position: int, score: float) -> Transcript:
        """Text and times of one prefix, from the last character to the first."""
        column = self._state[:, position]
        if column[_BEST_BLANK] >= column[_BEST_OTHER]:
            link, end = self._link_blank[position], int(column[_END_BLANK])
            peak = float(column[_PEAK_BLANK])
        else:
            link, end = self._link_other[position], self._frame
            peak = float(column[_PEAK_OTHER])
        symbols = self._decoder.alphabet.symbols
        spans = []
        prefix = self._prefixes[position]
        while prefix.parent is not None:
            previous, first, previous_end, previous_peak = link
            spans.append(CharacterSpan(symbols[prefix.symbol], first, end, peak))
            link, end, peak = previous, previous_end, previous_peak
            prefix = prefix.parent
        return transcript_from_spans(reversed(spans), self._decoder.frame_duration_s, score)

    def _enter(
        self,
        prefixes: list[Prefix],
        state: _Floats,
        link_blank: NDArray[np.object_],
        link_other: NDArray[np.object_],
    ) -> None:
        """Make ``prefixes`` the beam and find out which of them is whose parent."""
        for position, prefix in enumerate(prefixes):
            prefix.position = position
        self._prefixes = prefixes
        self._state = state
        self._link_blank = link_blank
        self._link_other = link_other
        self._last = np.array([prefix.symbol for prefix in prefixes])
        self._is_space = self._last == self._space
        parent = np.array(
            [-1 if prefix.parent is None else prefix.parent.position for prefix in prefixes]
        )
        self._child = np.flatnonzero(parent >= 0)  # those whose parent is in the beam too
        self._parent = parent[self._child]
        self._repeats = self._last[self._child] == self._last[self._parent]

    def _advance(self, row: _Floats) -> None:
        """One frame; ``row`` float64[V]."""
        state = self._state
        total = np.logaddexp(state[_BLANK], state[_OTHER])
        stay, link_blank, link_other = self._stay(row, total)
        scores = np.logaddexp(stay[_BLANK], stay[_OTHER]) + state[_FUSED]
        floor = scores.max() - self._decoder.score_threshold
        beam, symbols, acoustic = self._extensions(row, total, floor)
        if not len(beam) and scores.min() >= floor:  # the usual case inside silence
            self._state, self._link_blank, self._link_other = stay, link_blank, link_other
            return
        self._select(row, stay, link_blank, link_other, scores, beam, symbols, acoustic)

    def _stay(
        self, row: _Floats, total: _Floats
    ) -> tuple[_Floats, NDArray[np.object_], NDArray[np.object_]]:
        """The beam after a frame that adds no character that is not in the beam already."""
        state, child, parent, repeats = self._state, self._child, self._parent, self._repeats
        own = row[self._last]  # log-posterior of each prefix's last character
        best = np.maximum(state[_BEST_BLANK], state[_BEST_OTHER])
        from_other = state[_BEST_OTHER] > state[_BEST_BLANK]
        stay = np.empty_like(state)
        stay[_FUSED] = state[_FUSED]
        stay[_BLANK] = total + row[self._blank]
        stay[_OTHER] = np.where(self._is_space, total, state[_OTHER]) + own
        stay[_BEST_BLANK] = best + row[self._blank]
        stay[_BEST_OTHER] = np.where(self._is_space, best, state[_BEST_OTHER]) + own
        stay[_PEAK_BLANK] = np.where(from_other, state[_PEAK_OTHER], state[_PEAK_BLANK])
        stay[_PEAK_OTHER] = np.maximum(state[_PEAK_OTHER], own)
        stay[_END_BLANK] = np.where(from_other, self._frame, state[_END_BLANK])
        link_blank = np.where(from_other, self._link_other, self._link_blank)
        link_other = np.where(self._is_space, link_blank, self._link_other)
        if len(child):
            # The parent may say the last character now; after the same one only by way of blank.
            spoken = np.where(repeats, state[_BLANK][parent], total[parent]) + own[child]
            stay[_OTHER, child] = np.logaddexp(stay[_OTHER, child], spoken)
            path = np.where(repeats, state[_BEST_BLANK][parent], best[parent]) + own[child]
            for number in np.flatnonzero(path > stay[_BEST_OTHER, child]):
                position = child[number]
                stay[_BEST_OTHER, position] = path[number]
                stay[_PEAK_OTHER, position] = own[position]
                link_other[position] = self._link(parent[number], bool(repeats[number]))
        return stay, link_blank, link_other

    def _link(self, parent: int, repeats: bool) -> _Link:
        """A character that begins in this frame after the best alignment of ``parent``."""
        state = self._state[:, parent]
        if repeats or state[_BEST_BLANK] >= state[_BEST_OTHER]:
            return (
                self._link_blank[parent],
                self._frame,
                int(state[_END_BLANK]),
                float(state[_PEAK_BLANK]),
            )
        return self._link_other[parent], self._frame, self._frame, float(state[_PEAK_OTHER])

    def _extensions(
        self, row: _Floats, total: _Floats, floor: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], _Floats]:
        """Prefixes one character longer than the beam's that reach ``floor``.

        Positions of their parents, their symbols and their acoustic scores, each [candidates],
        at most twice the beam width.
        """
        state, last = self._state, self._last
        reach = total + state[_FUSED]
        if not (row[: self._blank] + reach.max() > floor).any():
            none = np.zeros(0, np.int64)
            return none, none, np.zeros(0)
        scores = reach[:, None] + row
        again = state[_BLANK] + state[_FUSED] + row[last]
        scores[np.arange(len(last)), last] = np.where(self._is_space, -np.inf, again)
        scores[self._parent, last[self._child]] = -np.inf  # in the beam already
        scores[:, self._blank] = -np.inf
        beam, symbols = np.nonzero(scores > floor)
        reached = scores[beam, symbols]
        most = 2 * self._decoder.beam_width  # the language score reorders them a little
        if len(beam) > most:
            best = _positions_of_largest(reached, most)
            beam, symbols, reached = beam[best], symbols[best], reached[best]
        return beam, symbols, reached - state[_FUSED][beam]

    def _select(
        self,
        row: _Floats,
        stay: _Floats,
        link_blank: NDArray[np.object_],
        link_other: NDArray[np.object_],
        scores: _Floats,
        beam: NDArray[np.int64],
        symbols: NDArray[np.int64],
        acoustic: _Floats,
    ) -> None:
        """Choose the new beam among the ``stay`` prefixes and the extensions."""
        decoder = self._decoder
        characters = decoder.alphabet.symbols
        extensions = []
        for position, symbol in zip(beam.tolist(), symbols.tolist(), strict=True):
            prefix = self._prefixes[position]
            extensions.append(
                prefix.children.get(symbol)
                or prefix.extended(symbol, characters[symbol], decoder.scorer)
            )
        fused = np.array([extension.fused for extension in extensions])
        scores = np.concatenate([scores, acoustic + fused])
        kept = np.flatnonzero(scores >= scores.max() - decoder.score_threshold)
        if len(kept) > decoder.beam_width:
            kept = kept[_positions_of_largest(scores[kept], decoder.beam_width)]
        self._replace(row, stay, link_blank, link_other, kept, extensions, beam, acoustic)

    def _replace(
        self,
        row: _Floats,
        stay: _Floats,
        link_blank: NDArray[np.object_],
        link_other: NDArray[np.object_],
        kept: NDArray[np.int64],
        extensions: list[Prefix],
        beam: NDArray[np.int64],
        acoustic: _Floats,
    ) -> None:
        """Enter the ``kept`` ones, numbered through ``stay`` and then ``extensions``."""
        old = self._prefixes
        stayed, entered = kept[kept < len(old)], kept[kept >= len(old)] - len(old)
        new_prefixes = [extensions[number] for number in entered]
        parent = beam[entered]
        symbol = np.array([prefix.symbol for prefix in new_prefixes], np.int64)
        repeats = symbol == self._last[parent]
        best_blank = self._state[_BEST_BLANK][parent]
        best = np.maximum(best_blank, self._state[_BEST_OTHER][parent])
        new = np.zeros((8, len(entered)))
        new[[_BLANK, _BEST_BLANK]] = -np.inf
        new[_OTHER] = acoustic[entered]
        new[_FUSED] = [prefix.fused for prefix in new_prefixes]
        new[_BEST_OTHER] = np.where(repeats, best_blank, best) + row[symbol]
        new[_PEAK_OTHER] = row[symbol]
        links = np.empty(len(entered), object)
        for number, (position, repeat) in enumerate(zip(parent, repeats, strict=True)):
            links[number] = self._link(position, repeat)

        for prefix in old:
            prefix.position = -1
        for prefix in new_prefixes:
            if prefix.parent is not None:
                prefix.parent.children[prefix.symbol] = prefix
        self._enter(
            [old[position] for position in stayed] + new_prefixes,
            np.concatenate([stay[:, stayed], new], axis=1),
            np.concatenate([link_blank[stayed], np.full(len(entered), None)]),
            np.concatenate([link_other[stayed], links]),
        )
        for prefix in old:
            if prefix.position < 0:
                prefix.release()


def _positions_of_largest(values: _Floats, count: int) -> NDArray[np.int64]:
    """Positions of the ``count`` largest values, ascending; of equal ones the first.

    Not ``argpartition``: which of several equal values it takes depends on the processor.
    """
    smallest = np.partition(values, -count)[-count]
    above = values > smallest
    equal = np.flatnonzero(values == smallest)[: count - int(above.sum())]
    above[equal] = True
    return np.flatnonzero(above)
