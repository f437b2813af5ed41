"""What watches over every test of a page: a request that leaves this machine is seen, also one that nobody waits for."""

import pytest

from benchmarks.chromium import HERE, chromium

ASKING = {
    "picture": "new Image().src = 'http://a.host.example/x.png'",
    "fetch": "fetch('https://a.host.example/x').catch(() => {})",
    "beacon": "navigator.sendBeacon('https://a.host.example/x', 'y')",
    "number": "new Image().src = 'http://192.0.2.1/x.png'",
}


@pytest.mark.browser
@pytest.mark.process
def test_a_request_to_another_machine_fails_and_is_told():
    with chromium(only_here=True) as browser:
        page = browser.new_page()
        for way, script in ASKING.items():
            with page.expect_event("requestfailed", timeout=30_000) as failed:
                page.evaluate(f"() => {{ {script} }}")

            assert HERE not in failed.value.url, way
            assert "ERR_NAME_NOT_RESOLVED" in failed.value.failure, way
