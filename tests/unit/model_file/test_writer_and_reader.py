from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import limits
from sparsespeech.model_file.model import IntegerModel, Requantizer
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.writer import encode_model, write_model
from tests.random_models import random_integer_model


@pytest.fixture
def model() -> IntegerModel:
    return random_integer_model(np.random.default_rng(0), hidden=4)


def test_file_and_folder(model: IntegerModel, tmp_path: Path) -> None:
    write_model(model, tmp_path / "a.safetensors")
    write_model(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.safetensors",
        "model.safetensors",
    ]
    first, second = read_model(tmp_path / "a.safetensors"), read_model(tmp_path)
    assert encode_model(first) == encode_model(second) == encode_model(model)


def test_size_at_seven_hundred_thousand_nonzeros() -> None:
    model = random_integer_model(np.random.default_rng(1), hidden=512, sparsity=0.87)
    content = encode_model(model)
    nonzeros = sum(layer.weights.nonzeros for layer in model.layers if hasattr(layer, "weights"))
    lstm = model.layers[2]
    for direction in (lstm.forward, lstm.backward):
        nonzeros += direction.input_weights.nonzeros + direction.recurrent_weights.nonzeros
    assert nonzeros > 650_000
    assert len(content) < 1_600_000 * nonzeros / 700_000


def test_header_of_the_safetensors_library(model: IntegerModel, tmp_path: Path) -> None:
    write_model(model, tmp_path / "a.safetensors")
    with safetensors.safe_open(str(tmp_path / "a.safetensors"), "np") as opened:
        assert set(opened.metadata()) == {"header_sha256", "manifest"}
        assert opened.get_slice("layer1.bias").get_shape() == [4]


def test_tensors_are_aligned(model: IntegerModel) -> None:
    content = encode_model(model)
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_another_suffix_is_refused(model: IntegerModel, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"must end in \.safetensors"):
        write_model(model, tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"wer": float("nan")},
        {"scale": np.float32(1)},
        {"corpus": {1, 2}},
        {"text": "\ud800"},
        {"deep": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]},
        {"large": 2**53},
        {1: "one"},
    ],
)
def test_facts_that_are_no_json_are_refused(
    model: IntegerModel, facts: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=r"not written: .*F4"):
        write_model(replace(model, training=facts), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_header_beyond_its_cap_is_refused(model: IntegerModel, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"not written: header: length .*F2"):
        write_model(replace(model, training={"text": "x" * limits.HEADER_BYTES}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_facts_come_back(model: IntegerModel, tmp_path: Path) -> None:
    facts = {"wer": 12.5, "corpora": ["é", "\U0001f600", "a\nb"], "nested": {"none": None}}
    scales = {"weight_scales": {"layer1.weights": 0.1}}
    write_model(replace(model, training=facts, quantization=scales), tmp_path)
    read = read_model(tmp_path)
    assert (read.training, read.quantization) == (facts, scales)


def test_wrong_model_leaves_the_old_file(model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_model(model, path)
    before = path.read_bytes()
    wrong = replace(model, input=replace(model.input, scale=0.0))
    with pytest.raises(ModelFileError, match=r"not written: tensor 'input.scale'.*F22"):
        write_model(wrong, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"bias": np.array([2**32 + 5, 0, 0, 0])}, "F16"),
        ({"requantize": Requantizer(np.array([2**16 + 40_000]), np.array([24]))}, "F17"),
        ({"requantize": Requantizer(np.array([40_000]), np.array([256 + 24]))}, "F17"),
    ],
)
def test_value_that_would_wrap_in_its_stored_type_is_refused(
    model: IntegerModel, change: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    wrong = replace(model, layers=(replace(model.layers[0], **change), *model.layers[1:]))
    with pytest.raises(ModelFileError, match=rf"not written: .*\(rule {rule}\)"):
        write_model(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.writer import write_model

model = read_model(Path(sys.argv[1]))
for size in (0, 1, 4096, 10000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        write_model(model, Path(sys.argv[1]))
    except ModelFileError as error:
        print(error)
"""


def test_failing_write_leaves_the_old_file(model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_model(model, path)
    before = path.read_bytes()
    assert len(before) > 10_000
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    lines = finished.stdout.splitlines()
    assert len(lines) == 4
    assert all("not written: File too large; what stood there before" in line for line in lines)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failure_at_each_step_leaves_the_old_file(
    step: str, model: IntegerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    write_model(model, path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(ModelFileError, match="No space left on device"):
        write_model(replace(model, training=None), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_file_folder_and_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name, error in {
        "absent.safetensors": "cannot be read: No such file",
        "": r"model\.safetensors: cannot be read: No such file",
        "pipe.safetensors": "is not a regular file",
        "x" * 5000: "cannot be read: File name too long",
        "null\0byte": "cannot be read: .*null",
    }.items():
        with pytest.raises(ModelFileError, match=rf"{error}.*F1\)"):
            read_model(tmp_path / name)


def test_device_is_refused() -> None:
    with pytest.raises(ModelFileError, match="is not a regular file.*F1"):
        read_model(Path("/dev/zero"))


def test_file_beyond_the_cap_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as stream:
        stream.truncate(limits.FILE_BYTES + 1)  # a hole: takes no disk
    with pytest.raises(ModelFileError, match=r"holds 2147483649 bytes.*F1"):
        read_model(path)


def test_error_stays_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
