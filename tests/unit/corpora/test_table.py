from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.corpora.table import TableColumns, read_table
from sparsespeech.errors import ManifestError


@pytest.fixture
def folder(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """A folder with recordings a.wav (0.5 s) and b.wav (1 s)."""
    write_tone(tmp_path / "a.wav", 0.5)
    write_tone(tmp_path / "b.wav", 1.0)
    return tmp_path


def table(folder: Path, content: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_deepspeech_csv(folder: Path) -> None:
    path = table(
        folder,
        'wav_filename,wav_filesize,transcript\na.wav,16044,Yes\nb.wav,32044,"well, ""no"""\n',
    )
    assert read_table(path, split="train") == [
        Utterance(folder / "a.wav", 0.5, "yes", "", "train"),
        Utterance(folder / "b.wav", 1.0, 'well, "no"', "", "train"),
    ]


def test_tab_separated_table_does_not_interpret_quotes(folder: Path) -> None:
    path = table(folder, 'client_id\tpath\tsentence\nx\ta.wav\t"Yes\ny\tb.wav\tNo\n', "t.tsv")
    assert [(u.speaker, u.text) for u in read_table(path)] == [("x", '"yes'), ("y", "no")]


def test_named_columns_splits_and_conditions(folder: Path, tmp_path: Path) -> None:
    content = (
        "Part\tSource\tFile\tWords\tLength\n"
        "train\tone\ta.wav\tYES\t7\n"
        "dev\tone\tb.wav\tNO\t8\n"
        "train\ttwo\tb.wav\tMAYBE\t9\n"
    )
    path = table(folder, content, "t.tsv")
    columns = TableColumns(audio="File", text="Words", duration="Length", split="Part")
    chosen = read_table(path, columns, split="train", where={"Source": "two"})
    assert chosen == [Utterance(folder / "b.wav", 9.0, "maybe", "", "train")]
    with pytest.raises(ManifestError, match="no rows with Source=three, split=train"):
        read_table(path, columns, split="train", where={"Source": "three"})


def test_recordings_may_lie_elsewhere(folder: Path) -> None:
    (folder / "tables").mkdir()
    path = table(folder / "tables", "audio,text\na.wav,yes\n")
    assert read_table(path, audio_root=folder)[0].audio_filepath == folder / "a.wav"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("audio,text\na.wav,yes\ngone.wav,no\n", "line 3: no recording at .*gone.wav"),
        ("audio,text,seconds\ngone.wav,no,1\n", "line 2: no recording at .*gone.wav"),
        ("audio,text\na.wav\n", "line 2: expected 2 columns, got 1"),
        ("audio,text\na.wav,yes,no\n", "line 2: expected 2 columns, got 3"),
        ("audio,text,seconds\na.wav,yes,long\n", "line 2: duration must be seconds > 0"),
        ("audio,text,seconds\na.wav,yes,nan\n", "line 2: duration must be seconds > 0"),
        ("audio,words\na.wav,yes\n", "which column holds the text"),
        ("audio,text\n", "holds no rows"),
        ("", "which column holds the audio"),
        ('audio,text\na.wav,"yes', "cannot read the table"),
        ("audio,text\nt.csv,yes\n", "line 2: .*t.csv is not a readable recording"),
    ],
)
def test_bad_tables_are_named_by_line(folder: Path, content: str, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        read_table(table(folder, content, "t.csv"))


def test_a_column_that_does_not_exist_is_named(folder: Path) -> None:
    path = table(folder, "audio,text\na.wav,yes\n")
    with pytest.raises(ManifestError, match="no column 'words'"):
        read_table(path, TableColumns(text="words"))
    with pytest.raises(ManifestError, match="no column 'source'"):
        read_table(path, where={"source": "one"})
