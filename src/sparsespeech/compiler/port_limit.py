"""How many row groups of a layer the ports of the network can serve, before anything is placed.

A port carries one flit a cycle, and each of its streams needs a slot of the wheel of its own (T8 of
``simulator/timing.md``). Frames and control flits travel on wires of their own, so their slots are
counted apart. Streams of the row groups of one layer meet at these ports:

- control: a tail, or the host, that makes the layer's frames takes one credit stream from each of
  the layer's tails; where one stream carries both directions, the order of directions as well
- frames: the layer's readers, or the host, take one stream of results from each tail. Results of a
  recurrent tail are part of the next step, so its stream is given the slots for a result of each
  unit a cycle; other streams may be narrow, as one frame is sent while the next is computed
"""

from __future__ import annotations

from collections.abc import Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_demand import LayerDemand
from sparsespeech.compiler.layer_shapes import GATES
from sparsespeech.compiler.stream_graph import slots_for_rate


def most_row_groups(
    demands: Sequence[LayerDemand], config: AcceleratorConfig, results_share: float = 1.0
) -> dict[str, int]:
    """Row groups of each layer, in the order of the network, that find slots at every port.

    Results of an LSTM take ``results_share`` of a port's slots at most. 0 for a layer of which a
    single row group is too much: its streams have to be narrower.
    """
    return {
        demand.layer: _most(
            demand,
            config,
            results_share,
            orders=demand.directions_of_core - 1 if demand is not demands[0] else 0,
            feeds_host=demand is demands[-1],
        )
        for demand in demands
    }


def _most(
    demand: LayerDemand,
    config: AcceleratorConfig,
    results_share: float,
    *,
    orders: int,
    feeds_host: bool,
) -> int:
    """``orders``: streams that tell linear tails which direction comes next."""
    tails = demand.directions // demand.directions_of_core  # of a row group
    credits = (config.slots - orders) // tails
    # Each recurrent core listens to one direction; the host takes the outputs of both.
    streams = tails if feeds_host else 1
    if demand.shapes[-1].role != "recurrent":
        return min(credits, config.slots // streams)
    width = slots_for_rate(config, config.row_lanes // GATES)
    return min(credits, int(config.slots * results_share) // (streams * width))
