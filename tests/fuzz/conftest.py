"""What the fuzzers share: how much they try, JSON of any shape, and a real cubin and record to spoil."""

import dataclasses
import os
import subprocess

import pytest
from hypothesis import HealthCheck, settings

from grader.sandbox.record.commands import Binary, Launch, Pointer, Record, Scalar, Tensor
from grader.sandbox.record.format import dump
from grader.sandbox.walls import roots

# `make fuzz` sets the factor; in CI it is 1.
settings.register_profile(
    "fuzz",
    max_examples=150 * int(os.environ.get("FUZZ_FACTOR", "1")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("fuzz")

PTX = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry scale(.param .u64 x, .param .u64 out, .param .u32 n) .reqntid 128, 1, 1 {
    .reg .b64 %rd<5>; .reg .b32 %r<4>; .reg .f32 %f<3>;
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [out];
    cvta.to.global.u64 %rd3, %rd1; cvta.to.global.u64 %rd4, %rd2;
    ld.global.f32 %f1, [%rd3]; add.f32 %f2, %f1, %f1; st.global.f32 [%rd4], %f2;
    ret;
}
"""


@pytest.fixture(scope="session")
def cubin_bytes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cubin")
    (folder / "k.ptx").write_text(PTX)
    subprocess.run([roots.ptxas()[0], "-arch=sm_90", folder / "k.ptx", "-o", folder / "k.cubin"], check=True)
    return (folder / "k.cubin").read_bytes()


@pytest.fixture(scope="session")
def record(cubin_bytes):
    tensors = tuple(Tensor(name=name, shape=(64,), strides=(1,), dtype="float32") for name in ("x", "out"))
    launch = Launch(
        binary=0,
        kernel="scale",
        grid=(1, 1, 1),
        num_warps=4,
        num_ctas=1,
        shared_bytes=0,
        cooperative=False,
        pdl=False,
        parameters=(Pointer(buffer="x"), Pointer(buffer="out"), Scalar(type="i32", data=bytes(4))),
    )
    binaries = (Binary(cubin=cubin_bytes, ptx=PTX),)
    return Record(target="sm_90", tensors=tensors, scratch=(256,), binaries=binaries, commands=(launch,))


@pytest.fixture(scope="session")
def record_bytes(record):
    return dump(dataclasses.replace(record))
