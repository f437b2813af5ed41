"""Faults become sentences."""

import pytest
import torch
from triton._utils import validate_block_shape
from triton.runtime.errors import OutOfResources

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.outcome import Outcome
from grader.judge.diagnosis.messages import explain
from grader.judge.judging import judge
from grader.report import Verdict
from grader.sandbox.protocol import Fault
from grader.sandbox.record.gpus import GRID_LIMITS
from labs.declaration import Case


@pytest.mark.parametrize(
    ("stage", "error_type", "text", "name", "says"),
    [
        ("run", "ValueError", "arange's range must be a power of 2", "arange_power_of_two", "power of two"),
        ("compile", "CompilationError", "Input shapes should have M >= 1, N >= 1 and K >= 16", "dot_too_small", "16"),
        (
            "compile",
            "CompilationError",
            "Loop-carried variable acc has initial type <['16'], fp16> but is re-assigned to <['16'], fp32> in loop!",
            "loop_carried_type",
            "acc starts the loop as",
        ),
        ("run", "NotImplementedError", "Write the kernel's body.", "not_implemented", "Write the kernel's body."),
        ("run", "NameError", "name 'foo' is not defined", "undefined_in_kernel", "foo is not defined"),
        (
            "run",
            "AssertionError",
            "cannot cast [140522167717888 140522167717892\n 140522167721980] to <['8'], fp32>",
            "pointer_not_loaded",
            "tl.load",
        ),
        (
            "run",
            "ValueError",
            "Other argument cannot be block type if pointer argument is not a block",
            "scalar_store",
            "single",
        ),
        ("run", "AttributeError", "'tensor' object has no attribute 'float'", "torch_in_kernel", "x.to(tl.float32)"),
        ("run", "TypeError", "unsupported operand type(s) for @: 'tensor' and 'tensor'", "torch_in_kernel", "tl.sum(a * b"),
        (
            "run",
            "TypeError",
            "sum() received an invalid combination of arguments - got (tensor, dim=int)",
            "torch_in_kernel",
            "no torch",
        ),
        ("run", "TypeError", "sum() got an unexpected keyword argument 'dim'", "unexpected_argument", "Triton's are axis"),
        ("run", "TypeError", "must be real number, not tensor", "python_in_kernel", "tl.exp(x)"),
        ("compile", "ValueError", "Expected dtype ['fp32', 'fp64'] but got int32", "of_no_such_type", "x.to(tl.float32)"),
        ("compile", "AssertionError", "input and other must have equal ranks >= 2", "dot_rank", "two matrices"),
        ("compile", "AssertionError", "input and other must have equal reduction dimensions", "dot_shapes", "tl.trans"),
        ("compile", "TypeError", "type tensor doesn't define __round__ method", "python_in_kernel", "tl.floor(x)"),
        ("run", "TypeError", "unsupported operand type(s) for ** or pow(): 'tensor' and 'int'", "power", "x * x"),
        ("compile", "CompilationError", "StopIteration()", "function_in_kernel", "put it above"),
        (
            "run",
            "AttributeError",
            "'builtin_function_or_method' object has no attribute 'type'",
            "method_for_number",
            "x.stride(0)",
        ),
        (
            "run",
            "TypeError",
            "cannot convert torch.Size([2, 8]) of type <class 'torch.Size'> to tensor",
            "tuple_for_number",
            "x.shape[0]",
        ),
        (
            "run",
            "TypeError",
            "cannot convert slice(None, None, None) of type <class 'slice'> to tensor",
            "pointer_indexed",
            "tl.load(ptr",
        ),
        ("run", "TypeError", "cannot convert zero of type <class 'str'> to tensor", "no_number", "A str stands"),
        ("run", "AttributeError", "'torch.dtype' object has no attribute 'scalar'", "torch_type", "tl.float32"),
        (
            "run",
            "IncompatibleTypeErrorImpl",
            "invalid operands of type pointer<fp32> and triton.language.float32",
            "float_offset",
            "divide by //",
        ),
        (
            "run",
            "AttributeError",
            "'pointer_type' object has no attribute 'primitive_bitwidth'",
            "address_for_number",
            "tl.load",
        ),
        ("run", "ValueError", "Conflicting meta-parameters: BLOCK. Make sure", "given_twice", "gives BLOCK, which"),
        ("run", "TypeError", "multiple values for argument 'BLOCK'", "given_twice", "BLOCK is given twice"),
        (
            "run",
            "TypeError",
            "arange() got multiple values for argument '_semantic'",
            "too_many_arguments",
            "arange is given more",
        ),
        (
            "run",
            "RuntimeError",
            "Unsupported function referenced: <function same at 0x7f>",
            "jit_missing",
            "@triton.jit above same",
        ),
        ("import", "ModuleNotFoundError", "No module named 'jax.numpy'", "module_missing", "There is no jax.numpy"),
        ("run", "ValueError", "grid=(2.0,) is no grid, which is a tuple of whole numbers", "grid", "grid=(2.0,) is no grid"),
        ("run", "RecursionError", "maximum recursion depth exceeded", "recursion", "calls itself"),
        ("run", "RuntimeError", "Unsupported function referenced: <ufunc 'exp'>", "python_in_kernel", "know no tiles"),
        ("run", "TypeError", "bad operand type for abs(): 'tensor'", "python_in_kernel", "know no tiles"),
        ("compile", "CompilationError", "min requires at least 2 values", "python_in_kernel", "tl.max(x, axis=0)"),
        (
            "compile",
            "UnsupportedLanguageConstruct",
            "Boolean value of Tensor with more than one value is ambiguous",
            "tile_as_condition",
            "tl.where",
        ),
        (
            "compile",
            "UnsupportedLanguageConstruct",
            "simultaneous multiple comparison is not supported",
            "chained_comparison",
            "(a <= x) & (x < b)",
        ),
        ("compile", "UnsupportedLanguageConstruct", "unsupported AST node type: Dict", "break_continue", "Python's Dict"),
        ("run", "AttributeError", "'tuple' object has no attribute 'type'", "tuple_for_number", "x.stride(0)"),
        (
            "run",
            "TypeError",
            "zeros() missing 1 required positional argument: 'dtype'",
            "missing_argument",
            "zeros is called without",
        ),
        (
            "run",
            "TypeError",
            "dynamic_func() missing 1 required positional argument: 'n'",
            "missing_argument",
            "The kernel was",
        ),
        ("run", "TypeError", "'tensor' object does not support item assignment", "pointer_indexed", "tl.where"),
        ("run", "ZeroDivisionError", "division by zero", "run", "ZeroDivisionError: division by zero."),
    ],
)
def test_a_known_text_is_translated(stage, error_type, text, name, says):
    verdict, diagnosis = explain(Fault(stage=stage, error_type=error_type, text=text, line=7))

    assert diagnosis.name == name
    assert says in diagnosis.sentence
    assert diagnosis.sentence.startswith("Line 7: ")
    assert diagnosis.line == 7
    assert verdict in (Verdict.COMPILE_ERROR, Verdict.RUNTIME_ERROR)


@pytest.mark.parametrize(
    ("code", "text", "name"),
    [
        ("m = max(x)", "'int' object is not iterable", "python_in_kernel"),
        ("m = tl.zeros(BLOCK, tl.float32)", "'int' object is not iterable", "shape_is_a_number"),
        ("m = x_ptr[row, offs]", "'int' object is not iterable", "pointer_indexed"),
        ("maximum(x)", "'int' object is not iterable", "pointer_indexed"),
        ("kernel[rows](x, out)", "object of type 'int' has no len()", "grid_is_a_number"),
        ("n = len(5)", "object of type 'int' has no len()", "run"),
        ("kernel[(rows,)](x, out)", "'function' object is not subscriptable", "jit_missing"),
        ("f[0]", "'function' object is not subscriptable", "run"),
    ],
)
def test_a_text_that_says_little_is_read_with_its_line(code, text, name):
    raw = (
        f'Traceback (most recent call last):\n  File "submission.py", line 7, in k\n    {code}\n    ^^^^^^\nTypeError: {text}\n'
    )

    assert explain(Fault(stage="run", error_type="TypeError", text=text, line=7, raw=raw))[1].name == name


def test_a_syntax_error_has_its_own_verdict():
    verdict, diagnosis = explain(Fault(stage="syntax", error_type="SyntaxError", text="'(' was never closed", line=3))

    assert verdict is Verdict.SYNTAX_ERROR
    assert "never closed" in diagnosis.sentence


def test_braces_in_a_text_do_no_harm():
    _, diagnosis = explain(Fault(stage="run", error_type="KeyError", text="{0} {x} %s", line=None))

    assert diagnosis.sentence == "KeyError: {0} {x} %s."


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("A load reaches 3 elements past the end of kv_len, by one number.", "the index is too large"),
        (
            "A load reaches 9000 elements past the end of key, with every lane.",
            "mask the lanes beyond it, if a tile may begin behind",
        ),
        ("A store reaches 1 element past the end of out, within its mask.", "the mask lets lanes through that lie beyond"),
        (
            "A store reaches 3 elements past the end of out.",
            "mask the lanes beyond it, as in mask=offs < length; or mend the offset",
        ),
        ("A load reaches 8 elements before the start of key.", "some offset is negative"),
        ("A load reaches memory far outside value.", "some offset is far too large"),
    ],
)
def test_an_access_outside_a_tensor_says_what_mends_it(text, remedy):
    _, diagnosis = explain(Fault(stage="bounds", error_type="AccessFault", text=text, line=7))

    assert diagnosis.sentence.startswith(f"Line 7: {text.rstrip('.')}: {remedy}")
    assert diagnosis.sentence.endswith(".") or diagnosis.sentence.endswith("?")


def _too_large_a_tile():
    try:
        validate_block_shape([1 << 21])
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("stage", "text", "limit"),
    [
        ("run", f"grid=(1, 70000, 1) is not possible on a GPU: the most is {GRID_LIMITS}", "65535 programs"),
        ("run", str(OutOfResources(300000, 232448, "shared memory")), "more shared memory than a block has"),
        ("compile", str(OutOfResources(2048, 1024, "threads")), "registers or threads"),
        ("compile", _too_large_a_tile(), "at most 1048576 elements"),
        ("run", "a million rows have 70001 cells", ""),
    ],
)
def test_a_limit_that_a_hidden_case_passes_is_named_and_nothing_of_the_case(stage, text, limit):
    case = Case(name="unseen", sizes={"n": 70000}, group="hidden")
    prepared = PreparedCase(case, {"n": 70000}, {"x": torch.zeros(1)}, (1,), torch.float32)

    own = judge(None, prepared, Outcome(fault=Fault(stage=stage, error_type="ValueError", text=text))).own

    assert own is not None and limit in own.sentence
    assert not any(number in own.sentence for number in ("70000", "70001", "300000", "2048", "2097152"))
