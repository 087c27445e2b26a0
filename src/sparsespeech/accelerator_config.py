"""The accelerator's parameters: one frozen dataclass for compiler, simulator and RTL.

Units: cycles of the accelerator's clock, MHz, bits, bytes. R row lanes, Q windows, G multipliers
of a window and lane, W columns of a window, K = Q W columns of a core, N row groups (steps) of a
core: R rows are finished in a step.

Sources: section IV of the MAU paper (S2) for cores, lanes, columns, frequency and links; the
ESE/DDESE deck (S4) for the devices of its accelerators. What the paper leaves open is a choice of
ours and said so in ``docs/accelerator.md``.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sparsespeech.errors import AcceleratorConfigError

# The largest values that make sense; far above any device, low enough to compile and to simulate.
_MOST: dict[str, float] = {
    "frequency_mhz": 100_000,
    "grid_rows": 64,
    "grid_columns": 64,
    "row_lanes": 64,
    "windows": 1024,
    "multipliers_per_window": 64,
    "window_columns": 65_536,
    "weight_words": 2**20,
    "weight_bits": 16,
    "activation_bits": 16,
    "partial_sum_bits": 62,
    "window_fifo": 65_536,
    "chain_fifo": 65_536,
    "staging_frames": 1024,
    "contexts": 1024,
    "sequence_bytes": 2**40,
    "flit_activations": 1024,
    "flit_bits": 65_536,
    "slots": 256,
}
_DEEPEST_STAGE = 1000  # cycles
_STREAMS = 4096  # row lanes times windows


@dataclass(frozen=True)
class StageDepths:
    """Registers between two points, in cycles, at least 1; see ``simulator/timing.md``."""

    fetch: int = 3  # address and memory of the weights, exit of the fetch-ahead buffer
    activation_read: int = 2
    multiply: int = 2
    segment_sums: int = 2  # G products to the sums of the two rows that share a word
    accumulate: int = 1
    window_fifo: int = 1
    tree_level: int = 1  # one level of the adder tree over the Q windows
    chain_add: int = 1  # plus the partial sum of the core before
    output_register: int = 1
    requantize: int = 6  # R3's bias, R4's product in three stages, shift, saturation
    pointwise: int = 22  # R5 to R8: tables (4), products (3), cell (2), tanh (5), product, R4 (8)
    flit: int = 1  # assembly of activations to a flit
    inject: int = 1
    hop: int = 2  # router and link
    eject: int = 1
    staging_write: int = 1
    staging_read: int = 2
    credit: int = 1  # counter of a FIFO to the stage that asks it

    @property
    def window(self) -> int:
        """From the issue of a row's last word to its sum at the head of the window's FIFO."""
        return (
            self.activation_read
            + self.multiply
            + self.segment_sums
            + self.accumulate
            + self.window_fifo
        )

    @property
    def fetch_ahead_words(self) -> int:
        """Of the buffer between a weight memory and its multipliers; see rule T2."""
        return self.fetch + 1


@dataclass(frozen=True)
class AcceleratorConfig:
    """A grid of sparse cores; raises AcceleratorConfigError for impossible combinations."""

    name: str
    device: str
    frequency_mhz: float = 250.0
    grid_rows: int = 5
    grid_columns: int = 7
    cores: int = 34
    row_lanes: int = 4  # R
    windows: int = 16  # Q
    multipliers_per_window: int = 4  # G
    window_columns: int = 64  # W
    weight_words: int = 1024  # depth of the weight memory of a row lane and window
    weight_bits: int = 8
    activation_bits: int = 8
    partial_sum_bits: int = 26
    window_fifo: int = 16  # rows between a window and the adder tree
    chain_fifo: int = 16  # partial sums, and gate inputs, that wait for the next core
    double_buffered: bool = False  # two banks of activations: loading hides behind multiplying
    load_word_bytes: int = 2  # that a window's store takes in a cycle
    staging_frames: int = 4  # frames that wait in front of a core
    contexts: int = 4  # utterances in flight: cell states and fed-back outputs that are kept
    sequence_bytes: int = 4 * 2**20  # of the memory that turns frames round for a backward LSTM
    flit_activations: int = 8
    flit_bits: int = 104  # payload of a link a cycle: one partial sum of each of 4 row lanes
    slots: int = 16  # of the wheel by which links are shared
    stages: StageDepths = field(default_factory=StageDepths)
    reference_power_watts: float | None = None  # as published, for the energy model
    # Share of the cycles that multiply while that power was measured: 28,160 row groups a frame of
    # DeepSpeech 2048, on 34 cores of 1,024 + 32 cycles (Table II and section IV of S2).
    reference_activity: float = 28_160 / (34 * (1024 + 32))
    static_power_share: float = 0.4  # of the reference power; an assumption, named as one

    def __post_init__(self) -> None:
        """Check the combinations that hardware needs."""
        for name in ("name", "device"):  # first: messages begin with the name
            text = getattr(self, name)
            if not text.isprintable() or not 0 < len(text) <= 80:
                raise AcceleratorConfigError(
                    f"{name} = {text[:80]!a}, expected 1 to 80 printable signs"
                )
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise AcceleratorConfigError(
                    f"{self.name}: {entry.name} = {value}, expected more than 0"
                )
        for name, most in _MOST.items():
            self._check(getattr(self, name) <= most, name, f"at most {most:,}")
        streams = self.row_lanes * self.windows
        self._check(
            streams <= _STREAMS, "row_lanes", f"at most {_STREAMS} with windows, not {streams}"
        )
        for entry in fields(StageDepths):
            depth = getattr(self.stages, entry.name)
            if not 1 <= depth <= _DEEPEST_STAGE:
                raise AcceleratorConfigError(
                    f"{self.name}: stages.{entry.name} = {depth}, expected 1 to {_DEEPEST_STAGE}"
                )
        sites = self.grid_rows * self.grid_columns
        self._check(self.cores <= sites, "cores", f"at most {sites}, the sites of the grid")
        self._check(self.row_lanes % 4 == 0, "row_lanes", "a multiple of the 4 gates of a unit")
        for name in ("windows", "window_columns", "flit_activations", "slots"):
            value = getattr(self, name)
            self._check(value & (value - 1) == 0, name, "a power of two")
        self._check(
            self.row_lanes * self.partial_sum_bits <= self.flit_bits,
            "flit_bits",
            "at least row_lanes * partial_sum_bits",
        )
        self._check(
            self.flit_activations * self.activation_bits <= self.flit_bits,
            "flit_activations",
            "what flit_bits can carry",
        )
        self._check(self.staging_frames >= 2, "staging_frames", "at least 2")
        self._check(
            self.window_columns % self.load_word_bytes == 0,
            "load_word_bytes",
            "a divisor of window_columns",
        )

    def _check(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise AcceleratorConfigError(
                f"{self.name}: {name} = {getattr(self, name)}, expected {expected}"
            )

    @property
    def columns(self) -> int:
        """K, columns of one core."""
        return self.windows * self.window_columns

    @property
    def rows(self) -> int:
        """Rows of one core whose words fill its memory, one word a row."""
        return self.row_lanes * self.weight_words

    @property
    def multipliers(self) -> int:
        """Multipliers of one core."""
        return self.row_lanes * self.windows * self.multipliers_per_window

    @property
    def compression(self) -> float:
        """Columns a multiplier stands for: 16, S2's "1 in 16 weights per row are non-zero"."""
        return self.columns / (self.windows * self.multipliers_per_window)

    @property
    def load_bytes(self) -> int:
        """Activations that one cycle of loading writes: one word to each window."""
        return self.windows * self.load_word_bytes

    @property
    def tree_levels(self) -> int:
        """Levels of the adder tree over the windows."""
        return self.windows.bit_length() - 1

    @property
    def index_bits(self) -> int:
        """Bits that name a column inside a window."""
        return self.window_columns.bit_length() - 1

    @property
    def split_bits(self) -> int:
        """Bits of a word that tell its first row from its second: 0 .. G + 1."""
        return (self.multipliers_per_window + 1).bit_length()

    @property
    def word_bits(self) -> int:
        """Bits of a weight word: G weights with their columns, the split, the end of a row."""
        entry = self.weight_bits + self.index_bits
        return self.multipliers_per_window * entry + self.split_bits + 1

    @property
    def fetch_ahead_bits(self) -> int:
        """Registers of one core that hold fetched words, each with a mark of the task's last."""
        words = self.row_lanes * self.windows * self.stages.fetch_ahead_words
        return words * (self.word_bits + 1)

    @property
    def peak_tops(self) -> float:
        """Dense-equivalent 10^12 operations a second, two a weight; 69.6 in S2."""
        per_cycle = 2 * self.cores * self.multipliers * self.compression
        return per_cycle * self.frequency_mhz / 1e6

    @property
    def peak_tops_with_loads(self) -> float:
        """The same with the loading of activations before each pass; 67.5 in S2."""
        cycles = self.weight_words
        return self.peak_tops * cycles / (cycles + self.columns / self.load_bytes)

    @property
    def weight_memory_bits(self) -> int:
        """Bits of weight memory of the whole grid."""
        streams = self.cores * self.row_lanes * self.windows
        return streams * self.weight_words * self.word_bits

    def load_cycles(self, columns: int) -> int:
        """Cycles to write ``columns`` activations to the stores of a core."""
        return math.ceil(columns / self.load_bytes)

    def seconds(self, cycles: float) -> float:
        """Cycles in seconds."""
        return cycles / (self.frequency_mhz * 1e6)

    def to_json(self) -> dict[str, Any]:
        """All parameters; :meth:`from_json` takes them back."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        stages = {entry.name: getattr(self.stages, entry.name) for entry in fields(StageDepths)}
        return {**plain, "stages": stages}

    @classmethod
    def from_json(cls, values: dict[str, Any], *, source: str = "config") -> AcceleratorConfig:
        """Raises AcceleratorConfigError for unknown, missing or ill-typed keys."""
        _check_keys(cls, values, source)
        stages = values.get("stages", {})
        _check_keys(StageDepths, stages, f"{source}: stages")
        try:
            return cls(**{**values, "stages": StageDepths(**stages)})
        except TypeError as error:
            raise AcceleratorConfigError(f"{source}: {error}") from None


TARGETS: dict[str, AcceleratorConfig] = {
    config.name: config
    for config in (
        AcceleratorConfig(
            name="mau-stratix10",
            device="Intel Stratix 10, as in the MAU paper",
            reference_power_watts=34.9,
        ),
        AcceleratorConfig(
            name="deepbench",
            device="Intel Stratix 10, as in Table VI of the MAU paper",
            grid_rows=3,
            grid_columns=11,
            cores=33,
            # The paper gives no depth. At this one next to nothing of a load hides, as in its 2.35
            # TOPS: 208 cycles a vector, where 175 steps and a load of 32 are 207.
            window_fifo=12,
        ),
        AcceleratorConfig(
            name="ddese-vu9p",
            device="Xilinx VU9P, as in the DDESE deck",
            frequency_mhz=200.0,
            grid_rows=4,
            grid_columns=6,
            cores=24,
        ),
        AcceleratorConfig(
            name="ese-ku115",
            device="Xilinx KU115, as in the ESE deck",
            frequency_mhz=250.0,
            grid_rows=4,
            grid_columns=5,
            cores=20,
        ),
        AcceleratorConfig(
            name="tiny",
            device="Lattice ECP5 85k; for tests",
            frequency_mhz=100.0,
            grid_rows=2,
            grid_columns=2,
            cores=4,
            windows=2,
            multipliers_per_window=2,
            window_columns=32,
            weight_words=256,
            load_word_bytes=2,
            sequence_bytes=16 * 1024,
        ),
    )
}


def target(name: str, overrides: Path | None = None) -> AcceleratorConfig:
    """A named target, with the parameters that the TOML file ``overrides`` sets.

    Raises AcceleratorConfigError for an unknown name, an unreadable file or unknown keys.
    """
    if name not in TARGETS:
        raise AcceleratorConfigError(
            f"target {name!r} does not exist; targets: {', '.join(TARGETS)}"
        )
    config = TARGETS[name]
    if overrides is None:
        return config
    try:
        values = tomllib.loads(overrides.read_text(encoding="utf-8"))
    except OSError as error:
        raise AcceleratorConfigError(f"{overrides}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AcceleratorConfigError(f"{overrides}: cannot be read as TOML: {error}") from None
    _check_keys(AcceleratorConfig, values, str(overrides))
    stages = values.pop("stages", {})
    _check_keys(StageDepths, stages, f"{overrides}: stages")
    return replace(config, **values, stages=replace(config.stages, **stages))


def _check_keys(kind: type[Any], values: Any, source: str) -> None:
    if not isinstance(values, dict):
        raise AcceleratorConfigError(f"{source}: expected a table, got {values!r}")
    types = {entry.name: entry.type for entry in fields(kind)}
    for key, value in values.items():
        if key not in types:
            raise AcceleratorConfigError(
                f"{source}: unknown key {key!r}; known: {', '.join(types)}"
            )
        if not _fits(value, str(types[key])):
            expected = "a table" if key == "stages" else types[key]
            raise AcceleratorConfigError(f"{source}: {key} = {value!r}, expected {expected}")


def _fits(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind.startswith("float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (number and math.isfinite(value)) or (value is None and "None" in kind)
    if kind == "str":
        return isinstance(value, str)
    return isinstance(value, dict | StageDepths)
