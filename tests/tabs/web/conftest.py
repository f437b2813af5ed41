"""A fresh course behind the HTTP interface for every test module; tests talk to it over a real port."""

from __future__ import annotations

import pytest

from tests.tabs.web.server import serving


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("course")) as found:
        yield found
