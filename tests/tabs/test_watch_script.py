"""The watch on what is in work (scripts.js, "watch"), in V8 over a page, a clock and a server that a test moves by hand."""

from __future__ import annotations

import json

import pytest
from py_mini_racer import MiniRacer

from tabs.page.scripts import script

PAGE = """
let now = 1000000, timers = [], requests = [], triggered = [], changed = () => {}, listeners = [], numbers = 0;
const Date = class extends globalThis.Date { static now() { return now; } };
const setTimeout = (task, ms) => { timers.push({ id: ++numbers, at: now + ms, task }); return numbers; };
const setInterval = (task, ms) => { const again = () => { task(); setTimeout(again, ms); }; setTimeout(again, ms); };
const pass = (ms) => {
  const next = timers.filter((timer) => timer.at <= now + ms).sort((one, other) => one.at - other.at)[0];
  if (!next) { now += ms; return false; }
  const gone = Math.max(0, next.at - now);
  timers = timers.filter((timer) => timer !== next);
  now += gone;
  next.task();
  return ms - gone;
};
const AbortSignal = { timeout: () => null };
const localStorage = { getItem: (key) => (key === "attention-labs-token" ? "ada" : null) };
const window = { address: { token: "" } };
const document = { hidden: false, addEventListener: (name, task) => listeners.push(task) };
const MutationObserver = class { constructor(task) { changed = task; } observe() {} };
const fetch = (path, options) => new Promise((answer, fail) => requests.push({ path, options, answer, fail }));
const answer = (status, text, etag) => requests.at(-1).answer({
  ok: status < 300, status, text: async () => text, json: async () => JSON.parse(text),
  headers: { get: (name) => (name === "ETag" ? etag : null) },
});
const trigger = (event) => triggered.push(event);
let shown = {}, lost = false;
const clock = { dataset: { since: "990" }, textContent: "" };
const state = { dataset: shown, set outerHTML(html) { shown.html = html; }, querySelectorAll: () => [{}, shown] };
const element = {
  querySelector: (selector) => ({
    ".state": state,
    "[data-attempt]": shown.attempt === undefined ? null : { dataset: { attempt: shown.attempt } },
    "[data-live]": shown.live ? {} : null,
    "[data-off]": shown.off === undefined ? null : state,
  }[selector] ?? null),
  querySelectorAll: () => (shown.live ? [clock] : []),
  closest: (selector) => (selector === within ? {} : null),
  classList: { toggle: (name, on) => { lost = on; } },
};
const show = (what) => { for (const key of Object.keys(shown)) delete shown[key]; Object.assign(shown, what); changed(); };
"""


class Browser:
    def __init__(self, within: str = "#state") -> None:
        self._engine = MiniRacer()
        run = "globalThis.run = (text) => JSON.stringify(eval(text) ?? null);"  # V8 has timers of its own, hidden by ours
        self._engine.eval(f"(() => {{ {PAGE} const within = {json.dumps(within)}; {run} {{ {script('watch')} }} }})()")

    def say(self, expression: str):
        return json.loads(self._engine.eval(f"run({json.dumps(expression)})"))

    def show(self, **what) -> None:
        self.say(f"show({json.dumps(what)})")

    def answer(self, status: int, text: str = "", etag: str = "") -> None:
        self.say(f"answer({status}, {json.dumps(text)}, {json.dumps(etag)})")

    def fail(self) -> None:
        self.say('requests.at(-1).fail(new Error("no connection"))')

    def wait(self, ms: float) -> None:
        while (ms := self.say(f"pass({ms})")) is not False:
            pass

    @property
    def asked(self) -> list[str]:
        return self.say("requests.map((request) => request.path)")

    @property
    def headers(self) -> dict[str, str]:
        return self.say("requests.at(-1).options.headers")


@pytest.fixture
def browser():
    return Browser()


def test_nothing_in_work_asks_nothing(browser):
    browser.show(attempt="one")
    browser.wait(10_000)

    assert browser.asked == []


def test_from_the_first_look_to_the_report(browser):
    browser.show(attempt="one", live=True)
    assert browser.asked == ["api/v1/attempts/one/words?wait=4"]
    assert browser.headers == {"Authorization": "Bearer ada"}
    assert browser.say("clock.textContent") == "10 s"

    browser.answer(200, "<p>2 of 7</p>", '"a"')
    assert browser.say("shown.html") == "<p>2 of 7</p>"
    assert browser.headers["If-None-Match"] == '"a"'
    browser.answer(304, etag='"a"')
    assert len(browser.asked) == 3
    assert browser.say("triggered") == []
    browser.answer(200, "", '"b"')
    assert browser.say("triggered") == ["ended"]
    browser.show(attempt="one")
    browser.wait(60_000)

    assert (len(browser.asked), browser.say("triggered")) == (3, ["ended"])


def test_an_end_that_was_not_answered_is_told_again(browser):
    browser.show(attempt="one", live=True)
    browser.answer(200, "", '"b"')
    browser.wait(5_000)
    browser.answer(200, "", '"b"')

    assert browser.say("triggered") == ["ended", "ended"]


def test_another_attempt_is_watched_in_place_of_the_first(browser):
    browser.show(attempt="one", live=True)
    browser.show(attempt="two", live=True)
    browser.say("requests[0].answer({ ok: true, status: 200, text: async () => 'late', headers: { get: () => null } }) ?? 0")

    assert browser.asked == [f"api/v1/attempts/{name}/words?wait=4" for name in ("one", "two")]
    assert browser.say("shown.html") is None


@pytest.mark.parametrize(("within", "room"), [("#exhibit-state", "museum"), ("#hunt-state", "hunt")])
def test_what_another_room_handed_in_is_asked_for_as_its_visitors(within, room):
    browser = Browser(within)
    browser.show(attempt="one", live=True)

    assert browser.asked == [f"api/v1/attempts/one/words?wait=4&room={room}"]


def test_a_lost_connection_is_said_and_found_again(browser):
    browser.show(attempt="one", live=True)
    for _ in range(6):
        browser.fail()
        browser.wait(1_000)
    assert browser.say("lost") is True

    browser.answer(200, "<p>back</p>", '"a"')

    assert browser.say("lost") is False
    assert browser.say("shown.html") == "<p>back</p>"


def test_a_page_that_nobody_sees_holds_no_connection(browser):
    browser.say("document.hidden = true")
    browser.show(attempt="one", live=True)
    assert browser.asked == ["api/v1/attempts/one/words?wait=0"]
    browser.answer(200, "<p>1 of 7</p>", '"a"')
    browser.wait(4_900)
    assert len(browser.asked) == 1

    browser.say("(document.hidden = false, listeners.forEach((task) => task()))")
    browser.wait(0)

    assert browser.asked[1:] == ["api/v1/attempts/one/words?wait=4"]


def test_grading_that_is_off_is_watched_until_it_is_on(browser):
    browser.show(attempt="", off="no walls")
    assert browser.asked == ["api/v1/grading"]
    browser.answer(200, '{"grading": "off", "reason": "no walls"}')
    assert browser.say("triggered") == []
    browser.wait(2_000)
    browser.answer(200, '{"grading": "off", "reason": "no GPU"}')
    assert browser.say("[shown.off, shown.textContent]") == ["no GPU", "no GPU"]
    browser.wait(2_000)
    browser.answer(200, '{"grading": "on", "reason": ""}')

    assert browser.say("triggered") == ["ended"]
