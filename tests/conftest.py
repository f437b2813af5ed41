"""What every test gets: a skip with a reason, and under pytest-xdist (`make test`) a process that fits it."""

import os
import subprocess
import sys

import pytest
import torch

# Hundreds of processes import our modules, and each would compile them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Handed out in this order, what takes longest first, so that the processes end together. Pages come last: Playwright and Gradio
# leave event loops and sockets in their process, over which tests of other parts would stumble.
ORDER = ("tests/labs/", "tests/kernels/", "tests/grader/course/", "tests/grader/", "tests/")
ORDER += (
    "tests/tabs/test_widgets_browser.py",
    "tests/tabs/test_labs_tab_browser.py",
    "tests/tabs/test_page_axe.py",
    "tests/tabs/",
)
# Tests of such a folder share what takes long to make, the judge and all that it graded; elsewhere those of a file do.
TOGETHER = "tests/labs/"
# Fixtures behind which a process stands: a session, a compiler, a grading process, a browser. Who uses one is marked `process`.
PROCESSES = {
    "sandbox",
    "judge",
    "cpu_judge",
    "gpu_judge",
    "siege_judge",
    "cubin_bytes",
    "graded",
    "begun",
    "service",
    "running",
    "url",
    "open_page",
    "open_for_all",
    "turned_to",
    "chromium",
}
# Hostile texts and states by the hundred: a second or two each, and all of them minutes.
BY_THE_HUNDRED = (
    "tests/fuzz/",
    "tests/grader/judge/siege/",
    "tests/grader/judge/test_accounts.py",
    "tests/tabs/figures/test_says_",
)
torch.set_num_threads(1)  # as a grading process; a second thread costs more than it saves where two processes test
QUICK = os.environ.get("QUICK") == "1"  # `make quick`: nothing that starts a process
os.environ.setdefault("GRADER_WORKERS", "1")  # beside a page; the cores are the tests'


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs an NVIDIA GPU; torch.cuda.is_available() is False")
        for item in items:
            if item.get_closest_marker("gpu") is not None:
                item.add_marker(skip)
    for item in items:
        if PROCESSES & set(item.fixturenames):
            item.add_marker(pytest.mark.process)
        if item.nodeid.startswith(BY_THE_HUNDRED):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: _turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "load":
        return None  # somebody asked for another
    # Not --dist=loadgroup: pytest-xdist 3.8.0 writes groups where pytest 9.2 does not read them, and scatters the tests.
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if torch.cuda.is_available():
                return "one after the other: tests of a GPU measure times"
            return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # the order is ours
    return Scheduling(config, log)


def _turn(nodeid):
    return ORDER.index(max((place for place in ORDER if nodeid.startswith(place)), key=len))


@pytest.fixture(autouse=QUICK)
def starts_no_process(monkeypatch):
    """In `make quick` a test that starts a process fails, and says how it is left out."""

    def refused(*_arguments, **_options):
        pytest.fail("this test starts a process: mark it `process`, and `make quick` leaves it to `make test`", pytrace=False)

    for module, name in ((os, "fork"), (os, "posix_spawn"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, refused)
