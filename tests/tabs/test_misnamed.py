"""A name that no server can have is refused in a sentence, before an address is made of it; every other name passes."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tabs.page.middleware import Named, app_kwargs

NAMES = ("Host", "X-Forwarded-Host", "X-Gradio-Server")


@pytest.fixture(scope="module")
def browser():
    import httpx
    from gradio.route_utils import get_root_url

    def root(request):
        """As Gradio has it at `/`."""
        found = get_root_url(request, route_path="/", root_path=None)
        return PlainTextResponse(str(httpx.URL(found)))

    return TestClient(Starlette(routes=[Route("/", root)], middleware=[Middleware(Named)]), base_url="http://here")


@pytest.mark.parametrize("header", NAMES)
@pytest.mark.parametrize(
    "name",
    ["[::1", "[]", "[::g]", "here:many", "here:0", "here:65536", "a b", "\x80", "%00", "<b>", "ada@here", "here/in", "x" * 300],
)
def test_a_name_of_no_server_is_refused(browser, header, name):
    answer = browser.get("/", headers={header: name.encode("latin-1")})

    assert (answer.status_code, answer.text) == (400, f"{header.lower()} names no server.\n")


@pytest.mark.parametrize("header", NAMES)
@pytest.mark.parametrize(
    "name",
    [
        "localhost:7860",
        "127.0.0.1",
        "[::1]:7860",
        "ada-labs.hf.space",
        "labs_1.internal",
        "xn--nxasmq6b.example",
        "outer, inner:80",
    ],
)
def test_a_name_of_some_server_passes(browser, header, name):
    if header == "Host" and "," in name:
        pytest.skip("a request has one")
    value = f"http://{name}" if header == "X-Gradio-Server" and "," not in name else name

    answer = browser.get("/", headers={header: value})

    assert answer.status_code == 200
    if header != "X-Gradio-Server" or "," not in name:
        assert answer.text.startswith(f"http://{name.partition(',')[0]}")


def test_it_stands_in_front_of_gradio():
    assert Named in [each.cls for each in app_kwargs(dict)["middleware"]]
