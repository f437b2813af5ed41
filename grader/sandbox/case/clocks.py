"""What the programs of one launch know of each other: vector clocks, moved on by barriers and handed on by atomics.

Two accesses are ordered where one's program had been told of the other's: by an atomic that releases, read by one that
acquires. A release tells of what its own thread did, and of what the program's other threads did before a barrier: Triton's
stores of a block are made by many threads, its atomic of one number by one.
"""

from __future__ import annotations

import numpy as np

FEW_CLOCKS = 1 << 16  # entries of released clocks that may pile up before those that nobody can acquire any more are dropped


class Clocks:
    """Of one launch after the other. Entity `p` is program p's own thread, entity `programs + p` its other threads."""

    def __init__(self) -> None:
        self.programs = 0
        self.start(0)

    def start(self, programs: int) -> None:
        """A new launch: everything before it has happened, and nobody knows anything of it."""
        self.programs = programs
        self._epochs = np.ones(2 * programs, np.int32)
        self._fenced = np.zeros(programs, np.int32)
        self._known: dict[int, np.ndarray] = {}
        self._released: dict[int, np.ndarray] = {}
        self._next = 1

    def epoch(self, program: int, *, block: bool) -> tuple[int, int]:
        """The entity that acts, and its time."""
        entity = program + self.programs if block else program
        return entity, int(self._epochs[entity])

    def knows(self, program: int, entity: int, epoch: int) -> bool:
        """Whether what `entity` did at `epoch` has happened before whatever `program` does now."""
        if entity % self.programs == program:
            return True
        known = self._known.get(program)
        return known is not None and int(known[entity]) >= epoch

    def barrier(self, program: int) -> None:
        """All threads of a program wait for each other: what they did is behind any release that follows."""
        other = program + self.programs
        self._fenced[program] = self._epochs[other]
        self._epochs[other] += 1

    def acquire(self, program: int, clocks: list[int]) -> None:
        """Learn what was released under these numbers; 0 stands for nothing."""
        for number in clocks:
            if number:
                np.maximum(self._own(program), self._released[number], out=self._own(program))

    def release(self, program: int, before: int) -> int:
        """Say what `program` knows, added to what was said under the number `before`.

        Returns:
            The number under which it can be acquired.
        """
        said = self._own(program).copy()
        said[program] = self._epochs[program]
        said[program + self.programs] = self._fenced[program]
        self._epochs[program] += 1
        if before:
            np.maximum(said, self._released[before], out=said)
        number, self._next = self._next, self._next + 1
        self._released[number] = said
        return number

    @property
    def crowded(self) -> bool:
        """Whether it is time to `keep` only what can still be acquired."""
        return len(self._released) * self.programs > FEW_CLOCKS * 64

    def keep(self, clocks: set[int]) -> None:
        """Forget every released clock but these."""
        self._released = {number: said for number, said in self._released.items() if number in clocks}

    def _own(self, program: int) -> np.ndarray:
        if program not in self._known:
            self._known[program] = np.zeros(2 * self.programs, np.int32)
        return self._known[program]
