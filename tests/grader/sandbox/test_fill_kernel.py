"""The kernel that fills: it compiles for every GPU of the course, and on one it writes the pattern there and nowhere else."""

import itertools
import subprocess
from pathlib import Path

import pytest
import torch
import triton

from grader.sandbox.replay import cuda_driver
from grader.sandbox.replay.fill_kernel import NAME, PTX, fill, word_of

pytestmark = pytest.mark.process

TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
PATTERNS = (b"\x5a", b"\x01\x02", b"\x01\x02\x03\x04", b"\x01\x02\x03\x04\x05\x06\x07\x08")
UNTOUCHED = 0xEE


@pytest.mark.parametrize("target", TARGETS)
def test_it_compiles_without_spilling(target, tmp_path):
    source = tmp_path / "fill.ptx"
    source.write_text(PTX)
    ptxas = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    command = [ptxas, "--verbose", f"--gpu-name={target}", source, f"--output-file={tmp_path / 'fill.cubin'}"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert f"Function properties for {NAME}" in done.stderr
    assert "0 bytes spill stores" in done.stderr


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("address", range(16))
def test_the_word_at_a_multiple_of_eight_continues_the_pattern(pattern, address):
    repeated = pattern * 16

    word = word_of(pattern, address)

    first = -address % 8  # the first multiple of eight at or behind the address
    assert word == repeated[first : first + 8]


@pytest.mark.gpu
@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_fills_what_it_is_told_and_nothing_else(pattern):
    """Every place of the beginning within 16 bytes, lengths within one stretch, across some, and across two blocks."""
    memory = torch.empty(1 << 16, dtype=torch.uint8, device="cuda")
    stream = cuda_driver.Stream()
    lengths = (1, 2, 3, 15, 16, 17, 64, 4096, 4097, 10_001)
    for start, count in itertools.product(range(16), lengths):
        size = count * len(pattern)
        if start + size + 16 > len(memory):
            continue
        memory.fill_(UNTOUCHED)
        torch.cuda.synchronize()

        fill(stream, memory.data_ptr() + 16 + start, size, pattern)
        stream.synchronize()

        found = memory.cpu().numpy().tobytes()
        begin, end = 16 + start, 16 + start + size
        assert found[begin:end] == pattern * count, (start, count)
        assert set(found[:begin] + found[end:]) <= {UNTOUCHED}, (start, count)
