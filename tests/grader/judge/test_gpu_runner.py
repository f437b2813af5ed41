"""What goes wrong on the GPU before a submission's kernel is launched is our fault, and said to be."""

import types

import pytest

from grader.faults import GraderError, SandboxError
from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out
from grader.judge.gpu import replayer as replaying
from grader.judge.gpu import runner as gpu_runner
from grader.judge.gpu.replayer import Replayer, ReplayFault
from grader.judge.recording import RecordedCase
from grader.sandbox.replay.cuda_driver import DriverError
from labs import load

FOLDER = load("lab02_safe_softmax")
CASE = FOLDER.lab.cases[0]


@pytest.fixture
def prepared():
    return prepare(FOLDER.lab, CASE, bytes(32), device="cpu")


@pytest.fixture
def conversation(monkeypatch):
    """A replayer's process that answers what it is told to, by kind; `stopped` counts."""

    class Conversation:
        answers = {"open": ("opened", {"l2_bytes": 1 << 20})}
        stopped = 0

        def send(self, message):
            self.asked = message["kind"]

        def send_raw(self, blob):
            pass

        def receive(self, limit_s, *, cancelled):
            return self.answers.get(self.asked, ("ok", {}))

        def stop(self):
            self.stopped += 1

    made = Conversation()
    monkeypatch.setattr(replaying, "start_replayer", lambda limits, *, lock_fd: made)
    return made


def fault(name):
    return "fault", {"error_type": name}


def test_no_room_for_what_is_lent_is_our_fault(monkeypatch, conversation, prepared):
    def full(layout):
        raise DriverError("cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(gpu_runner, "DeviceSet", full)
    recorded = RecordedCase(record=types.SimpleNamespace(), blob=b"")
    with (
        gpu_runner.GpuRunner(FOLDER.lab, lock_fd=-1, cancelled=lambda: False) as runner,
        pytest.raises(GraderError, match=f"{CASE.name} could not be had on this GPU .*OUT_OF_MEMORY"),
    ):
        runner.run(prepared, recorded)

    assert conversation.stopped == 1


@pytest.mark.parametrize(("kind", "error"), [("record", ReplayFault), ("bind", SandboxError)])
def test_scratch_is_the_submissions_and_what_is_lent_is_ours(conversation, prepared, kind, error):
    conversation.answers = {**conversation.answers, kind: fault("CUDA_ERROR_OUT_OF_MEMORY")}
    buffer = types.SimpleNamespace(lent={"handle": "", "bytes": 0})
    lent = types.SimpleNamespace(layout=lay_out(prepared), inputs=buffer, out=buffer)
    with Replayer(lock_fd=-1, cancelled=lambda: False) as replayer, pytest.raises(error, match="OUT_OF_MEMORY"):
        replayer.load("case", b"record", FOLDER.lab.arguments, [lent])


def test_a_replayer_that_cannot_compile_our_fill_is_our_fault(conversation):
    conversation.answers = {"open": fault("CUDA_ERROR_JIT_COMPILER_NOT_FOUND")}
    with pytest.raises(SandboxError, match="JIT_COMPILER_NOT_FOUND"):
        Replayer(lock_fd=-1, cancelled=lambda: False)
    assert conversation.stopped == 1
