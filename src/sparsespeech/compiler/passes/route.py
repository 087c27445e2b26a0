"""Last pass but assembly: circuits between the cores, slot by slot.

What is sent where follows from the chains (``connections.py``), ways and slots are searched
(``circuits.py``), and the result is proved: no two streams meet on a link or at a port
(``circuit_check.py``), and no core waits for itself (``stream_graph.py``).
"""

from __future__ import annotations

from dataclasses import replace

from sparsespeech.compiler.circuit_check import check_circuits
from sparsespeech.compiler.circuits import CircuitSearch
from sparsespeech.compiler.connections import Connection, connections_of
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.negotiation import Circuit
from sparsespeech.compiler.program import Link, Place, Sink, Stream
from sparsespeech.compiler.slot_wheel import HOST_PLACE, SlotWheel, place_of, slot_numbers
from sparsespeech.compiler.stream_graph import link_loads, prove_acyclic


def route(plan: Plan) -> Plan:
    """Fills ``streams``, ``output_streams``, ``sequences`` and the fact "network".

    Raises CompileError naming link, need, limit and the flag that helps.
    """
    found = connections_of(plan)
    circuits = CircuitSearch(found.connections, plan.places, plan.config).run()
    wheel = SlotWheel(plan.config)
    streams = tuple(
        _stream(connection, circuit, plan.places, wheel)
        for connection, circuit in zip(found.connections, circuits, strict=True)
    )
    heads = [connection.heads for connection in found.connections]
    check_circuits(streams, plan.places, plan.config, heads)
    recurrent = {chain.cores[-1] for chain in plan.chains if chain.role == "recurrent"}
    prove_acyclic(streams, recurrent)
    loads = link_loads(streams)
    facts = {
        "streams": len(streams),
        "links": len(loads),
        "largest_link_load": max((load.slots for load in loads), default=0) / plan.config.slots,
        "narrow_streams": [  # with fewer slots than their rate asks for
            connection.name
            for connection, stream in zip(found.connections, streams, strict=True)
            if len(stream.slots) < connection.slots
        ],
    }
    return replace(
        plan,
        streams=streams,
        output_streams=tuple(found.output_streams.get(n) for n in range(len(plan.chains))),
        sequences=tuple(found.sequences),
        facts={**plan.facts, "network": facts},
    )


def _stream(
    connection: Connection, circuit: Circuit, places: tuple[Place, ...], wheel: SlotWheel
) -> Stream:
    hops = circuit.tree.hops
    links = tuple(
        Link(*_ends(link.start, link.stop), slot_numbers(wheel.at_depth(circuit.slots, link.depth)))
        for link in circuit.tree.links
    )
    return Stream(
        name=connection.name,
        kind=connection.kind,
        source=connection.source,
        sinks=tuple(Sink(core, hops[place_of(core, places)]) for core in connection.sinks),
        slots=slot_numbers(circuit.slots),
        links=links,
        frame=connection.frame,
    )


def _ends(start: Place, stop: Place) -> tuple[Place, Place]:
    """The host's port starts and stops at its site."""
    if start == HOST_PLACE:
        return stop, stop
    return (start, start) if stop == HOST_PLACE else (start, stop)
