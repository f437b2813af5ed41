"""PTX and SASS in a report: readable, cut, of the binary that was recorded; nvdisasm runs behind the walls alone."""

import dataclasses

import pytest

import labs
from grader.judge import listings
from grader.judge.inputs import prepare
from grader.judge.listings import listings_of, readable_ptx, readable_sass
from grader.judge.recording import record_largest
from grader.judge.runner import Submission
from grader.sandbox import roots
from grader.sandbox.launches import Binary, Launch, Record
from grader.sandbox.supervisor import Nursery

LAB = labs.load("lab02_safe_softmax")

PTX = """
.visible .entry k(
)
{
\t.loc\t1 13 0                          // submission.py:13:0
$L__func_begin0:
\t.loc\t1 13 4                          // submission.py:13:4
\tmov.u32 \t%r1, %tid.x;
$L__tmp0:
\t// begin inline asm
\tst.global.b16 [ %rd1 + 0 ], { %rs1 };
\t// end inline asm
\t.loc\t2 170 27                        // standard.py:170:27 @[ standard.py:191:40 @[ submission.py:21:34 ] ]
\tmax.f32 \t%f1, %f2, %f3;\x1b[31m
\tret;
}
\t.file\t1 "submission.py"
\t.file\t2 "/home/somebody/triton/language/standard.py"
\t.section\t.debug_abbrev
"""

SASS = """\t.headerflags\t@"EF_CUDA_SM90"
.text.k:
\t//## File "submission.py", line 13
        /*0000*/                   LDC R1, c[0x0][0x28] ;
\t//## File "/home/somebody/triton/language/standard.py", line 170
        /*0010*/              @!P6 FMNMX R39, R5, R40, !PT ;
\t//## File "/home/somebody/triton/language/standard.py", line 170
        /*0020*/                   EXIT ;
.L_x_0:
        /*0030*/                   BRA `(.L_x_0);
"""


def test_ptx_keeps_instructions_and_the_learners_lines():
    assert readable_ptx(PTX).splitlines() == [
        ".visible .entry k(",
        ")",
        "{",
        "// line 13",
        "    mov.u32     %r1, %tid.x;",
        "    st.global.b16 [ %rd1 + 0 ], { %rs1 };",
        "// line 21",
        "    max.f32     %f1, %f2, %f3;\x1b[31m",
        "    ret;",
        "}",
    ]


def test_sass_keeps_instructions_and_tells_no_path():
    assert readable_sass(SASS).splitlines() == [
        "// line 13",
        "0000  LDC R1, c[0x0][0x28]",
        "// standard.py, line 170",
        "0010  @!P6 FMNMX R39, R5, R40, !PT",
        "0020  EXIT",
        ".L_x_0:",
        "0030  BRA `(.L_x_0)",
    ]


def record_of(*ptx):
    binaries = tuple(Binary(cubin=b"\x7fELF" + text.encode(), ptx=text) for text in ptx)
    launches = tuple(
        Launch(
            binary=index,
            kernel=f"k{index}",
            grid=(1, 1, 1),
            num_warps=4,
            num_ctas=1,
            shared_bytes=0,
            cooperative=False,
            pdl=False,
            parameters=(),
        )
        for index in range(len(ptx))
    )
    return Record(target="sm_90", tensors=(), scratch=(), binaries=binaries, commands=launches)


def test_all_texts_of_a_report_together_stay_below_the_limit(monkeypatch):
    monkeypatch.setattr(listings, "TEXT_LIMIT", 1000)

    made = listings_of(record_of("add;\n" * 100, "mul;\n" * 500, "sub;\n" * 500), None)

    assert [listing.kernel for listing in made] == ["k0", "k1", "k2"]
    assert sum(len(listing.ptx) for listing in made) <= 1000 + 80
    assert "cut here" not in made[0].ptx
    assert made[1].ptx.splitlines()[-1] == "// … cut here: 416 of 500 lines are not kept"


def test_a_check_has_ptx_alone():
    (listing,) = listings_of(record_of(PTX), None)

    assert "max.f32     %f1, %f2, %f3;[31m" in listing.ptx
    assert (listing.sass, listing.note) == ("", "SASS is made by Submit.")


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as warm:
        yield warm


@pytest.mark.skipif(not roots.nvdisasm(), reason="this Triton brings no nvdisasm")
def test_the_solution_is_listed_line_by_line(nursery):
    case = prepare(LAB.lab, LAB.lab.cases[0], bytes(32))
    submission = Submission(source=LAB.solution, lab=LAB.lab, target="sm_90")
    _, recorded = record_largest(nursery, submission, [case], lambda: False)
    line = next(number for number, text in enumerate(LAB.solution.splitlines(), 1) if "tl.load" in text)

    (listing,) = listings_of(recorded.record, nursery)

    assert (listing.target, listing.note) == ("sm_90", "")
    for text, instruction in ((listing.ptx, "ld.global"), (listing.sass, "LDG.E")):
        before = text[: text.index(instruction)].splitlines()
        assert next(each for each in reversed(before) if each.startswith("// line")) == f"// line {line}"
        assert "/triton/" not in text
    assert "EXIT" in listing.sass


@pytest.mark.skipif(not roots.nvdisasm(), reason="this Triton brings no nvdisasm")
def test_a_binary_that_is_none_says_so(nursery):
    broken = dataclasses.replace(record_of(PTX), binaries=(Binary(cubin=b"\x7fELF" + bytes(4000), ptx=PTX),))

    (listing,) = listings_of(broken, nursery)

    assert (listing.sass, listing.note) == ("", "No SASS: nvdisasm could not read this binary.")


def test_without_a_disassembler_the_reason_is_told(monkeypatch, nursery):
    monkeypatch.setattr(roots, "nvdisasm", lambda: ())

    (listing,) = listings_of(record_of(PTX), nursery)

    assert listing.note == "No SASS: Triton's package on this machine has no nvdisasm."
