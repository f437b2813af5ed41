"""Occupancy against figures worked out by hand from NVIDIA's tables; the anatomy of a record made here, without a GPU."""

import pytest

from grader.judge.binaries.anatomy import anatomy_of, occupancy
from grader.sandbox.record import cubin
from grader.sandbox.record.commands import Alternative, Binary, Choice, Launch, Record
from grader.sandbox.record.gpus import GPUS

KIB = 1024


@pytest.mark.parametrize(
    ("target", "num_warps", "registers", "shared_bytes", "expected"),
    [
        # 64 registers × 32 lanes = 2048 a warp; a quarter of 65536 holds 8 warps: 32 of 64
        pytest.param("sm_90", 4, 64, 0, (8, "registers", 0.5), id="registers"),
        # 65 registers are 72 × 32 = 2304 a warp once rounded: 7 a quarter, 28 warps, 7 blocks
        pytest.param("sm_90", 4, 65, 0, (7, "registers", 28 / 64), id="registers_in_units"),
        pytest.param("sm_90", 4, 168, 227 * KIB, (1, "shared memory", 4 / 64), id="all_shared_memory"),
        pytest.param("sm_80", 4, 32, 64 * KIB, (2, "shared memory", 8 / 64), id="reserved_shared_memory_counts"),
        pytest.param("sm_75", 4, 32, 32 * KIB, (2, "shared memory", 8 / 32), id="nothing_reserved_before_sm_80"),
        pytest.param("sm_90", 8, 32, 0, (8, "warps", 1.0), id="warps"),
        pytest.param("sm_86", 1, 32, 0, (16, "blocks", 16 / 48), id="blocks"),
        pytest.param("sm_89", 1, 32, 0, (24, "blocks", 0.5), id="more_blocks_on_ada"),
        pytest.param("sm_120", 8, 255, 0, (1, "registers", 8 / 48), id="blackwell"),
        pytest.param("sm_90", 16, 255, 0, (0, "registers", 0.0), id="does_not_fit"),
    ],
)
def test_occupancy(target, num_warps, registers, shared_bytes, expected):
    held = occupancy(GPUS[target], num_warps=num_warps, registers=registers, shared_bytes=shared_bytes)

    assert (held.blocks_per_sm, held.limited_by, held.share) == expected


def launch(**changes):
    fields = {
        "binary": 0,
        "kernel": "_copy",
        "grid": (16, 1, 1),
        "num_warps": 4,
        "num_ctas": 1,
        "shared_bytes": 0,
        "cooperative": False,
        "pdl": False,
        "parameters": (),
    }
    return Launch(**{**fields, **changes})


def record_of(*commands):
    return Record(target="sm_90", tensors=(), scratch=(), binaries=(Binary(cubin=b"\x7fELF", ptx=""),), commands=commands)


@pytest.fixture
def facts(monkeypatch):
    kernel = cubin.Kernel(name="_copy", registers=40, frame_bytes=24, parameter_bytes=(8,), threads=128)
    read = cubin.CubinFacts(kernels={"_copy": kernel}, own_memory_bytes=0, read_bytes=0)
    monkeypatch.setattr(cubin, "facts", lambda data: read)


def test_equal_launches_are_counted_together(facts):
    (first, second) = anatomy_of(record_of(launch(), launch(grid=(2, 1, 1), num_ctas=2), launch()))

    assert (first.kernel, first.grid, first.launches) == ("_copy", (16, 1, 1), 2)
    assert (first.registers, first.spill_bytes, first.blocks_per_sm, first.limited_by) == (40, 24, 12, "registers")
    assert (second.grid, second.launches) == ((4, 1, 1), 1)


def test_of_alternatives_the_first_is_shown(facts):
    alternatives = tuple(Alternative(label=str(warps), commands=(launch(num_warps=warps),)) for warps in (2, 8))

    (entry,) = anatomy_of(record_of(Choice(alternatives=alternatives)))

    assert entry.num_warps == 2


def test_a_kernel_that_the_binary_lacks_is_an_error(facts):
    with pytest.raises(cubin.CubinError, match="has no kernel other"):
        anatomy_of(record_of(launch(kernel="other")))
