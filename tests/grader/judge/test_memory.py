"""Lent memory: sealed, NaN-filled, and it tells what was touched."""

import mmap
import os

import pytest
import torch
from doubling_lab import CASE, lab

from grader.judge.case.inputs import prepare
from grader.judge.case.memory import GUARD_BYTES, LentMemory, lay_out
from labs.declaration import Case


@pytest.fixture
def lent():
    prepared = prepare(lab(), Case(name="strided", sizes={"rows": 3, "cols": 40}, strided=("x",)), b"k" * 32)
    layout = lay_out(prepared)
    memory = LentMemory(inputs_bytes=layout.inputs_bytes, out_bytes=layout.out_bytes)
    memory.lend(prepared, layout)
    yield prepared, layout, memory
    memory.close()


def session_view(fd, lent, size):
    mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
    flat = torch.frombuffer(bytearray(mapping[lent.offset :]), dtype=torch.float32)
    return flat.as_strided(lent.shape, lent.strides)


def test_a_session_reads_the_inputs_as_laid_out(lent):
    prepared, layout, memory = lent

    seen = session_view(memory.inputs_fd, layout.inputs[0], layout.inputs_bytes)

    assert torch.equal(seen, prepared.inputs["x"])
    assert not seen.is_contiguous()


def test_inputs_are_sealed_against_writing_and_both_against_resizing(lent):
    _, layout, memory = lent

    with pytest.raises(PermissionError):
        os.pwrite(memory.inputs_fd, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(memory.inputs_fd, layout.inputs_bytes)
    for fd in (memory.inputs_fd, memory.out_fd):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)


def test_gaps_and_guards_are_nan(lent):
    _, layout, memory = lent
    mapping = mmap.mmap(memory.inputs_fd, layout.inputs_bytes, prot=mmap.PROT_READ)

    cells = torch.frombuffer(bytearray(mapping[: layout.inputs_bytes]), dtype=torch.float32)

    assert int((~torch.isnan(cells)).sum()) == 3 * 40


def test_untouched_cells_are_told_from_a_computed_nan(lent):
    _, layout, memory = lent
    os.pwrite(memory.out_fd, torch.tensor([1.0, float("nan")]).numpy().tobytes(), layout.out.offset)

    unwritten = memory.snapshot(layout).unwritten

    assert not unwritten[0, :2].any()
    assert int(unwritten.sum()) == 3 * 40 - 2


@pytest.mark.parametrize(("where", "overrun"), [(-4, (4, 0)), (3 * 40 * 4, (0, 4))], ids=["before", "after"])
def test_a_write_outside_out_is_seen(lent, where, overrun):
    _, layout, memory = lent
    os.pwrite(memory.out_fd, b"\0\0\0\0", layout.out.offset + where)

    assert memory.snapshot(layout).overrun == overrun


def test_a_snapshot_is_private(lent):
    _, layout, memory = lent
    snapshot = memory.snapshot(layout)

    os.pwrite(memory.out_fd, b"\0" * 480, layout.out.offset)

    assert snapshot.unwritten.all()


def test_every_tensor_has_a_guard_on_both_sides():
    layout = lay_out(prepare(lab(), CASE, b"k" * 32))
    first = layout.inputs[0]

    assert first.offset >= GUARD_BYTES
    assert layout.inputs_bytes - first.offset >= GUARD_BYTES


@pytest.mark.parametrize("away", [1, 1024, 4094])
def test_a_write_that_lies_a_kilobyte_away_is_seen_on_both_sides(lent, away):
    """A tile of 1024 float32 cells that is stored without a mask reaches so far."""
    _, layout, memory = lent
    stop = layout.out.offset + 3 * 40 * 4
    for place, side in ((stop + away, 1), (layout.out.offset - 1 - away, 0)):
        before = memory.snapshot(layout).overrun[side]
        os.pwrite(memory.out_fd, b"\0", place)
        assert memory.snapshot(layout).overrun[side] == before + 2
