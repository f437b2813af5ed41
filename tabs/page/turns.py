"""Whose turn it is to make us ask somebody else: whose asking keeps failing waits, and not all ask at once.

Whoever opens an address that ends in a request to a sign-in's provider could otherwise have us ask it without end, and be shut
out by it, with everybody.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

FAILURES = 20  # of one neighbour in a row
ONE_BACK_S = 3.0
AT_ONCE = 16
MOST_KNOWN = 4096  # neighbours; of more the oldest are forgotten


class NotNow(Exception):
    """The text is one sentence; `retry_after_s`: when it will be taken."""

    def __init__(self, sentence: str, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class Turns:
    """
    Args:
        clock: seconds, of which only differences count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # by neighbour: when nothing of its failures counts any more
        self._asking = 0

    @contextlib.contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Ask inside. What is raised there counts against that address's neighbourhood; what goes well costs nothing.

        Raises:
            NotNow: too many of its have failed, or too many ask.
        """
        neighbour, now = neighbourhood(address), self._clock()
        wait_s = self._full_at.get(neighbour, now) - now - (FAILURES - 1) * ONE_BACK_S
        if wait_s > 0:
            raise NotNow(f"Too many sign-ins from your address have failed; try again in {math.ceil(wait_s)} s.", wait_s)
        if self._asking >= AT_ONCE:
            raise NotNow("Many are signing in at this moment; try again in a few seconds.", ONE_BACK_S)
        self._asking += 1
        try:
            yield
        except Exception:
            self._full_at[neighbour] = max(now, self._full_at.pop(neighbour, now)) + ONE_BACK_S
            while len(self._full_at) > MOST_KNOWN:
                self._full_at.popitem(last=False)
            raise
        finally:
            self._asking -= 1


def neighbourhood(address: str) -> str:
    """An address of IPv4, the first 64 bits of one of IPv6, which one person has all of; anything else as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)
