"""What watches over every test of a page: a request that leaves this machine is seen, also one that nobody waits for."""

import pytest
from visitor import Visitor

from benchmarks.chromium import HERE

ASKING = {
    "picture": "new Image().src = 'http://a.host.example/x.png'",
    "fetch": "fetch('https://a.host.example/x').catch(() => {})",
    "beacon": "navigator.sendBeacon('https://a.host.example/x', 'y')",
    "number": "new Image().src = 'http://192.0.2.1/x.png'",
}


@pytest.mark.browser
@pytest.mark.parametrize("way", ASKING)
def test_a_request_to_another_machine_fails_and_is_told(chromium, way):
    page = chromium.new_page()
    with page.expect_event("requestfailed", timeout=30_000) as failed:
        page.evaluate(f"() => {{ {ASKING[way]} }}")

    assert HERE not in failed.value.url
    assert "ERR_NAME_NOT_RESOLVED" in failed.value.failure
    page.close()


@pytest.mark.browser
def test_a_browser_that_another_test_gets_has_said_everything_and_is_nobodys(chromium, url):
    visitor = Visitor(chromium, {"viewport": {"width": 800, "height": 600}})
    of_this_test = visitor.complaints
    visitor.page.goto(f"{url}health")
    visitor.page.emulate_media(media="print")
    visitor.page.evaluate(
        "localStorage.a = sessionStorage.b = 'c'; document.cookie = 'd=e'; setTimeout(() => console.error('late'))"
    )

    assert visitor.forget(url)

    visitor.page.goto(f"{url}health")
    assert of_this_test == ["console: late"] and visitor.complaints == []
    assert visitor.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert not visitor.page.evaluate("matchMedia('print').matches")
    visitor.close()
