"""The time that the answers of one attempt may take altogether, however many sessions give them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from grader.sandbox.process.conversation import Conversation

_SHORTEST_S = 0.1  # what is asked once nothing is left ends at once, and says so


class Allowance:
    """`left_s`: what is left of `limit_s`. Counted is waiting for answers, without what others keep a session from running."""

    def __init__(self, limit_s: float = math.inf) -> None:
        self.limit_s = self.left_s = limit_s

    def receive(
        self, session: Conversation, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[str, dict[str, Any]]:
        """Same contract as `Conversation.receive`, within what is left."""
        began, waited_s = time.monotonic(), session.kept_waiting_s
        try:
            return session.receive(min(time_limit_s, max(_SHORTEST_S, self.left_s)), cancelled)
        finally:
            self.left_s -= max(0.0, time.monotonic() - began - (session.kept_waiting_s - waited_s))
