"""Operators of a submission's own are the functions that they wrap, by whatever way they are made; in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WAYS = {
    "custom_op": "library.custom_op('own::a', launch, mutates_args=())(1, 2)",
    "decorator": "library.custom_op('own::b', mutates_args={'out'}, device_types='cuda')(launch)(1, out=2)",
    "by_its_name": "library.custom_op('own::c', mutates_args=())(launch); ops.c(1, 2)",
    "overload": "library.custom_op('own::d', mutates_args=())(launch); ops.d.default(1, 2)",
    "triton_op": "library.triton_op('own::e', mutates_args=())(library.wrap_triton(launch)); ops.e(1, 2)",
    "fake": "op = library.custom_op('own::f', launch, mutates_args=()); op.register_fake(fail); op(1, 2)",
    "fake_by_name": "library.custom_op('own::g', launch, mutates_args=()); library.register_fake('own::g')(fail); ops.g(1, 2)",
    "library": "made = library.Library('own', 'DEF'); made.define('h(Tensor x) -> ()'); made.impl('h', launch); ops.h(1, 2)",
    "meta": "made = library.Library('own', 'DEF'); made.impl('i', launch); made.impl('i', fail, 'Meta'); ops.i(1, 2)",
    "impl": "library.define('own::j', '(Tensor x) -> ()'); library.impl('own::j', 'cuda')(launch); ops.j(1, 2)",
    "impl_at_once": "library.impl('own::k', 'cuda', launch); ops.k(1, 2)",
    "impl_of_library": "library.impl(library.Library('own', 'DEF'), 'l', 'CUDA')(launch); ops.l(1, 2)",
    "compiled": "torch.compile(launch)(1, 2)",
    "compiled_with_options": "torch.compile(dynamic=True, mode='max-autotune')(launch)(1, 2)",
    "disabled": "torch.compiler.disable(launch)(1, 2)",
}
MAIN = """
import json, sys, torch
from grader.sandbox.case import own_operators
own_operators.install()
library, ops = torch.library, torch.ops.own

def launch(x, out): calls.append((x, out))
def fail(*args): raise AssertionError("this is not the function")

said = {}
for name, way in json.loads(sys.argv[1]).items():
    calls = []
    try:
        exec(way)
        said[name] = "called" if calls == [(1, 2)] else repr(calls)
    except Exception as error:
        said[name] = repr(error)
heavy = [name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules]
print(json.dumps({**said, "imported": heavy}))
"""


@pytest.fixture(scope="module")
def said():
    command = [sys.executable, "-c", MAIN, json.dumps(WAYS)]
    run = subprocess.run(command, check=True, timeout=120, capture_output=True, cwd=Path(__file__).parents[3])
    return json.loads(run.stdout)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_called_is_the_function(said, way):
    assert said[way] == "called"


def test_nothing_of_the_compiler_is_imported(said):
    assert said["imported"] == []
