"""Launch records as a hostile process could write them: each function turns an honest record into a forged one.

They run in the recorder itself, where a submission's Python can replace what writes the record; so what they make goes through
the session's real pipe. `header` is the record's header as JSON, `blobs` what follows it.
"""

import json
import struct

FORGED = {}


def forged(function):
    FORGED[function.__name__] = function
    return function


def packed(header, blobs):
    text = json.dumps(header).encode()
    return struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text + blobs


def opened(data):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[16 : 16 + length]), data[16 + length :]


def launch_of(header):
    return next(command for command in header["commands"] if "kernel" in command)


@forged
def pointer_beyond_its_buffer(header, blobs):
    launch_of(header)["parameters"][1]["offset"] = 1 << 30


@forged
def pointer_before_its_buffer(header, blobs):
    launch_of(header)["parameters"][1]["offset"] = -256


@forged
def pointer_as_a_number(header, blobs):
    launch_of(header)["parameters"][1] = {"type": "i64", "data": "00000000"}


@forged
def pointer_to_the_expected_answer(header, blobs):
    launch_of(header)["parameters"][0]["buffer"] = "expected"


@forged
def fill_of_the_input(header, blobs):
    header["commands"].insert(0, {"buffer": "x", "offset": 0, "size": 4, "pattern": "00000000"})


@forged
def fill_larger_than_out(header, blobs):
    header["commands"].insert(0, {"buffer": "out", "offset": 0, "size": 1 << 40, "pattern": "00"})


@forged
def another_form_of_x(header, blobs):
    header["tensors"][0]["shape"] = [1, 1]
    header["tensors"][0]["strides"] = [1, 1]


@forged
def another_dtype_of_out(header, blobs):
    header["tensors"][1]["dtype"] = "float64"


@forged
def a_tensor_more(header, blobs):
    header["tensors"].append({**header["tensors"][0], "name": "seed"})


@forged
def another_gpu(header, blobs):
    header["target"] = "sm_80"


@forged
def all_the_memory_there_is(header, blobs):
    header["scratch"] = [1 << 40] * 200


@forged
def a_million_launches(header, blobs):
    text = json.dumps(header).replace('"commands": [', '"commands": [' + "{}, " * 1_000_000)
    return struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text.encode() + blobs


@forged
def five_thousand_launches(header, blobs):
    header["commands"] = [launch_of(header)] * 5000


@forged
def launches_in_alternatives(header, blobs):
    choice = {"alternatives": [{"label": "", "commands": [launch_of(header)] * 40}] * 16}
    header["commands"] = [choice] * 4


@forged
def a_grid_without_end(header, blobs):
    launch_of(header)["grid"] = [2**31, 65535, 65535]


@forged
def threads_that_the_kernel_has_not(header, blobs):
    launch_of(header)["num_warps"] = 32


@forged
def more_shared_memory_than_a_block_can_have(header, blobs):
    launch_of(header)["shared_bytes"] = 1 << 20


@forged
def a_kernel_of_the_host(header, blobs):
    launch_of(header)["kernel"] = "system"


@forged
def fewer_parameters(header, blobs):
    launch_of(header)["parameters"].pop()


@forged
def points(header, blobs):
    header["points"] = 100


@forged
def a_verdict_in_a_launch(header, blobs):
    launch_of(header)["verdict"] = "passed"


@forged
def a_checksum_of_something_else(header, blobs):
    header["binaries"][0]["sha256"] = "0" * 64


@forged
def a_binary_of_rubbish(header, blobs):
    return renewed(header, blobs, b"\x7fELF\x02\x01" + bytes(range(256)) * 16)


@forged
def a_binary_of_the_processor(header, blobs):
    from numpy.random import mtrand

    with open(mtrand.__file__, "rb") as file:
        return renewed(header, blobs, file.read(4 << 20))


@forged
def a_binary_cut_off(header, blobs):
    return renewed(header, blobs, cubin_of(header, blobs)[:-700])


@forged
def a_binary_whose_sections_are_all_of_it(header, blobs):
    cubin = bytearray(cubin_of(header, blobs))
    (table,), (count,) = struct.unpack_from("<Q", cubin, 40), struct.unpack_from("<H", cubin, 60)
    for index in range(count):
        start, kind = table + 64 * index, struct.unpack_from("<I", cubin, table + 64 * index + 4)[0]
        if kind == 0x70000000:  # attributes
            struct.pack_into("<QQ", cubin, start + 24, 0, len(cubin))
    return renewed(header, blobs, bytes(cubin))


@forged
def bytes_behind_the_end(header, blobs):
    return packed(header, blobs + b"points")


@forged
def a_header_that_nests_without_end(header, blobs):
    text = b"[" * 1_000_000
    return struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text


@forged
def a_header_longer_than_the_record(header, blobs):
    return struct.pack("<8sII", b"LAUNCHES", 1, 2**32 - 1) + b"{}"


@forged
def a_number_of_a_million_digits(header, blobs):
    text = b'{"target": ' + b"9" * 1_000_000 + b"}"
    return struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text


@forged
def not_a_number(header, blobs):
    header["scratch"] = [float("nan")]


@forged
def a_pickle(header, blobs):
    import pickle

    return pickle.dumps(header)


@forged
def nothing_at_all(header, blobs):
    return b""


def cubin_of(header, blobs):
    return blobs[: header["binaries"][0]["cubin"]]


def renewed(header, blobs, cubin):
    """The record with another first binary, its checksum right."""
    import hashlib

    rest = blobs[header["binaries"][0]["cubin"] :]
    header["binaries"][0].update(cubin=len(cubin), sha256=hashlib.sha256(cubin).hexdigest())
    return packed(header, cubin + rest)


def install(name):
    """In a recorder: from now on it writes the forged record of that name instead of its own."""
    import sys

    record = sys.modules["grader.sandbox.record.format"]
    honest = getattr(record, "honest_dump", record.dump)
    record.honest_dump = honest

    def dump(made):
        header, blobs = opened(honest(made))
        written = FORGED[name](header, blobs)
        return packed(header, blobs) if written is None else written

    record.dump = dump
