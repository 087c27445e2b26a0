"""``bench throughput --backend simulator``: Table IV of the MAU paper (S2), counted in cycles.

Utterance follows utterance, two or more in flight, so that no core waits for the recurrence of one.
Effective operations are two for each weight of the dense matrices.

- ``effective_tops``: one frame every 1024 + 32 cycles, loads never hidden: S2's own arithmetic
  (67.5 TOPS of 80.1 %).
- ``simulated_tops_MAPPING``: the cycles that the simulator counts between frames.

S2's Table V prints 54.0 TOPS beside a latency of 0.343 ms. By operations over latency, as its CPU
and GPU columns are, the accelerator does 33 TOPS with one utterance alone; both are in the tables.

Watts are those of ``compiler/energy_model.py``: a model with one measured anchor.
"""

from __future__ import annotations

from dataclasses import asdict

from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions, TimedProgram
from sparsespeech.benchmarks.mapping import is_paper_network
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.speech_input import FrontEnd
from sparsespeech.compiler.energy_model import SOURCE, activity, estimate_power

PAPER_ROWS = (  # S2 Tables IV and V; watts at 54.0 TOPS
    {"source": "MAU paper, Table IV", "effective_tops": 54.0, "watts": 34.9, "gops_per_watt": 1547},
    {"source": "MAU paper, Table V, 1 s in 0.343 ms", "effective_tops": 54.0},
)


def run_throughput_simulated(options: AcceleratorOptions) -> BenchResult:
    """Stream utterances in both mappings; raises CompileError for a model that fits in neither."""
    result = BenchResult("throughput-simulator", options.facts())
    result.config["utterances_in_flight"] = options.utterances
    result.config["power"] = SOURCE
    for program in options.programs(result):
        timed, mapping = TimedProgram.of(program), program.mapping
        options.on_progress(f"simulating, {mapping} mapping")
        _capacity(result, timed)
        result.figures[f"simulated_tops_{mapping}"] = _stream(result, options, timed)
        _one_alone(result, options, timed)
        _energy(result, options, timed)
    if is_paper_network(options):
        result.add_rows("published", *PAPER_ROWS)
    return result


def _capacity(result: BenchResult, timed: TimedProgram) -> None:
    """What follows from the program alone: Table II's efficiency of the peak with loads."""
    metrics = timed.metrics
    row: Row = {"mapping": metrics.mapping, "source": "loads never hidden (S2's arithmetic)"}
    row |= {"cycles_per_frame": metrics.cycles_per_frame}
    row |= {"effective_tops": metrics.effective_tops, "real_tops": metrics.real_tops}
    result.add_rows("streaming", row)
    if metrics.mapping == "paper":
        result.figures["effective_tops"] = metrics.effective_tops
        result.figures["peak_tops"] = metrics.peak_tops
        result.figures["peak_tops_with_loads"] = metrics.peak_tops_with_loads


def _stream(result: BenchResult, options: AcceleratorOptions, timed: TimedProgram) -> float:
    """A row of the simulator's cycles a frame; its effective TOPS."""
    cycles = timed.cycles_per_frame(options.utterances, options.frames)
    tops = timed.effective_tops(cycles)
    row: Row = {"mapping": timed.program.mapping, "source": "simulator"}
    row |= {"cycles_per_frame": cycles}
    row |= {"effective_tops": tops, "real_tops": timed.real_tops(cycles)}
    result.add_rows("streaming", row)
    return tops


def _one_alone(result: BenchResult, options: AcceleratorOptions, timed: TimedProgram) -> None:
    """Operations over latency, the other definition in Table V."""
    config = timed.program.config
    latency = timed.run([[options.frames]]).latencies[0][0]
    tops = timed.effective_tops(latency / options.frames)
    row: Row = {"mapping": timed.program.mapping, "frames": options.frames}
    row |= {"latency_ms": 1e3 * config.seconds(latency), "effective_tops": tops}
    result.add_rows("one utterance alone", row)
    result.figures[f"latency_tops_{timed.program.mapping}"] = tops


def _energy(result: BenchResult, options: AcceleratorOptions, timed: TimedProgram) -> None:
    """Modelled watts while utterances stream; nothing where no power was ever published."""
    program, metrics = timed.program, timed.metrics
    alone = timed.run([[options.frames]]).latencies[0][0] / options.frames
    work = {
        "streaming, loads never hidden": float(metrics.cycles_per_frame),
        "streaming, simulated": timed.cycles_per_frame(options.utterances, options.frames),
        "one utterance alone, simulated": alone,
    }
    audio_s = FrontEnd.of_model(program.model).config.frame_duration_s  # of a frame
    for what, cycles in work.items():
        power = estimate_power(program.config, activity(program, metrics, cycles))
        if power is None:  # nobody published what the target takes
            return
        tops = timed.effective_tops(cycles)
        row: Row = {"mapping": program.mapping, "work": what, "source": SOURCE}
        row |= {**asdict(power), "watts": power.watts, "effective_tops": tops}
        row["gops_per_watt"] = power.gops_per_watt(tops)
        row["joules_per_audio_second"] = power.joules(program.config.seconds(cycles)) / audio_s
        result.add_rows("energy (modelled)", row)
        if program.mapping == "paper" and what.startswith("streaming, loads"):
            result.figures["modelled_gops_per_watt"] = row["gops_per_watt"]
            result.figures["modelled_watts"] = power.watts
