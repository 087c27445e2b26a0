"""How many slots each stream gets where ports cannot give all that streams want.

Small networks on a large grid have many short chains: their results together are more than a port
takes in a cycle. Then the widest streams of the port are halved. What they cannot send at once
waits in the memory of their tail (T9), so the program stays right and gets slower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.slot_wheel import (
    Channel,
    place_of,
    put_port,
    take_port,
)
from sparsespeech.errors import CompileError


class SlotWidths:
    """The number of slots of every stream, as it shrinks to what the channels can carry."""

    def __init__(
        self,
        connections: Sequence[Connection],
        places: tuple[Place, ...],
        config: AcceleratorConfig,
    ) -> None:
        """Start from what the streams want; raises CompileError if a port is overloaded."""
        self._connections = connections
        self._slots = config.slots
        self._width = [connection.slots for connection in connections]
        for channel, numbers in _users(connections, places).items():
            self._fit(numbers, channel)

    def __getitem__(self, number: int) -> int:
        """Slots of a stream."""
        return self._width[number]

    def halve(self, numbers: Iterable[int]) -> int | None:
        """Halve the stream that can best do with less, and tell which; None if all have one slot.

        First those that stay fast enough for the network, of these the most patient, of these the
        widest, of these the last.
        """
        shared = [n for n in numbers if self._width[n] > 1 and not self._connections[n].alone]
        if not shared:
            return None
        number = max(shared, key=self._can_do_with_less)
        self._width[number] //= 2
        return number

    def _can_do_with_less(self, number: int) -> tuple[bool, int, int, int]:
        one = self._connections[number]
        fast = self._width[number] // 2 >= one.least_slots
        return fast, one.patience, self._width[number], number

    def overload(self, numbers: Sequence[int], channel: Channel) -> CompileError:
        """The error for streams that find no place on a channel."""
        names = [self._connections[number].name for number in numbers]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return CompileError(
            f"{channel} is overloaded: {len(names)} streams ({shown}) need a slot each and find no "
            f"place in a wheel of {self._slots}; set slots = {2 * self._slots} in the file given "
            "with --config, or compute more layers on the host with --host-layers"
        )

    def _fit(self, numbers: Sequence[int], channel: Channel) -> None:
        """Halve all widest streams of a port alike until they fit: the slowest would rule."""
        while sum(self._width[number] for number in numbers) > self._slots:
            widest = max(self._width[number] for number in numbers)
            if widest == 1:
                raise self.overload(numbers, channel)
            for number in numbers:
                if self._width[number] == widest:
                    self._width[number] //= 2


def _users(
    connections: Sequence[Connection], places: tuple[Place, ...]
) -> dict[Channel, list[int]]:
    """Streams of each port of a core."""
    users: dict[Channel, list[int]] = defaultdict(list)
    for number, one in enumerate(connections):
        if one.alone:
            continue
        users[put_port(place_of(one.source, places), one.kind)].append(number)
        for sink in one.sinks:
            heads = sink in one.heads
            users[take_port(place_of(sink, places), one.kind, heads=heads)].append(number)
    return users
