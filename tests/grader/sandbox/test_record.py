"""The launch record's format: what is written is read again, and nothing malformed gets past the parser."""

import contextlib
import dataclasses
import json
import struct
import subprocess

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from session_process import WorkerProcess

from grader.sandbox.record import cubin
from grader.sandbox.record import format as records
from grader.sandbox.record.commands import Alternative, Choice, Fill, Pointer, TensorMap
from grader.sandbox.record.format import RecordError, dump, parse
from grader.sandbox.walls import roots

pytestmark = pytest.mark.process

ARGUMENTS = ("x", "out")
SOURCE = """\
import torch
import triton
import triton.language as tl


@triton.autotune([triton.Config({"BLOCK": 32}), triton.Config({"BLOCK": 64})], key=[])
@triton.jit
def _scale(x_ptr, out_ptr, scratch_ptr, n, factor, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n) + tl.load(scratch_ptr + offs, mask=offs < n)
    tl.store(out_ptr + offs, x * factor, mask=offs < n)


def entry(x, out):
    scratch = torch.zeros(64, device="cuda")
    for _ in range(2):
        _scale[lambda meta: (triton.cdiv(60, meta["BLOCK"]),)](x, out, scratch, 60, 0.5)
"""
MAP = TensorMap(buffer="x", offset=0, data_type=7, shape=(16, 4), strides=(64,), box=(16, 4), swizzle=0, nan_fill=False)


@pytest.fixture(scope="session")
def data():
    session = WorkerProcess("record")
    assert session.load(SOURCE) == ("loaded", {})
    recorded = session.record(inputs={"x": torch.empty(64)}, out=torch.empty(64))
    session.close()
    return recorded


@pytest.fixture(scope="session")
def made(data):
    return parse(data, arguments=ARGUMENTS)


def rewritten(data, change):
    """The record with its header changed, its blobs as they were."""
    magic, version, length = struct.unpack_from("<8sII", data)
    header = json.loads(data[16 : 16 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<8sII", magic, version, len(text)) + text + data[16 + length :]


def test_what_is_written_is_read(data, made):
    assert dump(made) == data
    assert parse(dump(made), arguments=ARGUMENTS) == made


def test_each_of_several_outputs_may_be_filled(data):
    """Which those are the judge says, and no record."""
    filled = rewritten(data, put((*FILL, "buffer"), "x"))

    assert parse(filled, arguments=ARGUMENTS, written=("x", "out")).commands[0].buffer == "x"
    with pytest.raises(RecordError, match="a fill would change the input x"):
        parse(filled, arguments=ARGUMENTS, written=("out",))


def test_it_says_what_happens(made):
    fill, *choices = made.commands
    assert fill == Fill(buffer=0, offset=0, size=256, pattern=b"\0")
    assert [len(choice.alternatives) for choice in choices] == [2, 2]
    assert (made.scratch_bytes, made.size_of("x"), made.size_of(0)) == (256, 256, 256)
    assert len(list(made.every_launch())) == 4
    assert sorted(launch.grid for launch in made.every_launch()) == [(1, 1, 1)] * 2 + [(2, 1, 1)] * 2


def launch_of(header):
    return header["commands"][1]["alternatives"][0]["commands"][0]


def put(path, value):
    """A change of a header: the item at `path` becomes `value`."""

    def change(header):
        *way, last = path
        for step in way:
            header = header[step]
        header[last] = value

    return change


LAUNCH = ("commands", 1, "alternatives", 0, "commands", 0)
FILL = ("commands", 0)
BAD = {
    "unknown_target": (("target",), "sm_42"),
    "target_no_text": (("target",), ["sm_90"]),
    "unknown_argument": (("tensors", 0, "name"), "expected"),
    "argument_twice": (("tensors", 0, "name"), "out"),
    "negative_shape": (("tensors", 0, "shape"), [-1]),
    "axes_without_strides": (("tensors", 0, "strides"), []),
    "huge_tensor": (("tensors", 0, "shape"), [1 << 40]),
    "unknown_dtype": (("tensors", 0, "dtype"), "object"),
    "huge_scratch": (("scratch", 0), 1 << 41),
    "scratch_of_nothing": (("scratch", 0), 0),
    "scratch_true": (("scratch", 0), True),
    "too_many_buffers": (("scratch",), [4] * 257),
    "wrong_checksum": (("binaries", 0, "sha256"), "0" * 64),
    "binary_cut_off": (("binaries", 1, "ptx"), 1_000_000),
    "bytes_left_over": (("binaries", 1, "ptx"), 0),
    "fill_of_an_input": ((*FILL, "buffer"), "x"),
    "fill_of_nothing": ((*FILL, "buffer"), 1),
    "fill_of_true": ((*FILL, "buffer"), False),
    "fill_beyond": ((*FILL, "offset"), 4),
    "fill_too_long": ((*FILL, "size"), 260),
    "fill_negative": ((*FILL, "offset"), -4),
    "fill_ragged": ((*FILL, "pattern"), "000000"),
    "fill_no_hex": ((*FILL, "pattern"), "zz"),
    "unknown_binary": ((*LAUNCH, "binary"), 2),
    "unknown_kernel": ((*LAUNCH, "kernel"), "_other"),
    "kernel_with_a_path": ((*LAUNCH, "kernel"), "../_scale"),
    "grid_of_zero": ((*LAUNCH, "grid"), [0, 1, 1]),
    "grid_too_high": ((*LAUNCH, "grid"), [1, 65536, 1]),
    "grid_of_floats": ((*LAUNCH, "grid"), [1.0, 1, 1]),
    "grid_of_two": ((*LAUNCH, "grid"), [1, 1]),
    "other_threads": ((*LAUNCH, "num_warps"), 8),
    "odd_cluster": ((*LAUNCH, "num_ctas"), 3),
    "too_much_shared_memory": ((*LAUNCH, "shared_bytes"), 233_473),
    "cooperative_one": ((*LAUNCH, "cooperative"), 1),
    "parameter_missing": ((*LAUNCH, "parameters"), []),
    "pointer_beyond": ((*LAUNCH, "parameters", 0, "offset"), 257),
    "pointer_negative": ((*LAUNCH, "parameters", 0, "offset"), -1),
    "pointer_elsewhere": ((*LAUNCH, "parameters", 0, "buffer"), "key"),
    "null_with_offset": ((*LAUNCH, "parameters", 0), {"buffer": None, "offset": 64}),
    "pointer_is_a_scalar": ((*LAUNCH, "parameters", 0), {"type": "i32", "data": "00000000"}),
    "scalar_too_wide": ((*LAUNCH, "parameters", 3), {"type": "i32", "data": "0000000000000000"}),
    "scalar_unknown": ((*LAUNCH, "parameters", 3), {"type": "pickle", "data": "00000000"}),
    "no_alternatives": (("commands", 1, "alternatives"), []),
    "nested_choice": (LAUNCH, {"alternatives": []}),
    "command_of_nothing": (("commands", 0), {}),
    "command_a_text": (("commands", 0), "launch"),
    "label_with_escape": (("commands", 1, "alternatives", 0, "label"), "\x1b[31m"),
    "field_too_many": ((*LAUNCH, "host_function"), "system"),
    "commands_no_list": (("commands",), {"0": 1}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_claim_that_cannot_be_is_refused(data, name):
    path, value = BAD[name]

    with pytest.raises(RecordError):
        parse(rewritten(data, put(path, value)), arguments=ARGUMENTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 8},
        {"shape": (17, 4)},
        {"shape": (16, 5)},
        {"strides": (72,)},
        {"strides": (64, 64)},
        {"box": (512, 4)},
        {"data_type": 16},
        {"swizzle": 7},
        {"buffer": "key"},
        {"shape": (16,) * 6, "box": (1,) * 6, "strides": (64,) * 5},
    ],
    ids=str,
)
def test_a_map_stays_inside_its_buffer(changes):
    parser = records._Parser(ARGUMENTS, ("out",))
    parser._sizes = {"x": 256}
    assert parser._parameter(json.loads(json.dumps(dataclasses.asdict(MAP)))) == MAP

    with pytest.raises(RecordError):
        parser._parameter(json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(MAP, **changes)))))


def test_sixty_four_launches_are_the_most(made):
    launch = next(made.every_launch())

    def with_launches(count):
        return dump(dataclasses.replace(made, commands=(launch,) * count))

    assert len(parse(with_launches(64), arguments=ARGUMENTS).commands) == 64
    with pytest.raises(RecordError, match="65 launches; the most is 64"):
        parse(with_launches(65), arguments=ARGUMENTS)


def test_sixty_four_alternatives_are_the_most(made):
    alternative = Alternative(label="", commands=(next(made.every_launch()),))
    commands = (Choice(alternatives=(alternative,) * 65),)

    with pytest.raises(RecordError, match="at most 64"):
        parse(dump(dataclasses.replace(made, commands=commands)), arguments=ARGUMENTS)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[" * 100_000, b'{"target": ' + b"9" * 10_000 + b"}", b"null", b"\xff", b'{"target": NaN}'],
    ids=["empty", "open", "deep", "long_number", "null", "no_utf8", "nan"],
)
def test_a_header_that_is_none_is_refused(text):
    with pytest.raises(RecordError):
        parse(struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text, arguments=ARGUMENTS)


def test_a_hostile_binary_is_refused(data, made):
    binary = dataclasses.replace(made.binaries[0], cubin=b"\x7fELF\x02\x01" + b"\xff" * 200)

    with pytest.raises(RecordError, match="cubin"):
        parse(dump(dataclasses.replace(made, binaries=(binary, made.binaries[1]))), arguments=ARGUMENTS)


@pytest.mark.parametrize("place", [40, 58, 60, 62])
def test_a_cubin_whose_table_lies_elsewhere_is_refused(made, place):
    changed = bytearray(made.binaries[0].cubin)
    changed[place : place + (8 if place == 40 else 2)] = b"\xff" * (8 if place == 40 else 2)

    with pytest.raises(cubin.CubinError):
        cubin.facts(bytes(changed))


def with_attributes(cubin_bytes, change):
    """The cubin with its sections of attributes changed: `change` gets the table's bytes and where an entry starts."""
    changed = bytearray(cubin_bytes)
    (table,), (count,) = struct.unpack_from("<Q", changed, 40), struct.unpack_from("<H", changed, 60)
    for start in range(table, table + 64 * count, 64):
        if struct.unpack_from("<I", changed, start + 4)[0] == 0x70000000:
            change(changed, start)
    return bytes(changed)


def test_sections_that_overlap_are_refused(made):
    """Else each of thousands of sections could be the whole file, and reading them once would take hours."""
    whole = len(made.binaries[0].cubin)
    hostile = with_attributes(made.binaries[0].cubin, lambda data, start: struct.pack_into("<QQ", data, start + 24, 0, whole))

    with pytest.raises(cubin.CubinError, match="overlap"):
        cubin.facts(hostile)


def test_attributes_without_bytes_in_the_file_are_refused(made):
    hostile = with_attributes(made.binaries[0].cubin, lambda data, start: struct.pack_into("<I", data, start + 4, 8))

    with pytest.raises(cubin.CubinError, match="attributes"):
        cubin.facts(hostile)


@pytest.mark.parametrize(("size", "taken"), [(4096, True), (1 << 20, False)], ids=["little", "much"])
def test_a_binary_brings_little_memory_of_its_own(made, tmp_path, size, taken):
    """Global variables of a binary are in no scratch buffer: a results' store there would escape the limit on extra memory."""
    ptx = f"""
.version 8.0
.target sm_90
.address_size 64
.global .align 4 .b8 store[{size}];
.visible .entry _scale(.param .u64 a) {{
    .reg .b64 %rd<3>; .reg .b32 %r<2>;
    ld.param.u64 %rd1, [a]; cvta.to.global.u64 %rd2, %rd1;
    ld.global.u32 %r1, [store]; st.global.u32 [%rd2], %r1;
    ret;
}}
"""
    (tmp_path / "k.ptx").write_text(ptx)
    subprocess.run([roots.ptxas()[0], "-arch=sm_90", tmp_path / "k.ptx", "-o", tmp_path / "k.cubin"], check=True)
    binary = records.Binary(cubin=(tmp_path / "k.cubin").read_bytes(), ptx="")
    hostile = dump(dataclasses.replace(made, binaries=(binary,), commands=()))

    assert cubin.facts(binary.cubin).own_memory_bytes == size
    if taken:
        assert parse(hostile, arguments=ARGUMENTS).binaries == (binary,)
        return
    with pytest.raises(RecordError, match="memory of its own"):
        parse(hostile, arguments=ARGUMENTS)


# Whatever is done to a record, it is read or refused, and that at once.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["x", "out", "i32", "00000000"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def places(item, path=()):
    """The path of every value in a header."""
    for key, value in item.items() if isinstance(item, dict) else enumerate(item):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


@settings(deadline=500, max_examples=150)
@given(choose=st.data())
def test_a_changed_header_is_read_or_refused(data, choose):
    length = struct.unpack_from("<I", data, 12)[0]
    path = choose.draw(st.sampled_from(list(places(json.loads(data[16 : 16 + length])))))

    check_read_or_refused(rewritten(data, put(path, choose.draw(VALUES))))


@settings(deadline=500, max_examples=150)
@given(choose=st.data())
def test_changed_bytes_are_read_or_refused(data, choose):
    changed = bytearray(data)
    for _ in range(choose.draw(st.integers(1, 8))):
        changed[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))

    check_read_or_refused(bytes(changed[: choose.draw(st.integers(0, len(data)))]))


@settings(deadline=500, max_examples=150)
@given(choose=st.data())
def test_a_changed_cubin_is_read_or_refused(made, choose):
    changed = bytearray(made.binaries[0].cubin)
    for _ in range(choose.draw(st.integers(1, 8))):
        place = choose.draw(st.one_of(st.integers(0, len(changed) - 1), st.integers(0, 63)))
        changed[place] = choose.draw(st.integers(0, 255))

    with contextlib.suppress(cubin.CubinError):
        cubin.facts(bytes(changed))


def check_read_or_refused(changed):
    try:
        read = parse(changed, arguments=ARGUMENTS)
    except RecordError:
        return
    for launch in read.every_launch():
        for parameter in launch.parameters:
            if isinstance(parameter, Pointer) and parameter.buffer is not None:
                assert 0 <= parameter.offset <= read.size_of(parameter.buffer)
