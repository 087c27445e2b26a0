"""Hostile files: one named error each, no crash, no allocation beyond what the file holds."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.reader import decode_model, read_model
from tests.fuzz.coded_attacks import CODED, CODED_ATTACKS
from tests.fuzz.container_attacks import CONTAINER_ATTACKS
from tests.fuzz.forged_files import CONVOLVED, PLAIN, PROJECTED, WIDE
from tests.fuzz.manifest_attacks import MANIFEST_ATTACKS
from tests.fuzz.tensor_attacks import TENSOR_ATTACKS

ATTACKS = CONTAINER_ATTACKS | MANIFEST_ATTACKS | TENSOR_ATTACKS | CODED_ATTACKS
ALLOWED_FACTOR = 20
ALLOWED_CODED_FACTOR = 200  # a nonzero takes 2 bits at least where it is coded, 8 bits else
ALLOWED_BYTES = 2**20
LARGE = r"huge|cap$|2\^|deep|million|longer|more rows|5000"  # attacks that declare or hold much


@pytest.mark.parametrize("content", [PLAIN, PROJECTED, WIDE, CONVOLVED, CODED])
def test_the_files_that_attacks_start_from_are_valid(content: bytes) -> None:
    decode_model(content)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_gives_its_one_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    path.write_bytes(ATTACKS[name].content)
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    message = str(caught.value)
    assert re.search(ATTACKS[name].error, message), message
    assert message.startswith(f"{path}: ")
    assert re.search(r"\(rule F\d+\)$", message)
    assert message.isprintable()
    assert len(message) <= 600
    assert caught.value.__cause__ is None


def test_every_rule_of_the_format_is_attacked(repository: Path) -> None:
    rules = (repository / "src/sparsespeech/model_file/format.md").read_text()
    stated = {int(number) for number in re.findall(r"^- F(\d+)\.", rules, re.MULTILINE)}
    attacked = {
        int(number)
        for attack in ATTACKS.values()
        for number in re.findall(r"F(\d+)$", attack.error)
    }
    assert stated == set(range(1, 27))
    assert attacked == stated - {1}  # F1 is about files, not bytes: tests/unit/model_file
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("name", [name for name in ATTACKS if re.search(LARGE, name)])
def test_attack_allocates_in_proportion_to_the_file(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            decode_model(ATTACKS[name].content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    factor = ALLOWED_CODED_FACTOR if name in CODED_ATTACKS else ALLOWED_FACTOR
    assert peak <= factor * len(ATTACKS[name].content) + ALLOWED_BYTES


WATCHED_RUN = """
import resource, sys
from pathlib import Path
from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.reader import read_model

files = sorted(Path(sys.argv[1]).iterdir())
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 128 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
seen = set()
sys.addaudithook(lambda event, _: seen.add(event))
refused = 0
for file in files:
    try:
        read_model(file)
    except ModelFileError:
        refused += 1
print(refused, *sorted(seen))
"""


def test_attacks_run_nothing_and_fit_in_little_memory(tmp_path: Path) -> None:
    for number, attack in enumerate(ATTACKS.values()):
        (tmp_path / f"{number}.safetensors").write_bytes(attack.content)
    finished = subprocess.run(
        [sys.executable, "-c", WATCHED_RUN, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    refused, *events = finished.stdout.split()
    assert int(refused) == len(ATTACKS)
    forbidden = (
        "exec",
        "compile",
        "pickle",
        "marshal",
        "os.system",
        "subprocess",
        "socket",
        "ctypes",
        "os.remove",
        "os.rename",
        "os.mkdir",
    )
    assert "open" in events  # the hook works
    assert not [event for event in events if event.startswith(forbidden)]
