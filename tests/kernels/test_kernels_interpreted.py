"""The kernels on a CPU: the tests in on_device, in a process of their own, since the interpreter is chosen at import."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ON_DEVICE = Path(__file__).parent / "on_device"
ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in ON_DEVICE.glob("test_*.py"))

pytestmark = [pytest.mark.process, pytest.mark.timeout(len(FILES) * 300)]  # the first waits for all


@pytest.fixture(scope="module")
def interpreted(request, tmp_path_factory):
    """What came of each test, by its file, and what was printed; one process for all that are asked for."""
    asked = [item.callspec.params["tests"] for item in request.session.items if "interpreted" in item.fixturenames]
    told = tmp_path_factory.mktemp("interpreted") / "told.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=0", f"--junitxml={told}"]
        + [str(ON_DEVICE / tests) for tests in asked],
        cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
    )  # fmt: skip
    printed = done.stdout[-8000:] + done.stderr[-2000:]
    assert told.exists(), printed
    found = {}
    for case in ElementTree.parse(told).iter("testcase"):
        came_of_it = [each.tag for each in case if each.tag in ("failure", "error", "skipped")]
        found.setdefault(case.get("classname").rpartition(".")[2] + ".py", []).append((case.get("name"), came_of_it))
    return found, printed


@pytest.mark.slow
@pytest.mark.parametrize("tests", FILES)
def test_kernels_are_right_in_the_interpreter(tests, interpreted):
    found, printed = interpreted

    assert found.get(tests), f"{tests} was not run\n{printed}"
    assert [case for case in found[tests] if case[1]] == [], printed
