"""A record on a pretended driver: commands in their order, on the right addresses, and no overlap between two calls."""

import dataclasses

import pytest

from grader.sandbox.record.commands import Alternative, Binary, Choice, Fill, Launch, Pointer, Record, Scalar
from grader.sandbox.replay import loaded_record

SCRATCH = 0x1000_0000
SETS = ({"x": 0x2000, "out": 0x3000}, {"x": 0x4000, "out": 0x5000})


def launch(name, *, pdl=False, parameters=()):
    return Launch(
        binary=0,
        kernel=name,
        grid=(2, 1, 1),
        num_warps=4,
        num_ctas=1,
        shared_bytes=0,
        cooperative=False,
        pdl=pdl,
        parameters=parameters,
    )


@pytest.fixture
def done(monkeypatch):
    """What the driver was told, in order."""
    told = []

    class Function:
        def __init__(self, binary, name, *, shared_bytes, cluster):
            self._name = name

        def launch(self, stream, shape, parameters):
            told.append((self._name, shape.programmatic, parameters))

    class Stream:
        def fill(self, address, size, pattern):
            told.append(("fill", address, size, pattern))

    monkeypatch.setattr(loaded_record, "Function", Function)
    monkeypatch.setattr(loaded_record, "fill", lambda stream, *what: told.append(("fill", *what)))
    monkeypatch.setattr(loaded_record, "Parameters", tuple)
    monkeypatch.setattr(loaded_record.cuda_driver, "allocate", lambda size: SCRATCH)
    told.append(Stream())
    return told


def loaded(*commands):
    record = Record(target="sm_90", tensors=(), scratch=(64,), binaries=(Binary(cubin=b"", ptx=""),), commands=tuple(commands))
    made = loaded_record.LoadedRecord(record)
    made.sets.extend(SETS)
    return made


def names(done):
    return [name for name, *_ in done[1:]]


def test_commands_come_in_order_and_on_the_sets_own_addresses(done):
    parameters = (Pointer(buffer="x", offset=8), Pointer(buffer=0, offset=4), Scalar(type="i32", data=b"\1\0\0\0"))
    fill = Fill(buffer="out", offset=16, size=32, pattern=b"\0")
    made = loaded(fill, launch("k", parameters=parameters))

    made.launch_set(done[0], 1, [])

    address = SETS[1]["x"] + 8
    bound = (address.to_bytes(8, "little"), (SCRATCH + 4).to_bytes(8, "little"), b"\1\0\0\0")
    assert done[1:] == [("fill", SETS[1]["out"] + 16, 32, b"\0"), ("k", False, bound)]


def test_a_choice_takes_the_alternative_that_was_chosen(done):
    alternatives = tuple(Alternative(label="", commands=(launch(name),)) for name in "abc")
    made = loaded(Choice(alternatives=alternatives), launch("after"))

    made.launch_set(done[0], 0, [2])

    assert names(done) == ["c", "after"]
    assert made.options == [3]


def test_a_kernel_overlaps_with_its_predecessor_in_the_same_call_alone(done):
    """The first kernel of a call would else begin under the end of the call before, and a round would look too short."""
    made = loaded(launch("first", pdl=True), launch("second", pdl=True), Fill(buffer=0, offset=0, size=4, pattern=b"\0"))
    made.record = dataclasses.replace(made.record, commands=(*made.record.commands, launch("third", pdl=True)))

    made.launch_set(done[0], 0, [])
    made.launch_set(done[0], 1, [])

    overlaps = {name: programmatic for name, programmatic, *_ in done[1:] if name != "fill"}
    assert overlaps == {"first": False, "second": True, "third": False}


def test_scratch_is_poisoned(done):
    loaded(launch("k")).poison_scratch(done[0])

    assert done[1:] == [("fill", SCRATCH, 64, b"\xff")]
