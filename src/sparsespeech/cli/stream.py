"""``sparsespeech stream``: live transcription of raw PCM on stdin, or of a file in chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from sparsespeech.audio.reading import read_audio
from sparsespeech.cli.decoder_options import (
    AlphaOption,
    BeamOption,
    BetaOption,
    DecoderOption,
    LanguageModelOption,
    check_language_model_weights,
    decoder_name,
)
from sparsespeech.cli.default_model import default_streaming_model, streaming_models
from sparsespeech.cli.executor_options import BackendOption, ThreadsOption, threads_of_process
from sparsespeech.cli.failure import print_warning
from sparsespeech.cli.stream_output import StreamOutput
from sparsespeech.errors import AudioError, UnsupportedLayerError
from sparsespeech.recogniser import Recogniser, load
from sparsespeech.streaming import TranscriptionStream

INTERRUPTED_STATUS = 130
_SAMPLE_BYTES = 2


def run(
    recording: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Recording to play in chunks; default: raw PCM from stdin, 16 bit, little-endian, "
            "mono.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Unidirectional model: a file, or the name of a bundled one.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(metavar="HZ", help="Sample rate of stdin; default: that of the model, 16000."),
    ] = None,
    chunk_ms: Annotated[
        int, typer.Option("--chunk-ms", min=1, max=60_000, help="Sound in one step.")
    ] = 320,
    pause: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="A pause this long ends a line; 0: all sound is one line.",
        ),
    ] = 1.0,
    decoder: DecoderOption = None,
    beam: BeamOption = None,
    lm: LanguageModelOption = None,
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, partial ones too.")
    ] = False,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Transcribe while the sound comes in.

    Finished lines go to stdout, the text so far to stderr. For a microphone:
    arecord -q -t raw -f S16_LE -c 1 -r 16000 | sparsespeech stream --model MODEL
    """
    if recording is not None and rate is not None:
        raise typer.BadParameter("a FILE states its own rate", param_hint="--rate")
    if recording is None and sys.stdin.isatty():
        raise typer.BadParameter("name a FILE, or pipe raw PCM into stdin", param_hint="FILE")
    chosen_decoder = decoder_name(decoder, beam, lm)
    check_language_model_weights(lm, alpha, beta)
    name = model or default_streaming_model()
    recogniser = load(name, backend=backend, threads=threads_of_process(threads))
    if recogniser.model.graph.bidirectional:
        raise UnsupportedLayerError(_only_unidirectional(name))
    rate = recogniser.features.sample_rate_hz if rate is None else rate
    stream = recogniser.stream(
        rate,
        decoder=chosen_decoder,
        beam_width=beam,
        language_model=lm,
        alpha=alpha,
        beta=beta,
        pause_s=pause or None,
    )
    chunks = _chunks(recording, recogniser, max(1, rate * chunk_ms // 1000))
    _transcribe(stream, chunks, StreamOutput(as_json=as_json))


def _transcribe(
    stream: TranscriptionStream, chunks: Iterator[NDArray[Any]], output: StreamOutput
) -> None:
    """Feed ``chunks``; Ctrl-C ends the sound, not the text of what was said."""
    interrupted = False
    try:
        for chunk in chunks:
            for utterance in stream.accept_waveform(chunk):
                output.show_final(utterance)
            output.show_partial(stream.partial())
    except KeyboardInterrupt:
        interrupted = True
    output.show_last(stream.finish())
    if interrupted:
        raise typer.Exit(INTERRUPTED_STATUS)


def _chunks(recording: Path | None, recogniser: Recogniser, size: int) -> Iterator[NDArray[Any]]:
    """Samples [n], ``size`` at a time, of ``recording`` or of stdin."""
    if recording is None:
        yield from _chunks_of_stdin(size)
        return
    samples = read_audio(recording, recogniser.features.sample_rate_hz).samples
    for start in range(0, samples.size, size):
        yield samples[start : start + size]


def _chunks_of_stdin(size: int) -> Iterator[NDArray[np.int16]]:
    """int16[n] until the end of stdin; each waits until it is complete."""
    first = True
    while data := sys.stdin.buffer.read(size * _SAMPLE_BYTES):
        if first and data.startswith((b"RIFF", b"fLaC", b"OggS", b"ID3")):
            raise AudioError(
                f"stdin: begins with {data[:4]!r}, a recording with a header, expected raw PCM; "
                "save it and name the file, or convert it: ffmpeg -i - -f s16le -ac 1 -ar 16000 -"
            )
        first = False
        whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
        if whole < len(data):
            print_warning("stdin: ended in the middle of a sample; is it 16-bit PCM?")
        yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)


def _only_unidirectional(name: str) -> str:
    others = [other for other in streaming_models() if other != name]
    advice = (
        f"take {' or '.join(others)}"
        if others
        else "train one with `bidirectional: false` in the model section of its recipe"
    )
    return (
        f"stream needs a unidirectional model; {name!r} reads the whole recording in both "
        f"directions; {advice}, or use `sparsespeech transcribe` when the recording is complete"
    )
