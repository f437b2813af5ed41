"""The page as a server: policy on events, named endpoints, the limit on bodies, `/health`, the weight of the first page."""

from __future__ import annotations

import http.client
import inspect
import json
import re
from urllib.parse import urlparse

import gradio.routes
import httpx
import pytest
import reports
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from grader.course.tally import Counted
from tabs import TABS, load_tabs
from tabs.page.exposition import exposition
from tabs.page.identity import Identities
from tabs.page.middleware import BODY_LIMIT, CLOSED

PUBLIC = {"labs", "submit", "status", "report"}
LANDING_LIMIT = 600_000  # bytes over the wire


@pytest.fixture(scope="module")
def client(url):
    client = Client(url, verbose=False, httpx_kwargs={"timeout": 60})  # s; a loaded machine is no failure
    yield client
    client.close()


def test_every_tab_has_its_names():
    tabs = load_tabs()

    assert len({tab.ID for tab in tabs}) == len(TABS)
    assert all(tab.TITLE and callable(tab.build) for tab in tabs)


def test_every_event_says_whether_it_is_public(client):
    named = {name.removeprefix("/") for name in client.view_api(return_format="dict")["named_endpoints"]}

    assert named >= PUBLIC
    assert not named - PUBLIC, "an event of the page lacks api_visibility='private'"


def test_labs_are_listed(client):
    listed = client.predict(api_name="/labs")

    found = next(lab for lab in listed if lab["id"] == "lab02_safe_softmax")
    assert found["arguments"] == ["x", "out"]
    assert "def softmax" in found["starter"]


def test_submit_status_report(client, course):
    sent = client.predict("lab02_safe_softmax", "x = 1", "check", None, "", api_name="/submit")

    asked = (sent["attempt"], sent["token"])
    assert client.predict(*asked, api_name="/status")["state"] == "queued"
    assert client.predict(*asked, api_name="/report") == {}
    course.finish(sent["attempt"], reports.wrong())
    report = client.predict(*asked, api_name="/report")
    assert report["verdict"] == "wrong_answer"
    assert list(report)[:7] == ["lab", "title", "mode", "device", "verdict", "diagnosis", "facts"]


def test_a_token_keeps_its_owner(client, course):
    first = client.predict("lab02_safe_softmax", "x = 1", "check", None, "", api_name="/submit")
    second = client.predict("lab02_safe_softmax", "x = 2", "check", None, first["token"], api_name="/submit")

    assert second["token"] == first["token"]
    assert course.owners[first["attempt"]] == course.owners[second["attempt"]]


@pytest.mark.parametrize(
    "token", ["", "ada", Identities(b"the key of another server").issue().token], ids=["none", "a_name", "of_another_server"]
)
def test_nobody_reads_someone_elses_attempt(client, course, token):
    sent = client.predict("lab02_safe_softmax", "x = 1", "check", None, "", api_name="/submit")

    with pytest.raises(AppError, match="no valid token"):
        client.predict(sent["attempt"], token, api_name="/report")


def test_another_identity_does_not_either(client, course):
    sent = client.predict("lab02_safe_softmax", "x = 1", "check", None, "", api_name="/submit")
    other = client.predict("lab02_safe_softmax", "x = 1", "check", None, "", api_name="/submit")

    with pytest.raises(AppError, match="no attempt"):
        client.predict(sent["attempt"], other["token"], api_name="/status")


def test_a_refusal_is_one_sentence(client, course):
    with pytest.raises(AppError, match="The source is empty"):
        client.predict("lab02_safe_softmax", "  ", "check", None, "", api_name="/submit")


def _post(url: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    where = urlparse(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    try:
        connection.request("POST", path, body=body, headers=headers, encode_chunked="Transfer-Encoding" in headers)
        return connection.getresponse().status
    except ConnectionError:  # cut off before it had sent everything
        return 413
    finally:
        connection.close()


def test_a_body_above_the_limit_is_turned_away(url):
    body = json.dumps({"data": ["x" * BODY_LIMIT], "fn_index": 0, "session_hash": "s"}).encode()

    assert _post(url, "/gradio_api/queue/join", body, {"Content-Type": "application/json"}) == 413


def test_a_chunked_body_is_cut_off(url):
    def chunks():
        for _ in range(BODY_LIMIT // 65536 + 4):
            yield b" " * 65536

    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    assert _post(url, "/gradio_api/queue/join", chunks(), headers) >= 400


@pytest.mark.parametrize("length", ["-1", "many"])
def test_a_nonsense_length_is_turned_away(url, length):
    assert _post(url, "/gradio_api/queue/join", b"", {"Content-Length": length}) >= 400


@pytest.mark.parametrize(
    "path", ["/gradio_api/upload", "/gradio_api/upload?upload_id=1", "/gradio_api//upload", "/gradio_api/process_recording"]
)
def test_uploads_are_closed(url, path):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhello\r\n--x--\r\n'

    assert _post(url, path, body, {"Content-Type": "multipart/form-data; boundary=x"}) == 404


NOBODYS = """
/openapi.json /gradio_api/openapi.json /gradio_api/upload_progress?upload_id=1 /gradio_api/deep_link?session_hash=x
/gradio_api/dev/reload /gradio_api/vibe-code/ /monitoring /monitoring/x /gradio_api/stream/a/b/1/playlist.m3u8 /gradio_api/runs
"""


@pytest.mark.parametrize("path", NOBODYS.split())
def test_what_nobody_needs_is_closed(url, path):
    assert _get(url, path)[0] == 404


# What the page and its programs ask of Gradio, or what does nothing here: the first part of a path.
OPEN = {
    "user",
    "login_check",
    "token",
    "app_id",
    "login",
    "logout",
    "svelte",
    "info",
    "config",
    "static",
    "custom_component",
    "assets",
    "favicon.ico",
    "proxy",
    "file",
    "reset",
    "heartbeat",
    "run",
    "api",
    "call",
    "queue",
    "cancel",
    "startup-events",
    "theme.css",
    "robots.txt",
    "pwa_icon",
    "manifest.json",
}


def test_every_route_of_gradio_is_known():
    """A new version's routes are looked at before anybody can ask them: some write files for whoever asks."""
    paths = re.findall(r"@(?:app|router)\.\w+\(\s*\"/([^\"]*)\"", inspect.getsource(gradio.routes))
    first = {re.split(r"[/=]", path.removeprefix("gradio_api/"))[0] for path in paths} - {""}

    assert len(first) > 30
    assert first - OPEN - CLOSED == set()


def _get(url: str, path: str) -> tuple[int, bytes]:
    where = urlparse(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_health_is_503_where_grading_is_off(url, course):
    assert _get(url, "/health")[0] == 200
    course.reason = "no walls"

    status, body = _get(url, "/health")

    assert status == 503
    assert json.loads(body)["reason"] == "no walls"


def test_metrics_are_served_whatever_is_off(url, course):
    course.reason = "no walls"

    status, body = _get(url, "/metrics")

    assert status == 200
    assert b"grader_grading 0.0\n" in body and b'grader_state{state="off"} 1.0\n' in body


def test_metrics_add_up_what_the_database_and_the_processes_say():
    ada = {"id": "one/cpu", "alive": True, "state": "ready", "counts": {"attempts": 3, "busy_s": 4.5, "phases": {"running": 4}}}
    dead = {"id": "two/cpu", "alive": False, "state": "ready", "counts": {"attempts": 9}}
    health = {"grading": "on", "state": "on", "device": "cuda", "restoring": 7, "processes": [ada, dead]}
    tally = [
        Counted("lab02", "check", "cuda", "done", "passed", 5),
        Counted("lab02", "check", "cuda", "queued", "", 2),
        Counted("lab05", "check", "cuda", "queued", "", 1),
    ]

    lines = exposition(health, lambda: tally).decode().splitlines()

    wanted = [
        'grader_attempts_total{device="cuda",lab="lab02",mode="check",state="done",verdict="passed"} 5.0',
        'grader_queue{device="cuda",mode="check",state="queued"} 3.0',
        'grader_queue{device="cuda",mode="submit",state="running"} 0.0',
        'grader_processes{state="ready"} 1.0',
        'grader_process_attempts_total{process="one/cpu"} 3.0',
        'grader_process_busy_seconds_total{process="one/cpu"} 4.5',
        'grader_process_not_stored_total{process="one/cpu"} 0.0',
        'grader_gpu_held_seconds_total{process="one/cpu"} 4.0',
        "grader_restoring 7.0",
    ]
    assert not [line for line in wanted if line not in lines], lines
    assert not [line for line in lines if "two/cpu" in line]


def test_health_of_a_broken_course(url, course, monkeypatch):
    def broken():
        raise OSError("the database is gone")

    from tabs.page.middleware import app_kwargs

    route = app_kwargs(broken)["routes"][0]
    answer = route.endpoint(None)

    assert answer.status_code == 503
    assert b"database" not in answer.body  # what is wrong is for the log
    assert b'state="broken"' in app_kwargs(broken)["routes"][1].endpoint(None).body


def test_monitoring_is_closed(url):
    assert _get(url, "/gradio_api/monitoring/summary")[0] >= 400


@pytest.mark.browser
def test_the_landing_page_is_light(open_page, url):
    page = open_page("about:blank", address="", fresh=True)
    names, weight = {}, {}
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.requestWillBeSent", lambda event: names.update({event["requestId"]: event["request"]["url"]}))
    network.on("Network.loadingFinished", lambda event: weight.update({event["requestId"]: event["encodedDataLength"]}))

    page.goto(url)
    page.locator("#early").wait_for(state="detached")  # Gradio has taken over
    page.wait_for_timeout(1500)  # the server's heartbeat never ends, so the network is never idle

    heaviest = sorted(((size, names[request]) for request, size in weight.items()), reverse=True)
    assert 100_000 < sum(weight.values()) < LANDING_LIMIT, "\n".join(f"{size} {name}" for size, name in heaviest)


@pytest.mark.browser
def test_every_tab_opens_without_a_complaint(open_page, course):
    page = open_page("?tab=references")
    for tab in reversed(load_tabs()):
        page.get_by_role("tab", name=tab.TITLE, exact=True).click()
        panel = page.get_by_role("tabpanel").filter(visible=True).first  # the Labs tab holds tabs of its own
        expect(panel).not_to_be_empty()
        page.wait_for_timeout(300)


@pytest.mark.browser
def test_a_link_opens_its_tab(open_page, course):
    page = open_page("?tab=memory")

    expect(page.get_by_role("tab", name="Memory", exact=True)).to_have_attribute("aria-selected", "true")


@pytest.mark.browser
def test_a_link_to_no_tab_opens_the_first(open_page, course):
    page = open_page("?tab=nowhere")

    expect(page.get_by_role("tab", name="Start", exact=True)).to_have_attribute("aria-selected", "true")


def test_a_figure_is_a_file_that_may_be_kept(url):
    """Its name is in the page's configuration; what has no name of ours is not there."""
    page = httpx.get(url, timeout=60).text
    name = re.search(r"figures/([0-9a-f]{16}\.js)", page)[0]

    answer = httpx.get(url + name, timeout=60)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text.startswith("export default (element, props, trigger, watch) =>")
    assert httpx.get(url + "figures/0123456789abcdef.js", timeout=60).status_code == 404
