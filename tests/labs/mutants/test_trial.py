"""A mutant that the interpreter takes and the compiler does not is no survivor."""

from pathlib import Path

import pytest

import labs
from labs.mutants.mutant import Mutant
from labs.mutants.trial import tried


@pytest.mark.parametrize(("new", "verdict"), [("tl.float16", "compile_error"), ("tl.float32 if True else None", "survived")])
def test_the_type_of_what_a_loop_carries(judge, new, verdict):
    lab, base, old = "lab02_safe_softmax", "honest/two_pass_tiles.py", "tl.float32"
    source = Path(labs.__file__).parent.joinpath(lab, base).read_text()
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "tl.full([]" in text)
    lines = source.splitlines()
    lines[line - 1] = lines[line - 1].replace(old, new)
    mutant = Mutant(lab=lab, base=base, operator="dtype", line=line, old=old, new=new, source="\n".join(lines) + "\n")

    assert tried(judge._sandbox, mutant).verdict == verdict
