"""On a Space with ZeroGPU, where torch pretends a GPU that no process of ours can use: graded on the CPU, and said so."""

import pytest
import torch

from grader.__main__ import main
from grader.course import Course, zero_gpu
from tabs.labs.desk import Desk
from tabs.page.identity import Identities

PACKAGE = '''
"""As ZeroGPU's own: what is decorated runs in a process that is lent the GPU and dies; a Space without any is ended."""
import torch

NAMED = []
torch.cuda.is_available = lambda: True


def GPU(function):
    NAMED.append(function)
    return function


def startup():
    if not NAMED:
        raise RuntimeError("No @spaces.GPU function detected during startup")
'''


@pytest.fixture
def spaces(tmp_path, monkeypatch):
    (tmp_path / "spaces.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # put back afterwards, whatever the package does
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    spaces = pytest.importorskip("spaces")
    yield spaces
    monkeypatch.delitem(__import__("sys").modules, "spaces")


def test_the_pretended_gpu_does_not_grade_and_the_space_starts(spaces, monkeypatch):
    assert torch.cuda.is_available()
    assert zero_gpu.device() == "cpu"
    with pytest.raises(RuntimeError):
        spaces.startup()
    zero_gpu.name_a_borrower()
    spaces.startup()

    monkeypatch.delenv("SPACES_ZERO_GPU")
    assert zero_gpu.device() == "cuda"


def test_health_the_labs_and_the_terminal_say_it(spaces, tmp_path, capsys, monkeypatch):
    with Course(tmp_path) as course:
        said = Desk(course, Identities(b"a key for tests, long enough")).submits_left("lab02_safe_softmax", None)

        assert course.health()["note"] == zero_gpu.NOTE
        assert zero_gpu.NOTE in said
        assert main(["selftest", "--device", "cuda"]) == 2
        assert zero_gpu.NOTE in capsys.readouterr().err
        monkeypatch.setenv("SPACES_ZERO_GPU", "")
        assert course.health()["note"] == ""
    with Course(tmp_path, device="cuda") as course:
        assert course.health()["note"] == ""
