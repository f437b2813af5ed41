"""Ten faults in a row, and the eleventh submission is graded right; nothing is left behind on the device."""

import pytest
import torch

from grader.judge import Judge
from grader.report import Verdict
from labs import load

pytestmark = pytest.mark.gpu
LAB = "lab02_safe_softmax"
HEAD = "import torch, triton, triton.language as tl\n"


def kernel(body, host="k[(1,)](out, x)"):
    return f"{HEAD}\n@triton.jit\ndef k(out_ptr, x_ptr):\n    {body}\n\ndef softmax(x, out):\n    {host}\n"


FAULTS = {
    "illegal_store": kernel("tl.store(out_ptr + (1 << 40), 1.0)"),
    "illegal_load": kernel("tl.store(out_ptr, tl.load(x_ptr + (1 << 42)))"),
    "negative_address": kernel("tl.store(out_ptr - (1 << 40), 1.0)"),
    "trap": kernel(
        'tl.inline_asm_elementwise("trap; mov.u32 $0, 0;", "=r", [], tl.int32, False, 1)\n    tl.store(out_ptr, 1.0)'
    ),
    "hang": kernel("i = 0\n    while tl.load(x_ptr + i, volatile=True) < 1e30:\n        i = 0\n    tl.store(out_ptr, 1.0)"),
    "too_much_scratch": kernel("tl.store(out_ptr, 1.0)", "k[(1,)](torch.empty(1 << 36, device=x.device), x)"),
    "killed_worker": "import os\nos.kill(os.getpid(), 6)\n",
    "exits": "import os\nos._exit(0)\n",
    "past_the_end": kernel("tl.store(out_ptr + 1 + tl.arange(0, 4096), tl.zeros([4096], tl.float32))"),
    "assertion": kernel("tl.device_assert(tl.load(x_ptr) > 1e30, 'no')\n    tl.store(out_ptr, 1.0)"),
}


def test_ten_faults_and_the_eleventh_is_right():
    with Judge(device="cuda") as judge:
        solution = load(LAB).solution.encode()
        assert judge.grade(solution, LAB, mode="check").passed
        torch.cuda.empty_cache()
        before = torch.cuda.mem_get_info()[0]

        verdicts = {name: judge.grade(source.encode(), LAB, mode="check").verdict for name, source in FAULTS.items()}

        assert Verdict.PASSED not in verdicts.values(), verdicts
        assert verdicts["illegal_store"] is Verdict.OUT_OF_BOUNDS
        assert verdicts["hang"] is Verdict.TIME_LIMIT
        assert judge.grade(solution, LAB, mode="check").passed
        torch.cuda.empty_cache()
        assert before - torch.cuda.mem_get_info()[0] < 64 << 20
