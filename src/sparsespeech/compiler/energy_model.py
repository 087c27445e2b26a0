"""Power of an accelerator by a model with one measured anchor: modelled watts, never measured ones.

::

    watts = reference * (static share + (1 - static share) * activity * frequency)

*Activity* is the share of the cycles in which the cores of the grid multiply, *frequency* the
clock, both relative to those of the reference: the MAU paper (S2) measured 34.9 W on its board
during inference of DeepSpeech 2048 at 250 MHz. There 78.4 % of the cycles multiply; the 80.1 % of
Table II count a core of layer 1 with its padding and leave the loads out. What part of the power
flows without any work (leakage, clock, memories, the board) S2 does not say;
``static_power_share`` is an assumption of ours, which a figure at the anchor does not depend on,
and one far from it does.

A core multiplies for a cycle a row group, or a weight word where those are more: in S2's unit,
where a row takes a cycle whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.metrics import ProgramMetrics
from sparsespeech.compiler.program import Program

SOURCE = "model, anchored to the 34.9 W of the MAU paper"


@dataclass(frozen=True)
class PowerEstimate:
    """Modelled watts of one activity; ``activity`` is a share of all cycles, 0 to 1."""

    activity: float
    static_watts: float
    dynamic_watts: float

    @property
    def watts(self) -> float:
        """Both parts."""
        return self.static_watts + self.dynamic_watts

    def joules(self, seconds: float) -> float:
        """Energy of a run of ``seconds``."""
        return self.watts * seconds

    def gops_per_watt(self, tops: float) -> float:
        """10^9 operations a joule at ``tops`` 10^12 operations a second."""
        return 1e3 * tops / self.watts


def activity(program: Program, metrics: ProgramMetrics, cycles_per_frame: float) -> float:
    """Share of the cycles in which the cores of the grid multiply, at so many cycles a frame."""
    row_groups = sum(program.chains[task.chain].row_groups for task in program.tasks)
    return metrics.packing_ratio * row_groups / (cycles_per_frame * program.config.cores)


def estimate_power(config: AcceleratorConfig, share: float) -> PowerEstimate | None:
    """Modelled power of ``config`` whose cores multiply in ``share`` of the cycles, 0 to 1.

    None for a target of which nobody published a power, or whose cores and multipliers are not
    those that were measured: no figure is better than a guess.
    """
    reference = TARGETS.get(config.name)
    watts = config.reference_power_watts
    if watts is None or reference is None:
        return None
    if config.cores * config.multipliers != reference.cores * reference.multipliers:
        return None
    work = share / config.reference_activity
    clock = config.frequency_mhz / reference.frequency_mhz
    dynamic = watts * (1.0 - config.static_power_share)
    return PowerEstimate(
        activity=share,
        static_watts=watts * config.static_power_share,
        dynamic_watts=dynamic * work * clock,
    )
