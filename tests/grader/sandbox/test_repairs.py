"""What a slip of the hand left out, doubled, turned round or exchanged is among the changes that are tried for it."""

import ast
import re
import textwrap

import pytest

from grader.sandbox.repairs.making import OPERATORS, TURNS, repairs
from grader.sandbox.repairs.place import Splice, one_line_end, spliced
from grader.sandbox.repairs.scope import INDEX, MASK, POINTER, VALUE, Scope
from labs import load

RIGHT = """
import torch
import triton
import triton.language as tl


@triton.jit
def part(q_ptr, k_ptr, v_ptr, out_ptr, heads, n, stride_kn, stride_vn, scale, D: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    head = row % heads
    offs_d = tl.arange(0, D)
    q = tl.load(q_ptr + row * D + offs_d).to(tl.float32)
    m_i = -float("inf")
    l_i = 0.0
    acc = tl.zeros([D], tl.float32)
    for start in range(0, n, BLOCK):
        offs_n = start + tl.arange(0, BLOCK)
        mask = offs_n < n
        k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d[None, :], mask=mask[:, None], other=0.0).to(tl.float32)
        v = tl.load(v_ptr + offs_n[:, None] * stride_vn + offs_d[None, :], mask=mask[:, None], other=0.0).to(tl.float32)
        s = tl.sum(k * q[None, :], axis=1) * scale
        s = tl.where(mask, s, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(s, axis=0))
        p = tl.exp(s - m_new)
        alpha = tl.exp(m_i - m_new)
        l_i = l_i * alpha + tl.sum(p, axis=0)
        acc = acc * alpha + tl.sum(p[:, None] * v, axis=0)
        m_i = m_new
    acc = acc / l_i
    tl.store(out_ptr + row * D + offs_d, acc)


def attention(q, k, v, out, scale):
    rows, d = q.shape
    scratch = torch.zeros((rows, d), dtype=torch.float32)
    part[(triton.cdiv(rows, 1),)](q, k, v, out, 1, k.shape[0], k.stride(0), v.stride(0), scale, D=d, BLOCK=32)
"""
# A slip, as what stands in the right file and what stands there instead.
SLIPS = {
    "comparison": ("offs_n < n", "offs_n <= n"),
    "bound": ("offs_n < n", "offs_n < n - 1"),
    "range": ("range(0, n, BLOCK)", "range(BLOCK, n, BLOCK)"),
    "rounded": ("triton.cdiv(rows, 1)", "(rows // 1)"),
    "operands": ("tl.exp(m_i - m_new)", "tl.exp(m_new - m_i)"),
    "reduction": ("m_new = tl.maximum(m_i, tl.max(s, axis=0))", "m_new = tl.maximum(m_i, tl.sum(s, axis=0))"),
    "base": ("p = tl.exp(s - m_new)", "p = tl.exp2(s - m_new)"),
    "axis": ("tl.sum(k * q[None, :], axis=1)", "tl.sum(k * q[None, :], axis=0)"),
    "axis of a stride": ("v.stride(0)", "v.stride(1)"),
    "turned": ('tl.where(mask, s, -float("inf"))', 'tl.where(mask, -float("inf"), s)'),
    "type": ("acc = tl.zeros([D], tl.float32)", "acc = tl.zeros([D], tl.float16)"),
    "zeros": ("torch.zeros((rows", "torch.empty((rows"),
    "order": ("alpha = tl.exp(m_i - m_new)\n        l_i = l_i * alpha + tl.sum(p, axis=0)",
              "l_i = l_i * alpha + tl.sum(p, axis=0)\n        alpha = tl.exp(m_i - m_new)"),
    "moved out": ("    acc = acc / l_i\n", "        acc = acc / l_i\n"),
    "moved in": ("    for start in range(0, n, BLOCK):\n        offs_n = start + tl.arange(0, BLOCK)\n",
                 "    offs_n = start + tl.arange(0, BLOCK)\n    for start in range(0, n, BLOCK):\n"),
    "kept": ("        m_i = m_new\n", ""),
    "mask": (", mask=mask[:, None], other=0.0).to(tl.float32)\n        v", ").to(tl.float32)\n        v"),
    "other": ('tl.where(mask, s, -float("inf"))', "tl.where(mask, s, 0.0)"),
    "program": ("tl.program_id(0)", "tl.program_id(1)"),
    "larger": ("tl.maximum(m_i, tl.max(s, axis=0))", "tl.max(s, axis=0)"),
    "cast": ("tl.sum(p, axis=0)\n        acc", "tl.sum(p, axis=0).to(tl.float16)\n        acc"),
    "weighed": ("l_i = l_i * alpha +", "l_i = l_i +"),
    "weighed by the scale": ("axis=1) * scale", "axis=1)"),
    "added": ("l_i = l_i * alpha + tl.sum(p, axis=0)", "l_i = tl.sum(p, axis=0)"),
    "exchanged": ("k.stride(0), v.stride(0), scale", "k.stride(0), scale, v.stride(0)"),
    "name": ("* stride_vn", "* stride_kn"),
    "stride": ("v_ptr + offs_n[:, None] * stride_vn", "v_ptr + offs_n[:, None]"),
    "operator": ("start + tl.arange", "start - tl.arange"),
    "without": ("tl.exp(s - m_new)", "tl.exp(s * scale - m_new)"),
    "number": ("l_i = 0.0", "l_i = 1.0"),
    "number of a maximum": ('m_i = -float("inf")', "m_i = -1000.0"),
    "sign": ("tl.exp(s - m_new)", "tl.exp(s - m_new) * -1.0"),
    "from": ("offs_n = start + tl.arange(0, BLOCK)", "offs_n = tl.arange(0, BLOCK)"),
    "subtracted": ("p = tl.exp(s - m_new)", "p = tl.exp(s)"),
    "axes": ("q[None, :]", "q[:, None]"),
    "statement": ("    acc = acc / l_i\n", "    acc = acc / l_i\n    acc = acc * scale\n"),
    "term": ("q_ptr + row * D + offs_d", "q_ptr + offs_d"),
    "hidden": ('        s = tl.where(mask, s, -float("inf"))\n', ""),
    "divided": ("    acc = acc / l_i\n", ""),
    "condition": ("mask = offs_n < n", "mask = ~(offs_n < n)"),
    "everywhere": ("mask=mask[:, None], other=0.0", 'mask=mask[:, None], other=-float("inf")'),
}  # fmt: skip


def same(source):
    """A source without what says nothing: brackets, the sort of quotes, spaces within a line."""
    return [line[: len(line) - len(line.lstrip())] + re.sub(r"[\s()'\"]", "", line) for line in source.split("\n") if line]


def changed(source):
    return [same(spliced(source, places)[1]) for places in repairs(source)]


def as_right(slip):
    """Other ways to write what the right file says, where a change leads to one of those."""
    right, wrong = SLIPS[slip]
    ways = {
        "rounded": [("triton.cdiv(rows, 1)", "((rows + 1 - 1) // 1)")],
        "range": [("range(0, n, BLOCK)", "range(0, n, BLOCK)")],
        "bound": [("offs_n < n", "offs_n < n - 1 + 1"), ("offs_n < n", "offs_n < n")],
        "sign": [("tl.exp(s - m_new)", "tl.exp(s - m_new) * 1.0"), ("tl.exp(s - m_new)", "tl.exp(s - m_new)")],
        "term": [("q_ptr + row * D + offs_d", "q_ptr + offs_d + row * D")],
        "divided": [
            ("    acc = acc / l_i\n    tl.store(out_ptr + row * D + offs_d, acc)",
             "    tl.store(out_ptr + row * D + offs_d, acc / l_i)"),
        ],
        "statement": [("    acc = acc / l_i\n", "    acc = acc / l_i\n    pass\n")],
        "hidden": [('        s = tl.sum(k * q[None, :], axis=1) * scale\n        s = tl.where(mask, s, -float("inf"))\n',
                    '        s = tl.where(mask, tl.sum(k * q[None, :], axis=1) * scale, -float("inf"))\n')],
        "condition": [("mask = offs_n < n", "mask = offs_n < n")],
    }  # fmt: skip
    return [RIGHT, *(RIGHT.replace(old, new) for old, new in ways.get(slip, []))]


@pytest.mark.parametrize("slip", SLIPS)
def test_what_undoes_a_slip_is_tried(slip):
    right, wrong = SLIPS[slip]
    assert RIGHT.count(right) >= 1
    source = RIGHT.replace(right, wrong)

    assert source != RIGHT
    tried = changed(source)
    assert any(same(way) in tried for way in as_right(slip))


def test_a_factor_of_each_step_is_moved_behind_the_loop():
    """Lab 1's scale, lab 9's scale of value: right once, wrong in every step."""
    wrong = RIGHT.replace("l_i = l_i * alpha + tl.sum(p, axis=0)", "l_i = (l_i * alpha + tl.sum(p, axis=0)) * scale")
    right = RIGHT.replace("    acc = acc / l_i\n", "    l_i = l_i * scale\n    acc = acc / l_i\n")

    assert same(right) in changed(wrong)


def test_a_short_change_is_told_with_what_stands_around_it():
    told = {places[0].told for places in repairs(RIGHT) if len(places) == 1}

    assert "with `axis=0` in the place of `axis=1`" in told
    assert "with `tl.program_id(1)` in the place of `tl.program_id(0)`" in told


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("s = tl.dot(q, tl.reshape(k, [D, N]))", "s = tl.dot(q, tl.trans(k))"),
        ("s = tl.dot(q, k.reshape([D, N]))", "s = tl.dot(q, tl.trans(k))"),
        ("m = tl.full([N], LOWEST, tl.float32)", 'm = tl.full([N], -float("inf"), tl.float32)'),
        ("row = t % n\n    tile = t // n", "row = t // n\n    tile = t % n"),
    ],
)
def test_a_slip_of_several_words_is_undone(wrong, right):
    kernel = "@triton.jit\ndef f(q, k, t, n, D: tl.constexpr, N: tl.constexpr):\n    {}\n    x = 1.0\n"

    assert kernel.format(right) in [spliced(kernel.format(wrong), places)[1] for places in repairs(kernel.format(wrong))]


def test_where_a_maximum_begins_nothing_is_multiplied():
    """A lower beginning only walks around it."""
    source = "@triton.jit\ndef f(scale, N: tl.constexpr):\n    m = tl.full([N], LOWEST, tl.float32)\n    x = 1.0\n"

    assert not any(" * " in places[0].new for places in repairs(source) if places[0].line == 3)


def test_every_change_is_python_and_each_comes_once():
    source = (load("lab06_causal").path / "solution.py").read_text(encoding="utf-8")
    made = repairs(source)

    assert len(set(made)) == len(made) > 500
    for places in made[::7]:
        ast.parse(spliced(source, places)[1])


def test_what_was_measured_speaks_for_comes_first():
    made = repairs(RIGHT, ["number", "cast"])
    operators = [places[0].operator for places in made]
    last = max(at for at, operator in enumerate(operators) if operator in ("number", "cast"))

    assert set(operators[: last + 1]) == {"number", "cast"}
    assert operators != [places[0].operator for places in repairs(RIGHT)]


def test_every_operator_has_its_turn():
    named = {places[0].operator for places in repairs(RIGHT)}

    assert named <= {operator for turn in TURNS for operator in turn}
    assert len(OPERATORS) == len(set(OPERATORS))


def test_what_names_hold_is_seen():
    tree = ast.parse(RIGHT)
    scope = Scope(next(node for node in tree.body if isinstance(node, ast.FunctionDef)))

    assert {name: scope.kinds[name] for name in ("k_ptr", "offs_n", "mask", "s", "acc", "alpha", "scale", "n")} == {
        "k_ptr": POINTER, "offs_n": INDEX, "mask": MASK, "s": VALUE, "acc": VALUE, "alpha": VALUE, "scale": VALUE, "n": INDEX,
    }  # fmt: skip


def test_a_change_in_several_places_is_made_in_each():
    source = "a = 1\nb = 22\n"
    places = [
        Splice(operator="number", line=2, column=4, end_line=2, end_column=6, new="3"),
        Splice(operator="number", line=1, column=4, end_line=1, end_column=5, new="3"),
    ]

    assert spliced(source, places) == ("22", "a = 3\nb = 3\n")


@pytest.mark.parametrize(
    "where", [(0, 0, 1, 1), (1, 0, 4, 0), (2, 0, 1, 0), (1, 5, 1, 2), (2, 0, 2, 99), (1, 1 << 40, 1, 1 << 41)]
)
def test_a_place_that_is_not_there_is_refused(where):
    line, column, end_line, end_column = where
    place = Splice(operator="name", line=line, column=column, end_line=end_line, end_column=end_column, new="x")

    with pytest.raises(ValueError, match="the source has no"):
        spliced("a = 1\nb = 2\n", [place])


def test_lines_are_those_that_python_counts():
    source = one_line_end("# first\r\nx = 'é' + a\ry = 1\x0c\n")
    name = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and node.id == "a")

    assert spliced(source, [Splice.of("name", name, "b")]) == ("a", "# first\nx = 'é' + b\ny = 1\x0c\n")


def test_a_function_within_a_class_and_an_empty_file_are_looked_through():
    nested = textwrap.dedent("""
        class Kernels:
            def run(self, n):
                return [each for each in range(n - 1)]
    """)

    assert repairs(nested)
    assert repairs("\n") == []


def test_a_condition_is_exchanged_with_no_value():
    """`tl.where(0.0, mask, s)` is no mask: it gives the value whatever the mask is."""
    assert not [changed for places in repairs(RIGHT) if "tl.where(s, mask" in (changed := spliced(RIGHT, places)[1])]
