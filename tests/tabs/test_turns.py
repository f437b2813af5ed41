"""Nobody makes us ask a provider without end, and nobody who signs in is kept out by that."""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import httpx
import openid_provider
import pytest
from starlette.applications import Starlette

from tabs.page.identity import Identities
from tabs.page.openid import NotSignedIn, Provider, drawn
from tabs.page.sign_in import routes
from tabs.page.turns import AT_ONCE, FAILURES, MOST_KNOWN, ONE_BACK_S, NotNow, Turns, neighbourhood
from tests.tabs.test_sign_in import KEY, OURS, Browser, client_of

FORGED = "/login/openid/callback?code=forged&state="


@dataclasses.dataclass
class Clock:
    now: float = 1e6

    def __call__(self):
        return self.now


def fail(found, address, times):
    """How often it was let in."""
    let_in = 0
    for _ in range(times):
        try:
            with found.turn(address):
                let_in += 1
                raise KeyError
        except (KeyError, NotNow):
            continue
    return let_in


def test_who_keeps_failing_waits_and_others_do_not():
    clock = Clock()
    found = Turns(clock)

    assert fail(found, "10.0.0.1", 100) == FAILURES
    with found.turn("10.0.0.2"):
        pass
    with pytest.raises(NotNow) as refused, found.turn("10.0.0.1"):
        pass
    clock.now += refused.value.retry_after_s + 0.001
    assert fail(found, "10.0.0.1", 100) == 1
    clock.now += FAILURES * ONE_BACK_S
    assert fail(found, "10.0.0.1", 100) == FAILURES


def test_what_goes_well_costs_nothing():
    """A class behind one address signs in within a minute."""
    found = Turns(Clock())

    for _ in range(1000):
        with found.turn("10.0.0.1"):
            pass


def test_so_many_ask_at_once_and_a_turn_ends_however_it_ends():
    found = Turns(Clock())
    held = [found.turn(f"10.0.0.{number}") for number in range(AT_ONCE)]
    for each in held:
        each.__enter__()

    with pytest.raises(NotNow), found.turn("10.0.1.1"):
        pass
    held[0].__exit__(None, None, None)
    with pytest.raises(asyncio.CancelledError), found.turn("10.0.1.1"):  # who leaves while we ask
        raise asyncio.CancelledError
    with found.turn("10.0.1.1"):
        pass


def test_neighbours_are_not_kept_for_ever():
    found = Turns(Clock())

    for number in range(MOST_KNOWN + 50):
        fail(found, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)

    assert len(found._full_at) == MOST_KNOWN


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "testclient", False),
    ],
)
def test_who_is_a_neighbour(one, other, same):
    assert (neighbourhood(one) == neighbourhood(other)) == same


def test_a_flood_of_forged_answers_reaches_the_provider_so_often():
    """The state is drawn from a cookie that whoever asks may choose, so it stops nobody."""
    with openid_provider.serving() as server:
        browser = Browser(Provider(client_of(server.url)), Identities(KEY))
        browser.cookies.set("sign-in", "chosen")
        answers = []
        for _ in range(FAILURES + 10):
            browser.cookies.set("sign-in", "chosen", domain="127.0.0.1", path="/")
            answers.append(browser.ask(FORGED + drawn("chosen", "state")))

        assert server.asked.count("/token") <= FAILURES
        assert [answer.status_code for answer in answers[-10:]] == [429] * 10
        assert "try again in" in answers[-1].text and int(answers[-1].headers["retry-after"]) >= 1


def test_a_provider_that_hangs_is_asked_by_so_many(monkeypatch):
    async def flood():
        hanging = Provider(client_of("http://127.0.0.1:9"))
        asked, goes_on = [], asyncio.Event()

        async def hangs(*_, **__):
            asked.append(1)
            await goes_on.wait()
            raise NotSignedIn("down", ours=True)

        monkeypatch.setattr(hanging, "_ask", hangs)
        app = Starlette(routes=routes(Identities(KEY), hanging))
        web = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=OURS)
        tasks = [asyncio.create_task(web.get("/login/openid")) for _ in range(4 * AT_ONCE)]
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if sum(task.done() for task in tasks) >= 3 * AT_ONCE:
                break
        goes_on.set()
        return [answer.status_code for answer in await asyncio.gather(*tasks)], len(asked)

    with ThreadPoolExecutor(1) as elsewhere:  # Playwright leaves a loop in this thread
        codes, asked = elsewhere.submit(asyncio.run, flood()).result()

    assert asked == AT_ONCE
    assert sorted(codes) == [429] * 3 * AT_ONCE + [502] * AT_ONCE
