"""A fault's raw text turned into one plain sentence. What no rule knows is shown as it is, cut to one line."""

from __future__ import annotations

import dataclasses
import re

from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import AT_IMPORT, Fault

VERDICT_OF_STAGE = {
    "syntax": Verdict.SYNTAX_ERROR,
    "import": Verdict.RUNTIME_ERROR,
    "entry": Verdict.BAD_ENTRY,
    "compile": Verdict.COMPILE_ERROR,
    "run": Verdict.RUNTIME_ERROR,
    "refused": Verdict.REFUSED,
    "bounds": Verdict.OUT_OF_BOUNDS,
    "input_changed": Verdict.INPUT_CHANGED,
}

LOOKED_AT = 32 * 1024  # characters of a fault's text; a session may send 24 Ki
LINES_LIMIT, LINE_LIMIT = 500, 300


@dataclasses.dataclass(frozen=True)
class Rule:
    """Where `pattern` is found, `sentence` is said; `{0}` and so on are the pattern's groups."""

    name: str
    pattern: str
    sentence: str
    verdict: Verdict | None = None  # where the stage alone would say something weaker


_COMPILE = Verdict.COMPILE_ERROR

RULES = (
    Rule(
        "arange_power_of_two",
        r"arange's range must be a power of 2",
        "tl.arange needs a length that is a power of two: take the next power of two and mask the lanes beyond the end.",
        _COMPILE,
    ),
    Rule(
        "arange_constexpr",
        r"arange's arguments must be of type tl\.constexpr",
        "tl.arange needs lengths known when the kernel is compiled: declare the block size as a tl.constexpr parameter.",
        _COMPILE,
    ),
    Rule(
        "constexpr_missing",
        r"(?:Shape element|shape).{0,40}must have type `?constexpr|Cannot (?:use|interpret).{0,40}as a constexpr",
        "The shape of a block must be known when the kernel is compiled: declare that size as a tl.constexpr parameter.",
        _COMPILE,
    ),
    Rule(
        "dot_too_small",
        r"(?:Input shapes should have M >= \d+|M >= \d+, N >= \d+ and K >= \d+|small blocks not supported)",
        "tl.dot needs every side of its blocks to be at least 16: pad the block and mask the rest.",
        _COMPILE,
    ),
    Rule(
        "atomic_dtype",
        r"ValueError: Unsupported data type",
        "An atomic operation on numbers of this type cannot be run here: add into scratch in fp32, which loses no digits of a "
        "sum, and convert at the end.",
        _COMPILE,
    ),
    Rule(
        "dot_shapes",
        r"(?:First input shape .* is not compatible for matmul|incompatible dimensions.*dot"
        r"|matmul: Input operand 1 has a mismatch)",
        "The two blocks given to tl.dot do not fit: the first one's columns must be as many as the second one's rows "
        "(is a tl.trans missing?).",
        _COMPILE,
    ),
    Rule(
        "dot_dtypes",
        r"[Bb]oth operands must be same dtype\. Got (\S+) and (\S+)",
        "tl.dot was given {0} and {1}: bring both blocks to one dtype first, for instance probs.to(value.dtype).",
        _COMPILE,
    ),
    Rule(
        "python_in_kernel",
        r"^TypeError: must be real number, not tensor"
        r"|Unsupported function referenced: (?:<ufunc '\w+'>|<built-in function \w+>)"
        r"|a tile of several numbers stands where Python's own functions want one"
        r"|^TypeError: (?:bad operand type for \w+\(\): 'tensor'|object of type 'tensor' has no len\(\))",
        "math, numpy and Python's own functions know no tiles: in a kernel it is tl.exp(x), tl.sqrt(x), tl.max(x, axis=0).",
        _COMPILE,
    ),
    Rule(
        "python_in_kernel",
        r"\b(?:max|min|sum)\([^\n]{0,160}\n(?:[ ~^]{1,160}\n)?TypeError: 'int' object is not iterable"
        r"|(?:min|max) requires at least 2 values",
        "Python's max, min and sum go through a list; over a tile it is tl.max(x, axis=0), tl.min(…), tl.sum(x, axis=0).",
        _COMPILE,
    ),
    Rule(
        "tile_as_condition",
        r"Boolean value of Tensor with more than one value is ambiguous",
        "A condition needs one number, and this is a tile of them: choose lane by lane with tl.where, "
        "or give load and store a mask.",
        _COMPILE,
    ),
    Rule(
        "chained_comparison",
        r"simultaneous multiple comparison is not supported",
        "A kernel compares two at a time: write (a <= x) & (x < b).",
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"only tuple comprehensions are supported",
        "A kernel cannot contain Python's comprehensions: lanes are made by tl.arange, and steps by a loop.",
        _COMPILE,
    ),
    Rule(
        "tuple_for_number",
        r"'tuple(?:_type)?' object has no attribute '(?:type|scalar|dtype|handle)'",
        "A tuple stands where a number is meant: x.stride() and x.shape are tuples, x.stride(0) and x.shape[0] are numbers.",
        _COMPILE,
    ),
    Rule(
        "grid_is_a_number",
        r"\]\([^\n]{0,240}\n(?:[ ~^]{1,240}\n)?TypeError: object of type 'int' has no len\(\)",
        "The grid is a tuple of one to three numbers: kernel[(rows,)](…), with the comma.",
    ),
    Rule(
        "jit_missing",
        r"\]\([^\n]{0,240}\n(?:[ ~^]{1,240}\n)?TypeError: 'function' object is not subscriptable",
        "What is launched here is a plain function: put @triton.jit above it.",
    ),
    Rule(
        "broadcast",
        r"(?:[Cc]annot make_shape_compatible: incompatible dimensions at index (\d+): (\d+) and (\d+)"
        r"|could not be broadcast together|shape mismatch: objects cannot be broadcast)",
        "Two blocks of different shape meet: check which axis each belongs to, [:, None] for rows and [None, :] for columns.",
        _COMPILE,
    ),
    Rule(
        "loop_carried_type",
        r"Loop-carried variable (\w+) has initial type (.+?) but is re-assigned to (.+?)(?: in loop|$)",
        "{0} starts the loop as {1} and becomes {2} inside: give it its final shape and dtype before the loop "
        "(accumulators are float32).",
        _COMPILE,
    ),
    Rule(
        "branch_type",
        r"Mismatched type for (\w+) between then block \((.+?)\) and else block \((.+?)\)",
        "{0} is {1} in one branch and {2} in the other: give it one shape and dtype in both.",
        _COMPILE,
    ),
    Rule(
        "scalar_store",
        r"(?:Value|Mask|Other) argument cannot be block type if pointer argument is not a block",
        "A block of values meets a single address: add the offsets (pointer + tl.arange(…)) before loading or storing.",
        _COMPILE,
    ),
    Rule(
        "pointer_not_loaded",
        r"cannot cast (?:\[*\d{12}|[^\n]{0,80}pointer<)",
        "Addresses stand where numbers are meant: a pointer with offsets is a tile of addresses; tl.load gives what is there.",
        _COMPILE,
    ),
    Rule(
        "torch_in_kernel",
        r"'tensor' object has no attribute '\w+'|'NoneType' object has no attribute 'to_tensor'"
        r"|unsupported operand type\(s\) for @:|invalid combination of arguments - got \(tensor|must be Tensor, not tensor",
        "A tile is no torch tensor: in a kernel it is tl.exp(x), tl.max(x, axis=0), tl.sum(a * b, axis=1), x.to(tl.float32).",
        _COMPILE,
    ),
    Rule(
        "not_a_pointer",
        r"[Uu]nsupported ptr type (?:<\[?'?)?(?:u?int|\['?\d+|\d+)",
        "A load or store was given a number, which is no pointer: begin with a pointer of the kernel's and add offsets to it; "
        "launch it with the tensor itself, not with x.data_ptr().",
        _COMPILE,
    ),
    Rule(
        "not_a_pointer",
        r"[Uu]nsupported ptr type ([^\n]+)",
        "A load or store was given {0}, which is no pointer: begin with a pointer of the kernel's and add offsets to it.",
        _COMPILE,
    ),
    Rule(
        "block_pointer_mask",
        r"`mask` and `other` arguments cannot be specified for (?:loading|storing)? ?block pointers"
        r"|`mask` and `other` arguments cannot be specified for",
        "A block pointer takes no mask and no other: give boundary_check=(0, 1) and padding_option='zero' instead.",
        _COMPILE,
    ),
    Rule(
        "axis_missing",
        r"axis (\d+) out of bounds for shape \[([^\]]*)\]|invalid axis|invalid expand_dims",
        "This tile has one axis where two are meant: build two with offs_m[:, None] for rows and offs_n[None, :] for columns.",
        _COMPILE,
    ),
    Rule(
        "shape_is_a_number",
        r"\b(zeros|full|broadcast_to|reshape)\([^\n]{0,160}\n(?:[ ~^]{1,160}\n)?TypeError: 'int' object is not iterable",
        "tl.{0} takes its shape in brackets: [BLOCK], or [BLOCK_M, BLOCK_N].",
        _COMPILE,
    ),
    Rule(
        "pointer_indexed",
        r"'int' object is not iterable|unsupported tensor index|'pointer_type' object is not subscriptable"
        r"|'tensor' object does not support item assignment",
        "Neither a pointer nor a tile is indexed by numbers: add offsets to a pointer and load, tl.load(ptr + offs); "
        "choose a tile's lanes with tl.where.",
        _COMPILE,
    ),
    Rule(
        "returned_tensor",
        r"^ReturnedInsteadOfWritten: (\w+) returned a tensor and wrote nothing into (\w+(?:, \w+){0,9})$",
        "{0} returns a tensor and writes nothing into {1}: store the answer into {1}, which it is given.",
        Verdict.NOT_WRITTEN,
    ),
    Rule(
        "ptxas",
        r"ptxas[^\n]*?(?:error|fatal)\s*:\s*([^\n]+)",
        "The compiler's assembler says: {0}.",
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"unsupported AST node type: (\w{1,40})",
        "A kernel cannot contain Python's {0}: write it with a condition, a mask or a loop bound.",
        _COMPILE,
    ),
    Rule(
        "shared_memory",
        r"out of resource: shared memory, Required: (\d+), Hardware limit: (\d+)",
        "The kernel wants {0} bytes of shared memory and the GPU has {1} a block: smaller tiles or fewer stages.",
        _COMPILE,
    ),
    Rule(
        "registers",
        r"out of resource: (?:registers|threads)",
        "The kernel needs more registers than a block can have: smaller tiles or more warps.",
        _COMPILE,
    ),
    Rule(
        "jit_outside",
        r"Cannot call @triton\.jit'd outside of the scope of a kernel",
        "A kernel was called like a function: give it a grid, kernel[grid](…).",
    ),
    Rule(
        "undefined_in_kernel",
        r"(?:name '|NameError\(\"?)?\b(\w+)\b'? is not defined",
        "{0} is not defined where it is used.",
    ),
    Rule(
        "global_in_kernel",
        r"Cannot access global variable (\w+) from within @jit'ed function",
        "A kernel cannot read the global variable {0}: pass it as an argument, or make it a tl.constexpr.",
        _COMPILE,
    ),
    Rule(
        "missing_argument",
        r"\b(?!dynamic_func\b)(\w{1,80})\(\) missing \d+ required positional arguments?: '?([\w', and]+?)'?$",
        "{0} is called without its argument {1}.",
    ),
    Rule(
        "missing_argument",
        r"missing (?:a required|\d+ required positional) arguments?:? '?([\w', and]+?)'?$",
        "The kernel was launched without its argument {0}.",
    ),
    Rule(
        "unexpected_argument",
        r"got an unexpected keyword argument '(dim|keepdim)'",
        "The call passes {0}, which is torch's word: Triton's are axis and keep_dims.",
    ),
    Rule(
        "unexpected_argument",
        r"got an unexpected keyword argument '(\w+)'|Keyword argument (\w+) was specified but unrecognised",
        "The call passes an argument the function does not have: {0}.",
    ),
    Rule(
        "no_attribute",
        r"(?:module|type object) '([\w.]+)' has no attribute '(\w+)'",
        "{0} has no {1}.",
    ),
    Rule(
        "memory",
        r"^MemoryError",
        "The call asks for more memory than there is: allocate less scratch.",
        Verdict.MEMORY_LIMIT,
    ),
    Rule(
        "not_implemented",
        r"^NotImplementedError",
        "The kernel is not written yet.",
    ),
)

_OFFSET = "the offset is wrong: each index times its own stride, once."

# By where an access went; the first that is found in the fault's text.
REMEDIES = (
    (
        "through a block pointer",
        "give it boundary_check=(0, 1), the axes along which the tensor may end inside a block. "
        "Where it has that, its base, shape or strides are wrong.",
    ),
    ("was cast to another width", "step and load in the tensor's own type, and convert the values: .to(tl.float32)."),
    (", by one number", "the index is too large, or it is multiplied by the wrong number."),
    (", with every lane", f"mask the lanes beyond it, if a tile may begin behind the end. If it lies inside: {_OFFSET}"),
    (
        ", within its mask",
        f"the mask lets lanes through that lie beyond. Hold each index against its own length, joined with &. Or: {_OFFSET}",
    ),
    ("past the end of", "mask the lanes beyond it, as in mask=offs < length; or mend the offset, if none should lie there."),
    ("before the start of", "some offset is negative."),
    ("far outside", "some offset is far too large: is a stride or an index of another tensor used?"),
)


_AT_IMPORT = (
    "this line runs while the file is imported, before there is a case. "
    'Put what tries the kernel out under `if __name__ == "__main__":`.'
)

# Our own rules, by what a refusal says: of a case that is not shown no more than this is told, and none of it is the case's.
RULES_OF_OURS = (
    ("of scratch", "a call may allocate only so much scratch"),
    ("launches", "one call may make 64 launches"),
    ("tensors;", "a call may make only so many tensors"),
    ("values on the host", "the host may not read a tensor's values"),
    ("may be filled", "only out and scratch may be filled"),
    ("neither got nor made", "kernels work on tensors of this call alone"),
    ("launches no Triton kernel", "the work is to be done by a Triton kernel"),
    ("is not allowed here", "the work is to be done by your own kernels"),
)
# What no GPU does, or no compiler, and a size that nobody sees may ask for.
LIMITS = (
    ("is not possible on a GPU", "a grid has at most 65535 programs along its second and its third axis"),
    ("out of resource: shared memory", "a tile, or its stages, take more shared memory than a block has"),
    ("out of resource: ", "a tile takes more registers or threads than a block has"),
    ("exceeds triton maximum tensor numel", "a tile has at most 1048576 elements"),
)


def rule_of(fault: Fault) -> str:
    """Which rule of ours a refusal was, or which limit was passed, in words that hold nothing of the case; "": neither."""
    rules = {"refused": RULES_OF_OURS, "run": LIMITS, "compile": LIMITS}.get(fault.stage, ())
    return next((rule for mark, rule in rules if mark in fault.text), "")


def explain(fault: Fault) -> tuple[Verdict, Diagnosis]:
    """The verdict of a session's fault, and one sentence on it with the learner's own line."""
    verdict, diagnosis = _explain(fault)
    if not any(c.isalnum() for c in diagnosis.sentence):  # it may say nothing, or only that something was not printable
        diagnosis = dataclasses.replace(diagnosis, sentence=verdict.sentence)
    return verdict, diagnosis


def _explain(fault: Fault) -> tuple[Verdict, Diagnosis]:
    verdict = VERDICT_OF_STAGE[fault.stage]
    if fault.stage == "refused" and AT_IMPORT in fault.text:
        return verdict, Diagnosis(sentence=_with_line(_AT_IMPORT, fault.line), name="at_import", line=fault.line)
    if fault.stage in ("refused", "bounds", "input_changed", "entry"):
        text = _with_remedy(fault.text) if fault.stage == "bounds" else fault.text
        return verdict, Diagnosis(sentence=_with_line(text, fault.line), name=fault.stage, line=fault.line)
    if fault.stage == "syntax":
        text = _closed(f"Python cannot read the file: {_one_line(fault.text)}")
        return verdict, Diagnosis(sentence=_with_line(text, fault.line), name="syntax", line=fault.line)
    searched = legible(f"{fault.error_type}: {fault.text}\n{fault.raw}")
    for rule in RULES:
        found = re.search(rule.pattern, searched, flags=re.M)
        if found:
            groups = [group for group in found.groups() if group is not None]
            sentence = rule.sentence.format(*groups, *[""] * 4)
            if rule.name == "not_implemented" and fault.text:
                sentence = _closed(_one_line(fault.text))
            diagnosis = Diagnosis(sentence=_with_line(sentence, fault.line), name=rule.name, line=fault.line)
            return rule.verdict or verdict, diagnosis
    text = _closed(f"{fault.error_type}: {_one_line(fault.text)}".rstrip(": "))
    return verdict, Diagnosis(sentence=_with_line(text, fault.line), name=fault.stage, line=fault.line)


def legible(text: str) -> str:
    """The beginning of a hostile text, its lines cut: rules look for a stretch within a line, and hostile lines have no end."""
    return "\n".join(line[:LINE_LIMIT] for line in text[:LOOKED_AT].split("\n", LINES_LIMIT)[:LINES_LIMIT])


def _with_remedy(text: str) -> str:
    """What usually mends an access outside a tensor."""
    remedy = next((remedy for where, remedy in REMEDIES if where in text), "")
    if remedy and "past the end of scratch" in text:
        remedy += " Scratch is loaded with the offsets that it was stored with: the same pitch, the same order."
    return f"{text.rstrip('.')}: {remedy}" if remedy else text


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    return line if len(line) <= 240 else line[:239] + "…"


def _closed(text: str) -> str:
    """With a full stop, unless it ends as a sentence does: Python asks "perhaps you meant '=='?"."""
    return text if text.endswith((".", "?", "!", "…")) else text + "."


def _with_line(sentence: str, line: int | None) -> str:
    return f"Line {line}: {sentence}" if line else sentence
