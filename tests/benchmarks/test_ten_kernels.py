"""The ten kernels that are compared with Triton's own launches are recorded without a GPU, each with what it is there for."""

import pytest

from benchmarks.replayed import record
from benchmarks.ten_kernels import KERNELS
from grader.sandbox.process.door import Sandbox
from grader.sandbox.record.commands import Choice, Fill, Launch, TensorMap

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def made():
    with Sandbox() as sandbox:
        yield {
            kernel.name: record(sandbox, kernel.lab, kernel.source, kernel.small, "sm_90", device="cpu").record
            for kernel in KERNELS
        }


def kinds(record):
    return [type(command) for command in record.commands]


def test_there_are_ten_and_each_is_recorded(made):
    assert len(made) == 10
    assert all(any(record.every_launch()) for record in made.values())


def test_each_holds_what_it_is_there_for(made):
    assert kinds(made["autotuned"]) == [Choice]
    assert len(made["autotuned"].commands[0].alternatives) == 4
    assert kinds(made["three_launches"]) == [Launch] * 3
    assert kinds(made["split_kv"]) == [Fill, Fill, Launch, Launch]
    assert made["attention_device_descriptors"].scratch_bytes > 0
    maps = [item for item in made["attention_host_descriptors"].commands[0].parameters if isinstance(item, TensorMap)]
    assert [item.buffer for item in maps] == ["query", "key", "value", "out"]
    first, second = made["cluster_and_pdl"].commands
    assert (first.num_ctas, first.pdl, second.num_ctas, second.pdl) == (2, False, 1, True)
    assert made["atomic"].commands[0].buffer == "out"
