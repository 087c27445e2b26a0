"""How many slots each stream gets where ports cannot give all that streams want.

Small networks on a large grid have many short chains: their results together are more than a port
takes in a cycle. Then the widest streams of the port are halved, and so are streams for which no
circuits are found. What they cannot send at once waits in the memory of their tail (T9), so the
program stays right and gets slower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Fight:
    """A channel that streams want in the same slots, after all rounds of a negotiation."""

    channel: Channel
    streams: tuple[int, ...]
    near: tuple[int, ...]  # that share any channel with them


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

    def relieve(self, fights: Sequence[Fight], numbers: Sequence[int]) -> bool:
        """Halve streams that fight, or else in their way, or else any of ``numbers``.

        Of the streams of the largest fight those go first that stay fast enough for the network,
        of these the most patient, of these the widest, of these the last; with each of them those
        of its group that are as wide, as the slowest rules. False if all have one slot.
        """
        largest = sorted(fights, key=lambda fight: -len(fight.streams))
        choices = [fight.streams for fight in largest] + [fight.near for fight in largest]
        for streams in (*choices, numbers):
            wide = [number for number in streams if self._width[number] > 1]
            if wide:
                self._halve(max(wide, key=self._can_do_with_less))
                return True
        return False

    def _halve(self, number: int) -> None:
        group, width = self._connections[number].group, self._width[number]
        for other, one in enumerate(self._connections):
            if other == number or (group and one.group == group and self._width[other] == width):
                self._width[other] //= 2

    def _can_do_with_less(self, number: int) -> tuple[bool, int, int, int]:
        one = self._connections[number]
        fast = self._width[number] // 2 >= one.least_slots
        return fast, one.patience, self._width[number], number

    def no_circuits(self, fights: Sequence[Fight]) -> CompileError:
        """The error where the search ends, though every port has slots for its streams."""
        fight = max(fights, key=lambda fight: len(fight.streams))
        return CompileError(
            f"no circuits found: {self._shown(fight.streams)} still want the same slot of "
            f"{fight.channel}, with a slot a stream, whatever ways, buses and orders were tried; "
            f"set slots = {2 * self._slots} or fewer cores in the file given with --config, or "
            "choose the other --mapping"
        )

    def _overload(self, numbers: Sequence[int], channel: Channel) -> CompileError:
        """The error for a port with more streams than slots."""
        enough = 1 << (len(numbers) - 1).bit_length()
        return CompileError(
            f"{channel} is overloaded: {self._shown(numbers)} need a slot each, {len(numbers)} "
            f"in all, of a wheel of {self._slots}; set slots = {enough} or fewer cores in the file "
            "given with --config, or compute more layers on the host with --host-layers"
        )

    def _shown(self, numbers: Sequence[int]) -> str:
        names = [self._connections[number].name for number in numbers]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{len(names)} streams ({shown})"

    def _fit(self, numbers: Sequence[int], channel: Channel) -> None:
        """Halve all widest streams of a port alike until they fit: the slowest would rule."""
        while sum(self._width[number] for number in numbers) > self._slots:
            widest = max(self._width[number] for number in numbers)
            if widest == 1:
                raise self._overload(numbers, channel)
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
