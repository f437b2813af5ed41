"""What the page's tests share: the page served over a course that a test moves by hand, and a browser that forgives nothing."""

from __future__ import annotations

import collections
import contextlib
import gc
import itertools
import warnings
from pathlib import Path

import pytest
from driving import free_port
from fake_course import FakeCourse
from playwright.sync_api import expect
from visitor import Visitor

from benchmarks.chromium import chromium as started
from tabs import load_tabs

# Gradio and its client leave event loops and sockets to the garbage collector; which test runs then is chance.
LEFT_BY_GRADIO = ("ignore:unclosed event loop:ResourceWarning", "ignore:unclosed <socket:ResourceWarning")

# As Back and Forward do, and links within the page.
GO = "query => { history.pushState(null, '', query); dispatchEvent(new Event('popstate')); }"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for leftover in LEFT_BY_GRADIO:
                item.add_marker(pytest.mark.filterwarnings(leftover))


@pytest.fixture(scope="package")
def fake_course():
    return FakeCourse()


@pytest.fixture
def course(fake_course):
    """The served page's course, on and willing."""
    fake_course.reason = fake_course.refusal = ""
    yield fake_course
    fake_course.reason = fake_course.refusal = ""


@pytest.fixture(scope="package")
def url(fake_course):
    """Address of the whole page, served from this process; ends with a slash."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADER_IDENTITY_KEY", "a key for tests, long enough")
        patch.delenv("OAUTH_CLIENT_ID", raising=False)
        import app

        page = app.build(fake_course)
        where = {"server_name": "127.0.0.1", "server_port": free_port()}
        _, address, _ = app.launch(page, fake_course, prevent_thread_lock=True, quiet=True, **where)
        yield address
        page.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def chromium():
    """One Chromium for all tests."""
    expect.set_options(timeout=30_000)  # ms; a loaded machine is no failure
    with started(only_here=True) as browser:
        yield browser


@pytest.fixture(scope="session")
def idle(chromium):
    """Visitors whom no test has, by the options of their context."""
    idle = collections.defaultdict(list)
    yield idle
    for visitor in itertools.chain(*idle.values()):
        visitor.close()


@contextlib.contextmanager
def visits(chromium, idle, request):
    """See `open_page`."""
    opened, complaints = [], []

    def open_page(query="", *, address=None, fresh=False, **options):
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        waiting = idle[repr(options)]
        visitor = waiting.pop() if waiting and not fresh else Visitor(chromium, options)
        visitor.complaints = complaints
        address = request.getfixturevalue("url") if address is None else address
        opened.append((visitor, None if fresh else address))
        page = visitor.page
        page.goto(address + query)
        page.locator("#early").wait_for(state="detached")  # Gradio has taken over
        if page.locator("gradio-app").count():
            page.wait_for_function("localStorage.getItem('attention-labs-token')")  # … and this browser is somebody
        return page

    yield open_page
    for visitor, address in opened:
        if address is not None and visitor.forget(address):
            idle[repr(visitor.options)].append(visitor)
        else:
            visitor.close()
    assert not complaints


@pytest.fixture
def open_page(chromium, idle, request):
    """open_page("?tab=labs", …context options) gives a page. At the end: no request left this machine, no error was seen.

    `address`: of another server than the one over the course that is moved by hand. `fresh`: a browser that was nowhere before,
    and that no other test gets, for one that measures a first visit or holds its requests up.
    """
    with visits(chromium, idle, request) as opened:
        yield opened


@pytest.fixture(scope="module")
def open_for_all(chromium, idle, request):
    """As `open_page`, for a page that the tests of a file share, each of which clears what it looks at."""
    with visits(chromium, idle, request) as opened:
        yield opened


@pytest.fixture(scope="module")
def turned_to(open_for_all):
    """turned_to("memory", …context options): one page for the tests of a file that ask for it alike, and that tab on top."""
    titles, pages = {tab.ID: tab.TITLE for tab in load_tabs()}, {}

    def turn(tab, **options):
        page = pages.get(repr(options))
        if page is None:
            page = pages[repr(options)] = open_for_all(f"?tab={tab}", **options)
        else:
            page.emulate_media(media="screen")  # a test may have printed it
            page.evaluate(GO, f"?tab={tab}")
        expect(page.get_by_role("tab", name=titles[tab], exact=True).first).to_have_attribute("aria-selected", "true")
        return page

    return turn
