"""What the browser keeps of the hunt: two windows' replies put together, a draft for one round, the place in the address."""

from __future__ import annotations

import json

import pytest
from py_mini_racer import MiniRacer

from tabs.page.scripts import script
from tabs.page.theme import SCRIPTS

ADDRESS = next(path for path in SCRIPTS if path.name == "address.js").read_text(encoding="utf-8")
BROWSER = """
const kept = {}, events = [], steps = [];
const localStorage = {
  getItem: (key) => kept[key] ?? null,
  setItem: (key, text) => { kept[key] = String(text); },
  removeItem: (key) => { delete kept[key]; },
};
const location = { pathname: "/", search: "" };
const go = (kind) => (state, title, to) => {
  location.search = to.slice(to.indexOf("?"));
  steps.push([kind, location.search]);
};
const history = { pushState: go("push"), replaceState: go("replace") };
class Event { constructor(type) { this.type = type; } }
class MutationObserver { observe() {} }
class URLSearchParams {
  constructor(text) { this.pairs = new Map(text.replace("?", "").split("&").filter(Boolean).map((part) => part.split("="))); }
  get(key) { return this.pairs.get(key) ?? null; }
  set(key, value) { this.pairs.set(key, value); }
  delete(key) { this.pairs.delete(key); }
  toString() { return [...this.pairs].map((pair) => pair.join("=")).join("&"); }
}
const listeners = {};
const window = {
  addEventListener: (type, told) => { (listeners[type] ??= []).push(told); },
  dispatchEvent: ({ type }) => { events.push(type); },
};
let checked = null;
const lines = { 7: { checked: false }, 9: { checked: false } };
const document = {
  title: "", documentElement: {}, addEventListener() {}, querySelectorAll: () => [],
  querySelector: (wanted) => wanted.includes(":checked") ? checked : lines[/value="(\\d+)"/.exec(wanted)?.[1]] ?? null,
};
"""
ONE, TWO, THREE = [100, "aa", "mark", False], [160, "aa", "mark", True], [170, "bb", "show", False]


@pytest.fixture
def browser():
    racer = MiniRacer()
    racer.eval(BROWSER)
    racer.eval(ADDRESS)
    return racer


def run(browser, name, *arguments):
    given = ", ".join(json.dumps(each) for each in arguments)
    return json.loads(browser.eval(f"JSON.stringify(({script(name)})({given}) ?? null)"))


def kept(browser, key="attention-labs-hunt"):
    return json.loads(browser.eval(f"kept[{json.dumps(key)}] ?? 'null'"))


def told(*replies, owner=""):
    return json.dumps({"owner": owner, "replies": replies})


def test_replies_of_two_windows_are_put_together(browser):
    run(browser, "keep the replies", told(ONE, TWO))
    run(browser, "keep the replies", told(ONE, THREE))

    assert sorted(kept(browser)["replies"]) == [ONE, TWO, THREE]


def test_those_of_nobody_go_to_an_account_and_those_of_another_do_not(browser):
    run(browser, "keep the replies", told(ONE))
    run(browser, "keep the replies", told(TWO, owner="ada"))
    assert kept(browser) == {"owner": "ada", "replies": [TWO, ONE]}

    run(browser, "keep the replies", told(THREE, owner="bob"))
    assert kept(browser) == {"owner": "bob", "replies": [THREE]}


def test_what_is_kept_goes_with_a_press_with_the_chosen_line(browser):
    run(browser, "keep the replies", told(ONE))
    browser.eval("checked = { value: '9' }")

    token, replies, *rest = run(browser, "recall the replies and the line", "token", "", "aa", "", "cases")

    assert (token, json.loads(replies)["replies"], rest) == ("token", [ONE], ["aa", "9", "cases"])


def test_a_draft_comes_back_in_its_round_and_not_after_it(browser):
    run(browser, "keep the draft of a mend", "aa", "mask", "x = 2", "attempt1")
    browser.eval(
        "kept['attention-labs-hunt:aa'] = JSON.stringify({ ...JSON.parse(kept['attention-labs-hunt:aa']), line: '9' })"
    )

    assert run(browser, "restore the draft of a mend", "aa", None, "x = 1", "") == ["mask", "x = 2", "attempt1"]
    assert browser.eval("lines[9].checked")
    assert run(browser, "restore the draft of a mend", "bb", None, "x = 1", "") == [None, {"__type__": "update"}, ""]
    browser.eval(
        "kept['attention-labs-hunt:aa'] = JSON.stringify({ kind: 'mask', source: 'x = 2', at: Date.now() - 21 * 3600e3 })"
    )
    assert run(browser, "restore the draft of a mend", "aa", None, "x = 1", "") == [None, {"__type__": "update"}, ""]
    assert kept(browser, "attention-labs-hunt:aa") is None


def test_the_first_task_stands_in_the_place_of_the_room_and_the_next_is_a_step(browser):
    browser.eval("location.search = '?tab=labs&room=hunt'")
    run(browser, "settle on the task", "aa")
    run(browser, "follow the task", "bb")
    run(browser, "settle on the task", "bb")

    assert json.loads(browser.eval("JSON.stringify(steps)")) == [
        ["replace", "?tab=labs&room=hunt&task=aa"],
        ["push", "?tab=labs&room=hunt&task=bb"],
    ]
    browser.eval("window.address.follow({ lab: 'lab02', attempt: '' })")
    assert browser.eval("location.search") == "?tab=labs&lab=lab02"


def test_the_room_asks_for_a_task_only_where_it_shows_another(browser):
    given = "{}, () => { asked += 1; }, (later) => later()"
    browser.eval(f"let asked = 0; (function (element, trigger, setTimeout) {{ {script('visit the hunt')} }})({given})")
    assert browser.eval("asked") == 0  # another room is open
    browser.eval("location.search = '?tab=labs&room=hunt'; listeners.moved[0]()")
    assert browser.eval("asked") == 1
    browser.eval("document.querySelector = () => ({ dataset: { task: 'aa' } }); listeners.moved[0]()")
    assert browser.eval("asked") == 1 and browser.eval("location.search") == "?tab=labs&room=hunt&task=aa"
    browser.eval("location.search = '?tab=labs&room=hunt&task=bb'; listeners.moved[0]()")
    assert browser.eval("asked") == 2
