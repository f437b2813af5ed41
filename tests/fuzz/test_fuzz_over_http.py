"""Whatever is sent to an address or to the assistant's door: an answer, or one sentence, and never our fault."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiling import ANY_JSON, changed_json

from tabs.page.identity import Identities
from tabs.web import assistant
from tabs.web.app import MCP, web_app
from tests.grader.course.by_hand import end_by_hand
from tests.tabs.web.server import KEY, LAB, serving
from tests.tabs.web.test_assistant import TOOLS
from tests.tabs.web.test_roles import ROSTER, TABLE

ODD = st.sampled_from(["9" * 5000, "nan", "-inf", "1e400", "-1", "\0", "%", "..", "\u202e", "a" * 3000, "2", "é'--"])
TEXTS = ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = "application/json"
TYPES = (JSON, "text/csv", "text/plain", f"{JSON}; charset=zzz", "multipart/form-data; boundary=x", "\xff")
BODIES = {  # what is right, to be spoilt
    "PUT /class/rules": {"late": {"percent": 5}, "labs": {LAB: {"weights": {"case:random": 1}}}, "counting": "best"},
    "PUT /class/labs/{lab}/due": {"due": "2026-12-01 23:59", "section": ""},
    "PUT /class/labs/{lab}/extensions/{student}": {"due": "2026-12-01T00:00+01:00", "comment": "ill"},
    "PUT /class/labs/{lab}/overrides/{student}": {"points": 3, "comment": "seen"},
    "PUT /me/chosen/{lab}": {"attempt": "0"},
    "POST /attempts": {"lab": LAB, "source": "x = 1", "mode": "check", "prediction": 1.5},
}
DESCRIBED = web_app(None, Identities(KEY)).openapi()["paths"]
QUERIES = sorted(
    {
        parameter["name"]
        for methods in DESCRIBED.values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
)


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A course with an attempt, a learner and an instructor."""
    with serving(tmp_path_factory.mktemp("course")) as found, pytest.MonkeyPatch.context() as patch:
        patch.setattr(assistant, "LONGEST_CHECK_S", 0.01)
        found.attempt = found.hand_in("x = 0")
        end_by_hand(found.course, found.attempt)
        assert found.ask("PUT", "/class/roster", token=found.teacher, data=ROSTER).status == 200
        yield found


def sent(item):
    return json.dumps(item).encode()


@given(data=st.data())
def test_any_request_to_any_address_is_answered(web, data):
    address = data.draw(st.sampled_from(sorted(TABLE)))
    method, _, path = address.partition(" ")
    right = {"lab": LAB, "attempt": web.attempt, "other": web.attempt, "student": "1", "regrade": "none", "form": "plain"}
    for name, value in right.items():
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(data.draw(st.just(value) | TEXTS), safe=""))
    query = urlencode(data.draw(st.dictionaries(st.sampled_from(QUERIES), TEXTS, max_size=2)))
    wanted = BODIES.get(address, TABLE[address].data)
    spoilt = changed_json(wanted).map(sent) if isinstance(wanted, dict) and wanted else st.just(ROSTER.encode())
    body = data.draw(spoilt | ANY_JSON.map(sent) | st.binary(max_size=40))
    token = data.draw(st.sampled_from([web.teacher, web.learner, web.teacher + "\xff", ""]))

    kind = data.draw(st.sampled_from((JSON,) * 3 + TYPES))
    answer = web.ask(method, f"{path}?{query}" if query else path, token=token, data=body, Content_Type=kind)

    assert answer.status < 500, answer.body
    if answer.status >= 400 and not answer.body.startswith((b"Invalid HTTP", b"Not Found")):  # of no address under ours
        assert answer.error.endswith(".") and "\n" not in answer.error and len(answer.error) < 4000


CALLS = [
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {**arguments}}}
    for name, (arguments, *_) in TOOLS.items()
]


@given(data=st.data())
def test_whatever_an_assistant_sends_is_answered(web, data):
    call = json.loads(json.dumps(data.draw(st.sampled_from(CALLS)), default=lambda _: web.attempt))
    if call["params"]["arguments"] and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(call["params"]["arguments"])))
        call["params"]["arguments"][name] = data.draw(ANY_JSON | TEXTS)
        body = sent(call)
    else:
        body = data.draw(changed_json(call).map(sent) | ANY_JSON.map(sent) | st.binary(max_size=40))

    token = data.draw(st.sampled_from([web.learner, "x"]))
    answer = web.ask("POST", MCP, token=token, data=body, Accept=f"{JSON}, text/event-stream", Content_Type=JSON)

    assert answer.status < 500, answer.body
    result = answer.json.get("result", {}) if answer.body else {}
    if result.get("isError"):
        # of what it did not expect the SDK says so much and no more
        assert result["content"][0]["text"] != f"Error executing tool {call['params']['name']}"
