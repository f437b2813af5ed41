"""What a grading process has counted since its start: it goes with its heartbeat, and `/metrics` adds it up."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections import defaultdict


@dataclasses.dataclass
class Counts:
    """Safe from many threads. Times in seconds."""

    attempts: int = 0
    faults: int = 0  # attempts that the grader itself failed on
    judges: int = 0  # opened: each starts its sandbox and passes its self-test
    not_stored: int = 0  # tries to store what was judged that disk or database refused
    busy_s: float = 0.0
    phases: dict[str, float] = dataclasses.field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._phase = ""
        self._since = 0.0

    def add(self, name: str, by: int = 1) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + by)

    def enter(self, phase: str) -> None:
        """The attempt in hand is in that phase from now on; "" where none is in hand."""
        with self._lock:
            now = time.monotonic()
            if self._phase:
                self.phases[self._phase] += now - self._since
                self.busy_s += now - self._since
            self._phase, self._since = phase, now

    def to_json(self) -> str:
        with self._lock:
            phases = {name: round(seconds, 3) for name, seconds in self.phases.items()}
            fields = {name: getattr(self, name) for name in ("attempts", "faults", "judges", "not_stored")}
            return json.dumps({**fields, "busy_s": round(self.busy_s, 3), "phases": phases})
