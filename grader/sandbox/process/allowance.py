"""The time that the answers of one attempt may take altogether, however many sessions give them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from grader.sandbox.process.conversation import Conversation

ON_THE_CLOCK = 2  # times the limit may pass in waiting for answers, whatever others take
_SHORTEST_S = 0.1  # what is asked once nothing is left ends at once, and says so


class Allowance:
    """`left_s`: what is left of `limit_s`. Counted is waiting for answers, without what others keep a session from running;
    nothing is left once ON_THE_CLOCK times as much has passed.
    """

    def __init__(self, limit_s: float = math.inf) -> None:
        self.limit_s = self.left_s = limit_s
        self._clock_left_s = ON_THE_CLOCK * limit_s

    def receive(
        self, session: Conversation, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[str, dict[str, Any]]:
        """Same contract as `Conversation.receive`, within what is left."""
        began, waited_s = time.monotonic(), session.kept_waiting_s
        try:
            own_s, clock_s = (max(_SHORTEST_S, left_s) for left_s in (self.left_s, self._clock_left_s))
            return session.receive(min(time_limit_s, own_s), cancelled, clock_s=clock_s)
        finally:
            passed_s = time.monotonic() - began
            self._clock_left_s -= passed_s
            self.left_s -= max(0.0, passed_s - (session.kept_waiting_s - waited_s))
            self._end_by_the_clock()

    def share(self, other: Allowance) -> None:
        """From here on no more is left than of `other`, which ran beside this one."""
        self.left_s = min(self.left_s, other.left_s)
        self._clock_left_s = min(self._clock_left_s, other._clock_left_s)
        self._end_by_the_clock()

    def _end_by_the_clock(self) -> None:
        if self._clock_left_s <= 0:
            self.left_s = min(self.left_s, 0.0)
