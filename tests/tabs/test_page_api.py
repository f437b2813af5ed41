"""The page as a server: policy on events, named endpoints, the limit on bodies, `/health`, the weight of the first page."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlparse

import pytest
import reports
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from tabs import TABS, load_tabs
from tabs.page.identity import Identities
from tabs.page.middleware import BODY_LIMIT

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

    assert named == PUBLIC


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


@pytest.mark.parametrize("path", ["/openapi.json", "/gradio_api/openapi.json", "/gradio_api/upload_progress?upload_id=1"])
def test_what_nobody_needs_is_closed(url, path):
    assert _get(url, path)[0] == 404


def _get(url: str, path: str) -> tuple[int, bytes]:
    where = urlparse(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_health(url, course):
    course.reason = "no walls"

    status, body = _get(url, "/health")

    assert status == 200
    assert json.loads(body)["reason"] == "no walls"


def test_health_of_a_broken_course(url, course, monkeypatch):
    def broken():
        raise OSError("the database is gone")

    from tabs.page.middleware import app_kwargs

    route = app_kwargs(broken)["routes"][0]
    answer = route.endpoint(None)

    assert answer.status_code == 503
    assert b"database" not in answer.body  # what is wrong is for the log


def test_monitoring_is_closed(url):
    assert _get(url, "/gradio_api/monitoring/summary")[0] >= 400


@pytest.mark.browser
def test_the_landing_page_is_light(open_page, url):
    page = open_page("about:blank", address="")
    weight = []
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: weight.append(event["encodedDataLength"]))

    page.goto(url)
    page.locator("#early").wait_for(state="detached")  # Gradio has taken over
    page.wait_for_timeout(1500)  # the server's heartbeat never ends, so the network is never idle

    assert 100_000 < sum(weight) < LANDING_LIMIT


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
