"""A page of another site asks as nobody, whatever cookies the browser sends along; our own page asks as who one is."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tabs.page.middleware import OwnPages, app_kwargs, own_hosts

SPACE = "ada-labs.hf.space"


def session(request):
    return JSONResponse({"user": request.session.get("user"), "cookies": sorted(request.cookies)})


def sign_in(request):
    request.session["user"] = "ada"
    return JSONResponse({})


@pytest.fixture
def browser():
    """As Gradio does it on a Space: the session is read before anything of ours is asked."""
    routes = [Route("/", session, methods=["GET", "POST"]), Route("/in", sign_in)]
    app = Starlette(routes=routes, middleware=[Middleware(OwnPages, hosts=("labs.uni.example",))])
    app.add_middleware(SessionMiddleware, secret_key="k" * 32, same_site="none", https_only=True)
    with TestClient(app, base_url=f"https://{SPACE}") as found:
        found.get("/in")
        yield found


@pytest.mark.parametrize("origin", [None, f"https://{SPACE}", "https://labs.uni.example"])
def test_our_own_page_asks_as_who_one_is(browser, origin):
    headers = {"Origin": origin} if origin else {}

    assert browser.post("/", headers=headers).json() == {"user": "ada", "cookies": ["session"]}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        f"https://{SPACE}.evil.example",
        f"https://evil.example/{SPACE}",
        f"https://{SPACE}:8443",
        "https://other.hf.space",
        "\xff",
        f"://{SPACE}@evil.example",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_asks_as_nobody(browser, method, origin):
    answer = browser.request(method, "/", headers={"Origin": origin.encode("latin-1")})

    assert answer.json() == {"user": None, "cookies": []}
    assert "null" not in answer.headers.get("set-cookie", "")  # and signs nobody out
    assert browser.post("/").json()["user"] == "ada"


def test_it_stands_before_everything_else():
    assert app_kwargs(dict)["middleware"][0].cls is OwnPages


def test_which_names_are_ours():
    assert own_hosts({"SPACE_HOST": f"{SPACE},labs.example", "GRADER_ADDRESS": "https://labs.uni.example:8443/x"}) == (
        SPACE,
        "labs.example",
        "labs.uni.example:8443",
    )
    assert own_hosts({}) == ()
