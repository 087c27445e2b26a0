"""An hour of sound through one stream in a process that does nothing else; memory as JSON.

``python -m tests.hour_of_sound BACKEND`` from the root of the source tree.
"""

from __future__ import annotations

import ctypes
import json
import sys

from sparsespeech.benchmarks.long_stream import LongStreamOptions, resident_bytes, run_long_stream
from sparsespeech.recogniser import Recogniser
from tests.talkative_model import talkative_model

_PR_SET_THP_DISABLE = 41


def main(backend: str) -> None:
    # Where the system makes huge pages of its own accord, one of them would look like a leak.
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    recogniser = Recogniser(talkative_model(), backend=backend)
    before = resident_bytes()
    result = run_long_stream(recogniser, LongStreamOptions(seconds=3600.0, pause_s=0.02))
    grown = (resident_bytes() - before) / 1e6
    print(json.dumps({"sections": result.table("sections"), "grown_mb": grown}))


if __name__ == "__main__":
    main(sys.argv[1])
