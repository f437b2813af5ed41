"""The kernels on a CPU: the tests in on_device, in a process of their own, since the interpreter is chosen at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ON_DEVICE = Path(__file__).parent / "on_device"
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("tests", sorted(path.name for path in ON_DEVICE.glob("test_*.py")))
def test_kernels_are_right_in_the_interpreter(tests):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=0", str(ON_DEVICE / tests)],
        cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
