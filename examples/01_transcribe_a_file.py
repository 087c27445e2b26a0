"""Transcribe a recording from Python: text, words with times, and where the time went.

    python examples/01_transcribe_a_file.py [RECORDING]

Without an argument it takes one of the bundled recordings.
"""

import sys
from importlib import resources

import sparsespeech as ss


def main() -> None:
    """Print what was said, when, and the stage table."""
    bundled = resources.files("sparsespeech") / "demo_audio" / "1-flite-slt.flac"
    result = ss.load("english-medium").transcribe(sys.argv[1] if sys.argv[1:] else str(bundled))
    print(result.text)
    for word in result.words:
        print(f"{word.start:6.2f} s  {word.end:6.2f} s  {word.confidence:4.0%}  {word.word}")
    for stage in result.timing:
        print(f"{1000 * stage.seconds:8.2f} ms  {stage.stage}")


if __name__ == "__main__":
    main()
