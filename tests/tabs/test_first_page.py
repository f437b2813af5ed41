"""The first picture stands before Gradio does: it answers, and what the reader did with it is kept when Gradio takes over."""

from __future__ import annotations

import asyncio
import gzip
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tabs.page.first_page import MOST_NAMES, FirstPage

PAGE = b"<html><head><title>Gradio</title></head><body><gradio-app></gradio-app></body></html>"
HOST = [(b"host", b"labs.uni.example")]


class Gradio:
    """An app that keeps what it was asked, and answers in two pieces."""

    def __init__(self, status=200):
        self.asked = []
        self.status = status

    async def __call__(self, scope, receive, send):
        self.asked.append(scope)
        await asyncio.sleep(0)  # others are served meanwhile
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:30], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[30:]})


async def asked(app, path="/", *, method="GET", headers=(), query=b""):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": [*headers], "query_string": query}
    await app(scope, None, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


def get(app, *visits):
    """Status, headers and body of what passes through, of the last of visits that come at once."""

    async def all_of_them():
        return await asyncio.gather(*(asked(app, **visit) for visit in visits))

    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's loop runs in this thread once a browser test was here
        return elsewhere.submit(asyncio.run, all_of_them()).result()[-1]


def test_scripts_come_with_the_page():
    status, headers, body = get(FirstPage(Gradio()), {})

    head, _, rest = body.partition(b"</head>")
    assert status == 200
    assert b"window.Figures = {" in head
    assert rest.index(b"Before Gradio starts") < rest.index(b"<gradio-app>")
    assert headers[b"content-length"] == str(len(body)).encode()


def test_many_who_come_at_once_and_later_get_one_page_that_was_made_and_compressed_once():
    app = FirstPage(gradio := Gradio())
    packed = {"headers": [*HOST, (b"accept-encoding", b"gzip, deflate, br")]}

    _, headers, body = get(app, *50 * [packed])
    _, plain, as_it_is = get(app, {"headers": HOST})

    assert len(gradio.asked) == 1
    assert headers[b"content-encoding"] == b"gzip" and headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"content-encoding" not in plain and gzip.decompress(body) == as_it_is
    assert b"Before Gradio starts" in as_it_is


def test_nothing_of_a_visit_stands_in_a_page_but_the_name_that_was_asked():
    """Else it would be shown to whoever comes next; and Gradio answers 500 to a page or a link that it does not know."""
    app = FirstPage(gradio := Gradio())
    own = [(b"cookie", b"session=ada"), (b"authorization", b"Bearer ada"), (b"accept-encoding", b"gzip")]

    get(app, {"headers": [*own, *HOST], "query": b"page=nowhere&deep_link=x"})

    assert (gradio.asked[0]["headers"], gradio.asked[0]["query_string"]) == (HOST, b"")


@pytest.mark.parametrize(
    "other",
    [
        [(b"host", b"other.example")],
        [*HOST, (b"x-forwarded-proto", b"https")],
        [*HOST, (b"x-forwarded-host", b"a.example")],
        [*HOST, (b"x-gradio-server", b"http://b.example")],
    ],
)
def test_each_name_of_the_server_has_a_page_of_its_own(other):
    app = FirstPage(gradio := Gradio())

    for headers in (HOST, other, HOST, other):
        get(app, {"headers": headers})

    assert [each["headers"] for each in gradio.asked] == [HOST, other]


def test_invented_names_fill_no_memory():
    app = FirstPage(Gradio())

    for number in range(MOST_NAMES + 5):
        get(app, {"headers": [(b"host", b"h%d" % number)]})

    assert len(app._kept) == MOST_NAMES


def test_what_is_no_page_is_handed_on_and_not_kept():
    app = FirstPage(gradio := Gradio(503))

    for _ in range(2):
        status, headers, body = get(app, {"headers": [(b"accept-encoding", b"gzip")]})

    assert (status, body, len(gradio.asked)) == (503, PAGE, 2)
    assert headers == {b"content-type": b"text/html", b"content-length": str(len(PAGE)).encode()}


@pytest.mark.parametrize("visit", [{"path": "/assets/a.js"}, {"method": "HEAD"}], ids=["another_path", "head"])
def test_all_else_passes_unchanged(visit):
    app = FirstPage(gradio := Gradio())

    for _ in range(2):
        _, headers, body = get(app, visit)

    assert (body, len(gradio.asked)) == (PAGE, 2)
    assert headers[b"content-length"] == str(len(PAGE)).encode()


@pytest.fixture
def held(open_page, url):
    """held(query): the page without any of Gradio's scripts, and a function that lets them through."""

    def open_held(query, **options):
        waiting, free = [], []
        page = open_page("health", fresh=True, **options)
        page.route("**/assets/*.js", lambda route: route.fallback() if free else waiting.append(route))
        page.goto(url + query, wait_until="commit")

        def release():
            free.append(True)
            for route in waiting:
                route.fallback()

        return page, release

    return open_held


@pytest.mark.browser
def test_the_references_stand_before_gradio_and_stay_as_they_were_left(held):
    page, release = held("?tab=references")
    works = page.locator("details")
    works.nth(1).locator("summary").click()
    page.get_by_role("button", name="Copy BibTeX").click()
    expect(page.locator("#early button:visible")).to_have_text(re.compile("Copied|Selected"))

    release()
    page.locator("#early").wait_for(state="detached")

    expect(page.locator(".references")).to_have_count(1)
    assert works.nth(1).evaluate("work => work.open") and not works.nth(0).evaluate("work => work.open")
    works.nth(0).locator("summary").click()
    page.get_by_role("button", name="Copy BibTeX").first.click()
    expect(page.locator(".references button:visible").first).to_have_text(re.compile("Copied|Selected"))


@pytest.mark.browser
def test_a_figure_answers_before_gradio_and_moves_in(held, course):
    page, release = held("?tab=similarity")
    figure = page.locator("#figure-dot-product")
    field = figure.get_by_role("spinbutton", name="q₁", exact=True)
    expect(page.locator("#early h1")).to_have_text("How much do two vectors agree?")

    field.fill("3")
    expect(figure.locator(".fig-readout").first).to_contain_text("= 2.00")
    release()

    expect(page.locator("#place-dot-product #figure-dot-product")).to_be_visible()
    expect(page.locator("#early")).to_have_count(0)
    expect(figure).to_have_count(1)
    expect(figure.locator(".fig-readout").first).to_contain_text("= 2.00")
    expect(field).to_be_focused()
    field.press("ArrowUp")
    expect(figure.locator(".fig-readout").first).to_contain_text("= 2.05")
    expect(page.get_by_role("tab", name="Similarity", exact=True)).to_have_attribute("aria-selected", "true")


@pytest.mark.browser
@pytest.mark.parametrize("query", ["", "?tab=no-such-tab"], ids=["plain", "unknown_tab"])
def test_the_first_tab_is_read_before_gradio(query, held, course):
    page, release = held(query)
    expect(page.locator("#early #figure-stream svg")).to_be_visible()
    expect(page.locator("#early h1")).to_have_text("Attention kernels")
    expect(page.locator("#early nav [aria-current]")).to_have_text("Start")

    release()

    expect(page.locator("#progress .progress-row").first).to_be_visible()
    expect(page.locator("#early")).to_have_count(0)
    expect(page.locator(".progress")).to_have_count(1)
    expect(page.locator("#place-stream #figure-stream")).to_be_visible()
    expect(page.locator("#figure-stream")).to_have_count(1)


@pytest.mark.browser
def test_a_link_to_a_tabs_second_figure_draws_that_one(held, course):
    page, release = held("?tab=precision&state=block-quantisation.broken", color_scheme="dark")

    expect(page.locator("#early #figure-block-quantisation .fig-notice")).to_contain_text("could not be read")
    expect(page.locator("body")).to_have_class("dark")
    release()

    expect(page.locator("#place-block-quantisation #figure-block-quantisation")).to_be_visible()
    expect(page.locator("#place-bits #figure-bits")).to_be_visible()
    expect(page.locator("#early")).to_have_count(0)


@pytest.mark.browser
def test_a_tab_without_a_figure_waits_for_gradio(held, course):
    page, release = held("?tab=labs")
    expect(page.locator("#early")).to_have_count(0)

    release()

    expect(page.locator("#editor .cm-content")).to_be_visible()
