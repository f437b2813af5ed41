"""Questions to a backward pass: gradients are linear in dout, so that identities around them show P and dS themselves.

Where key is a multiple of the identity, query alone makes the scores and dquery is dS, as the launch over queries has it. Where
query is that multiple, dkey is dS transposed; where dout is the identity, its rows in reverse so that it is no multiple of
query, dvalue is P transposed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number, several
from grader.judge.diagnosis.probes import layouts
from grader.judge.diagnosis.probes.inputs import FP16, drawn
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.judge.diagnosis.probes.weights import picture
from grader.report import Fact
from labs import table
from labs.declaration import Inputs, Lab

SCALE = 0.25
ONE = 1 / SCALE  # the identity's in key or query: the other then holds the scores
NEAR = 0.02  # of a matrix's largest number: closer is the same
SHARE = 0.02  # of a factor, a sum or a mean: closer is the same
HEADS_KV, GROUP = 2, 3
STEP = 0.25  # from a head's score to the next one's

Pairs = Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # of the outputs that are wrong: what came out, what should have


def gradients(lab: Lab) -> Iterator[KernelQuestion]:
    """The statistics before what is computed from them, one head and few keys before many."""
    yield from _statistics(lab)
    yield _no_dout(lab)
    for rows, keys in ((12, 12), (12, 20), (20, 12)):
        yield from _weights(lab, drawn(71, rows, keys), 32, "drawn scores")
    yield from _heads(lab)
    for rows, keys in ((70, 70), (40, 100), (100, 40)):
        yield from _weights(lab, torch.zeros(rows, keys), 128, "all scores 0")
    yield from layouts.layouts(lab, "backward")


def _given(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dout: torch.Tensor) -> Inputs:
    """The lab's arguments but what is written; of one head where they are [rows, head_dim]."""
    whole = {"query": query, "key": key, "value": value, "dout": dout}
    made = {name: x.reshape((1,) * (4 - x.dim()) + x.shape).to(FP16).contiguous() for name, x in whole.items()}
    return {**made, "softmax_scale": SCALE}


def _question(lab: Lab, name: str, given: Inputs, what: str, read: Callable[[Pairs], Reading | Fact | None]) -> KernelQuestion:
    """One case; `read` gets the outputs that are wrong."""

    def reading(found: Sequence[Finding]) -> Reading | None:
        wrong = _wrong(found[0])
        said = read(wrong) if wrong and all(bool(torch.isfinite(got).all()) for got, _ in wrong.values()) else None
        return Reading(fact=said) if isinstance(said, Fact) else said

    return KernelQuestion(name=name, cases=(prepared(lab, name, given, FP16, what=what),), read=reading)


def _wrong(finding: Finding) -> Pairs:
    """Each output that has a row which the gate refuses."""
    if finding.out is None or finding.expected is None or finding.comparison is None:
        return {}
    forms, bad = finding.prepared.forms, finding.comparison.bad_rows
    owner = [form for form in forms for _ in range(form.rows)]
    wrong = [form for form in forms if form in {owner[row] for row in bad}]
    return {
        form.name: (table.part(forms, form, finding.out).double(), table.part(forms, form, finding.expected).double())
        for form in wrong
    }


def _statistics(lab: Lab) -> Iterator[KernelQuestion]:
    """8 keys of one score: lse of the query that sees n of them is that score and ln n."""
    keys, head_dim = 8, 32
    for score in (0.0, 3.0, 200.0, -200.0):
        query, key = torch.zeros(keys, head_dim), torch.zeros(keys, head_dim)
        query[:, 0], key[:, 0] = score / 4, 4 * ONE
        value = drawn(72, keys, head_dim)
        given = _given(query, key, value, torch.zeros(keys, head_dim))

        def read(wrong: Pairs, score: float = score) -> Fact | None:
            if "lse" not in wrong:
                return None
            got, want = (x.flatten() for x in wrong["lse"])
            query = int((got - want).abs().argmax())
            seen = f"{query + 1} keys" if query else "one key"
            what = f"a query that sees {seen} of score {number(score)}"
            return Fact(given=what, got=f"its lse is {number(got[query])}", expected=number(want[query]))

        yield _question(lab, f"lse_{score:g}", given, f"{keys} keys of score {number(score)}", read)


def _no_dout(lab: Lab) -> KernelQuestion:
    """Gradients of nothing are nothing."""
    given = _given(drawn(73, 12, 32), drawn(74, 12, 32), drawn(75, 12, 32), torch.zeros(12, 32))

    def read(wrong: Pairs) -> Fact | None:
        later = {name: got for name, (got, want) in wrong.items() if not bool(want.any())}
        if not later:
            return None
        name, got = next(iter(later.items()))
        return Fact(given="dout is 0 throughout", got=f"{name} is up to {number(got.abs().max())}", expected="0")

    return _question(lab, "nothing", given, "dout is 0", read)


def _weights(lab: Lab, scores: torch.Tensor, head_dim: int, what: str) -> Iterator[KernelQuestion]:
    """dS as the launch over queries has it; P and dS as that over keys does. scores: [rows, keys], at most head_dim of each."""
    rows, keys = scores.shape
    said = f"{rows} queries, {keys} keys, {what}"
    seen = torch.arange(keys)[None, :] <= torch.arange(rows)[:, None] + keys - rows
    wide = torch.nn.functional.pad(scores, (0, head_dim - keys))
    high = torch.nn.functional.pad(scores.mT, (0, head_dim - rows))
    value, dout = drawn(76, keys, head_dim), drawn(77, rows, head_dim)
    of_forward = _given(wide, ONE * torch.eye(keys, head_dim), torch.eye(keys, head_dim), dout)
    of_queries = _given(wide, ONE * torch.eye(keys, head_dim), value, dout)
    of_keys = _given(ONE * torch.eye(rows, head_dim), high, value, torch.eye(rows, head_dim).flip(0))

    def forward(wrong: Pairs) -> Reading | None:
        return _told("out", "P", *(x[0, 0, :, :keys] for x in wrong["out"]), seen=seen, what=said) if "out" in wrong else None

    def by_queries(wrong: Pairs) -> Reading | None:
        if wrong.keys() != {"dquery"}:
            return None
        return _told("dquery", "dS", *(x[0, 0, :, :keys] for x in wrong["dquery"]), seen=seen, what=said)

    def by_keys(wrong: Pairs) -> Reading | None:
        for name, matrix in (("dvalue", "P"), ("dkey", "dS")):
            if name in wrong and "out" not in wrong and "lse" not in wrong:
                found = [x[0, 0, :, :rows].mT for x in wrong[name]]
                found = [x.flip(0) for x in found] if name == "dvalue" else found
                return _told(name, matrix, *found, seen=seen, what=said)
        return None

    yield _question(lab, f"forward_{rows}_{keys}", of_forward, said, forward)
    yield _question(lab, f"queries_{rows}_{keys}", of_queries, said, by_queries)
    yield _question(lab, f"keys_{rows}_{keys}", of_keys, said, by_keys)


def _told(name: str, matrix: str, got: torch.Tensor, want: torch.Tensor, *, seen: torch.Tensor, what: str) -> Reading | None:
    """What is wrong with P or dS, [rows, keys], as `name` shows it."""
    near = NEAR * float(want.abs().max())
    bad = (got - want).abs() > near
    if not bool(bad.any()):
        return None
    given = f"{what}, laid out so that {name} is {matrix}{' transposed' if name in ('dkey', 'dvalue') else ''}"
    hidden, lost = bad & ~seen, bad & (got.abs() <= near)
    factor = float((got * want).sum() / want.square().sum())
    sums, whole = got.sum(-1), (want.sum(-1) if matrix == "P" else torch.zeros(len(got)))
    off = (sums - whole).abs() > SHARE * len(got[0]) * float(want.abs().max())
    if not bool((got.abs() > near).any()):
        said, expected = "all of it is 0", f"up to {number(want.abs().max())}"
    elif bool(((got - factor * want).abs() <= near * max(abs(factor), 1.0)).all()):
        said, expected = f"every number is {float(f'{factor:.3g}'):g} times what it should be", "1 time"
    elif bool(hidden.any()):
        row, key = _largest(got.where(hidden, torch.zeros(())))
        said = f"query {row} has {number(got[row, key])} for key {key}, which it does not see{_more(hidden)}"
        expected = "0"
    elif bool((lost == bad).all()):
        key = int(bad.any(0).nonzero()[0])
        rows = lost[:, key].nonzero().flatten().tolist()
        which = f"query {rows[0]} has" if len(rows) == 1 else f"queries {several(rows)} have"
        said, expected = f"{which} 0 for key {key}{_more(lost, len(rows))}", f"up to {number(want[:, key].abs().max())}"
    elif bool(off.any()) and matrix == "P":
        row = _largest((sums - whole).abs()[:, None])[0]
        said, expected = f"the weights of query {row} sum to {number(sums[row])}", number(whole[row])
    elif bool(off.any()):
        row = _largest(sums.abs()[:, None])[0]
        said, expected = f"the numbers of query {row} sum to {number(sums[row])}", "0: what one key is given others give up"
    else:
        row, key = _largest((got - want).abs())
        said, expected = f"query {row} has {number(got[row, key])} for key {key}", number(want[row, key])
    return Reading(
        fact=Fact(given=given, got=said, expected=expected),
        picture=picture(got[None], want[None], f"{matrix} in {name}: {what}"),
    )


def _largest(x: torch.Tensor) -> tuple[int, int]:
    row, column = divmod(int(x.abs().argmax()), x.shape[-1])
    return row, column


def _more(cells: torch.Tensor, said: int = 1) -> str:
    count = int(cells.sum()) - said
    return f", and so have {count} more pairs" if count else ""


def _heads(lab: Lab) -> Iterator[KernelQuestion]:
    """Each query head has a channel of its own in dout, or query: dvalue, and dkey, show whose parts a kv head has summed."""
    heads, head_dim, batch = HEADS_KV * GROUP, 32, 2
    count = batch * heads
    own = torch.eye(count, head_dim).reshape(batch, heads, 1, head_dim)
    key = torch.zeros(batch, HEADS_KV, 1, head_dim)
    value = drawn(78, batch, HEADS_KV, 1, head_dim)
    given = _given(torch.zeros(batch, heads, 1, head_dim), key, value, own)
    what = f"batch {batch}, {HEADS_KV} kv heads of {GROUP} query heads each, one query and one key; each head's dout is its own"
    yield _question(lab, "heads_dvalue", given, what, functools.partial(_summed, name="dvalue", what=what))
    # two keys, of which the second's value is 2 in channel 31 and the first's 0: dS is −1/2, 1/2 for a dout of 1 there
    key, value = torch.zeros(batch, HEADS_KV, 2, head_dim), torch.zeros(batch, HEADS_KV, 2, head_dim)
    value[:, :, 1, -1] = 4 / SCALE
    dout = torch.zeros(batch, heads, 1, head_dim)
    dout[..., -1] = 1.0
    what = (
        f"batch {batch}, {HEADS_KV} kv heads of {GROUP} query heads each, one query and two keys; each head's query is its own"
    )
    given = _given(own, key, value, dout)
    yield _question(lab, "heads_dkey", given, what, functools.partial(_summed, name="dkey", what=what))
    yield _statistics_of_heads(lab, own, of="lse")
    yield _statistics_of_heads(lab, own, of="delta")


def _statistics_of_heads(lab: Lab, own: torch.Tensor, *, of: str) -> KernelQuestion:
    """Each query head has an lse, or a delta, of its own: whose is read? own: a channel a head, [batch, heads, 1, head_dim].

    With one key of score s, P is exp(s − lse), which dvalue shows. With two keys of score 0, whose dP are 0 and 2δ, dS of the
    first is −δ / 2, which dkey shows.
    """
    batch, heads, _, head_dim = own.shape
    number_of = torch.arange(batch * heads).reshape(batch, heads, 1).float()
    keys = 1 if of == "lse" else 2
    key, value = torch.zeros(batch, HEADS_KV, keys, head_dim), torch.zeros(batch, HEADS_KV, keys, head_dim)
    query, dout = torch.zeros(own.shape), own
    if of == "lse":
        query[..., 0], key[..., 0] = STEP * number_of, ONE
    else:
        query, dout = own, torch.zeros(own.shape)
        dout[..., -1], value[:, :, 1, -1] = 1 + number_of, 4 / SCALE
    what = f"batch {batch}, {HEADS_KV} kv heads of {GROUP} query heads each, each head's {of} its own"
    given = _given(query, key, value, dout)
    shown = {"lse": "dvalue", "delta": "dkey"}[of]

    def read(wrong: Pairs) -> Fact | None:
        if shown not in wrong or wrong.keys() & {"out", "lse"}:
            return None
        got, want = (x[:, :, 0].repeat_interleave(GROUP, 1).flatten(0, 1).diagonal() for x in wrong[shown])
        place = torch.arange(batch * heads)
        source = place - torch.log(got.clamp(min=1e-9)) / STEP if of == "lse" else (1 + place) * got / want - 1
        whole = source.round().long()
        sure = ((source - whole).abs() < 10 * SHARE) & (whole >= 0) & (whole < len(place))
        bad = (sure & (whole != place)).nonzero().flatten().tolist()
        if not bad or not bool(sure.all()):
            return None
        said = "; ".join(f"head {_at(at, heads)} reads the {of} of head {_at(int(whole[at]), heads)}" for at in bad[:3])
        return Fact(given=f"{what}, as {shown} shows it", got=said, expected="its own")

    return _question(lab, f"heads_{of}", given, what, read)


def _at(place: int, heads: int) -> str:
    return f"{place % heads} of batch {place // heads}"


def _summed(wrong: Pairs, name: str, what: str) -> Fact | None:
    """How often each query head is in a kv head's sum; only where that is a number of times, and not its own heads alike."""
    if wrong.keys() != {name}:
        return None
    got, want = (x[:, :, -1] for x in wrong[name])
    if not bool(((got - got.round()).abs() < SHARE).all()):
        return None
    heads = HEADS_KV * GROUP
    counts = got.round()
    batch, head = (counts != want).any(-1).nonzero()[0].tolist()
    counted = [(int(place), int(counts[batch, head, place])) for place in counts[batch, head].nonzero().flatten()]
    own = [batch * heads + head * GROUP + member for member in range(GROUP)]
    alike = [place for place, _ in counted] == own and len({times for _, times in counted}) == 1
    if not counted or alike or any(times < 0 for _, times in counted):
        return None
    said = ", ".join(_whose(place, times, batch, heads) for place, times in counted)
    first = head * GROUP
    expected = f"heads {first} to {first + GROUP - 1} of batch {batch}, once each"
    return Fact(given=what, got=f"{name} of batch {batch}, kv head {head} sums query heads: {said}", expected=expected)


def _whose(place: int, times: int, batch: int, heads: int) -> str:
    of_batch = "" if place // heads == batch else f" of batch {place // heads}"
    return f"{place % heads}{of_batch}" + (f" ({times} times)" if times != 1 else "")
