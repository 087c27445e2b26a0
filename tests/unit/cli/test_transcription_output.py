from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.cli.stage_table import add_up, stage_table
from sparsespeech.cli.transcription_output import subtitle_paths
from sparsespeech.recogniser import StageTime


def test_subtitles_keep_the_folders_of_the_recordings() -> None:
    recordings = [Path("talks/a.wav"), Path("talks/day/b.flac"), Path("talks/day/../c.mp3")]
    assert list(subtitle_paths(recordings, Path("out"), ".srt").values()) == [
        Path("out/a.srt"),
        Path("out/day/b.srt"),
        Path("out/c.srt"),
    ]


def test_equal_stems_keep_their_suffix() -> None:
    recordings = [Path("a.wav"), Path("a.flac"), Path("b.wav"), Path("x/a.wav")]
    written = subtitle_paths(recordings, Path("out"), ".vtt")
    assert [str(path) for path in written.values()] == [
        "out/a.wav.vtt",
        "out/a.flac.vtt",
        "out/b.vtt",
        "out/x/a.vtt",
    ]


def test_names_with_dots_keep_them() -> None:
    recordings = [Path("talk.2024.wav"), Path("talk.2025.wav")]
    written = subtitle_paths(recordings, Path("out"), ".srt")
    assert [path.name for path in written.values()] == ["talk.2024.srt", "talk.2025.srt"]


def test_stages_are_added_up() -> None:
    first = (StageTime("audio", 1.0), StageTime("layer1", 2.0), StageTime("end to end", 3.5))
    silent = (StageTime("audio", 0.5), StageTime("end to end", 0.75))
    assert add_up([silent, first, silent]) == (
        StageTime("audio", 2.0),
        StageTime("layer1", 2.0),
        StageTime("end to end", 5.0),
    )


@pytest.mark.parametrize("duration_s", [0.0, 2.0])
def test_table_rows(duration_s: float) -> None:
    timing = (StageTime("audio", 0.5), StageTime("end to end", 2.0))
    table = stage_table(timing, duration_s)
    columns = [list(column.cells) for column in table.columns]
    per_second = ["250.00", "1000.00"] if duration_s else ["-", "-"]
    assert columns == [
        ["audio", "end to end"], ["500.00", "2000.00"], per_second, ["25.0 %", "100.0 %"],
    ]  # fmt: skip
