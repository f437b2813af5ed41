"""The effective weights: attention is linear in value, so with columns of the identity the output is the weights themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import keys_named, number, several
from grader.judge.diagnosis.probes.inputs import FP16, WIDE_OPEN, arguments, at_levels, drawn, identity, keys_a_channel, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, never_written, prepared
from grader.report import Fact, Picture
from labs.declaration import Lab

SCALE = 0.25
RUNS = 4  # of keys whose weights are off by one factor each, at most
ALIKE = 0.01  # of a factor
LINE, STRAIGHT = 6, 0.02  # weights through which a line is laid, and how far off they are at most, of what they differ by
PICTURE_SIDE = 32  # rows and columns of a picture, at most


def small(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Few keys at drawn scores: square, wide and tall."""
    for rows, keys in ((12, 12), (12, 20), (20, 12), (5, 40)):
        if kind in ("decode", "fp8", "nvfp4"):
            rows = 1
        query, key = drawn(11, 1, 1, rows, 64), drawn(12, 1, 1, keys, 64)
        what = f"{rows} queries, {keys} keys" if rows > 1 else f"one query, {keys} keys"
        window = 7 if kind == "window" else WIDE_OPEN
        what += f", window {window}" if kind == "window" else ""
        yield _weighed(lab, kind, f"weights_{rows}_{keys}", query, key, what, window=window)


def levels(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """All scores near one number; heads or rows at numbers of their own; one key far above the rest."""
    many = kind not in ("decode", "fp8", "nvfp4")
    noise = 0.0 if kind in ("fp8", "nvfp4") else 0.5
    for level in (-200.0, 200.0, -20.0, -100.0, -40.0, -5000.0, 1000.0):
        for keys in (64, 50) if level not in (-100.0, -40.0) else (50,):  # which number the padding has, if it has one
            rows = torch.ones(4 if many else 1)
            query, key = at_levels(rows, torch.full((keys,), level), 64, noise=noise)
            what = f"all scores near {number(level)}, {keys} keys"
            yield _weighed(lab, kind, f"level_{level:g}_{keys}", query, key, what)
    if many:
        query, key = at_levels(torch.linspace(-300, 300, 8) / 8, torch.full((64,), 8.0), 64, noise=noise)
        yield _weighed(lab, kind, "rows_at_levels", query, key, "rows at scores from −300 to 300, 64 keys")
    else:
        one, key = at_levels(torch.ones(1), torch.full((64,), 1.0), 64, noise=noise)
        query = torch.cat([one * level for level in (300.0, -300.0, 0.0, 150.0)], dim=1)
        yield _weighed(lab, kind, "heads_at_levels", query, key, "the heads of a group at scores near 300, −300, 0, 150")
    for place, said in ((0, "first"), (-1, "last")):
        score = torch.zeros(200)
        score[place] = 180.0
        query, key = at_levels(torch.ones(1), score, 64)
        yield _weighed(lab, kind, f"peak_{said}", query, key, f"200 keys, the {said} scores 180 more than the others")


def heads(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Several sequences and heads at once, as many of both and not."""
    for batch, kv_heads, group in ((3, 3, 1), (2, 3, 1), (2, 2, 3), (2, 2, 4), (1, 2, 5)):
        if kind not in ("decode", "fp8", "nvfp4") and group > 1:
            continue
        rows = 1 if kind in ("decode", "fp8", "nvfp4") else 5
        query, key = drawn(21, batch, kv_heads * group, rows, 32), drawn(22, batch, kv_heads, 8, 32)
        size = f"{kv_heads} cache heads of {group} query heads each" if group > 1 else f"{kv_heads} heads"
        yield _weighed(lab, kind, f"heads_{batch}_{kv_heads}_{group}", query, key, f"batch {batch}, {size}, 8 keys")


def rows(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Numbers of queries around the edges of tiles."""
    if kind in ("decode", "fp8", "nvfp4"):
        return
    for count in (1, 15, 17, 63, 65, 130):
        query, key = drawn(31, 1, 2, count, 32), drawn(32, 1, 2, 24, 32)
        yield _weighed(lab, kind, f"queries_{count}", query, key, f"{count} queries, 24 keys, 2 heads")


def _weighed(
    lab: Lab, kind: str, name: str, query: torch.Tensor, key: torch.Tensor, what: str, *, window: int = WIDE_OPEN
) -> KernelQuestion:
    batch, kv_heads, keys, head_dim = key.shape
    value = identity(kind, batch, kv_heads, keys, head_dim)
    given = arguments(kind, query, key, value, scale=SCALE, window=window)
    case = prepared(lab, name, given, FP16, what=what)
    return KernelQuestion(name=name, cases=(case,), read=lambda found: read_weights(found, kind, keys, what))


def read_weights(found: Sequence[Finding], kind: str, keys: int, what: str) -> Reading | None:
    """The weight that is farthest off, and all of the first head's where they are few."""
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    if (lacking := never_written(finding, what)) is not None:
        return lacking
    per = keys_a_channel(keys, finding.out.shape[-1])
    channels = -(-keys // per)
    got, wanted = (x[..., :channels].double() / unit(kind) for x in (finding.out, finding.expected))
    rows = got.reshape(-1, channels)
    off = (got - wanted).abs().nan_to_num(nan=torch.inf, posinf=torch.inf).reshape(-1, channels)
    flat = int(off.argmax())
    row, channel = divmod(flat, channels)
    place = where(tuple(got.shape[:-1]), row, decodes=kind in ("decode", "fp8", "nvfp4"))
    tells = ""
    if not bool(torch.isfinite(rows[row]).all()):
        bad = (~torch.isfinite(rows).all(-1)).nonzero().flatten().tolist()
        said = f"NaN or Inf in {place}" + (f" and {len(bad) - 1} more rows" if len(bad) > 1 else "")
        fact = Fact(given=what, got=said, expected="weights that sum to 1")
    elif (other := _whose(rows[row], wanted.reshape(-1, channels), row)) is not None:
        of = where(tuple(got.shape[:-1]), other, decodes=kind in ("decode", "fp8", "nvfp4"))
        fact = Fact(given=what, got=f"{place} gets the weights of {of}{right_rows(finding)}", expected="its own")
    elif per == 1 and (head := _whose_key(finding, rows[row], row)) is not None:
        fact = Fact(
            given=what,
            got=f"{place} has weights that go by the keys of batch {head[0]}, head {head[1]}",
            expected="by those of its own head",
        )
    elif (factor := _one_factor(rows[row], wanted.reshape(-1, channels)[row])) is not None:
        got_sum = number(factor * float(wanted.reshape(-1, channels)[row].sum()))
        fact = Fact(given=what, got=f"the weights of {place} sum to {got_sum}, and have the right ratios", expected="1")
        tells = "sum"
    elif per == 1 and (runs := _runs(rows[row], wanted.reshape(-1, channels)[row])):
        said = ", ".join(f"{keys_named(list(run))} by the factor {number(times)}" for run, times in runs)
        fact = Fact(given=what, got=f"weights of {place} are off: {said}", expected="1")
    else:
        first = channel * per
        which = f"key {first}" if per == 1 else f"keys {several(list(range(first, min(first + per, keys))))}"
        fact = Fact(
            given=what,
            got=f"{place} gives {which} the weight {number(rows[row, channel])}{right_rows(finding)}",
            expected=number(wanted.reshape(-1, channels)[row, channel]),
        )
        lost_or_shown = (rows[row] == 0) != (wanted.reshape(-1, channels)[row] == 0)
        tells = "mask" if bool(lost_or_shown.any()) else ""
    return Reading(fact=fact, picture=picture(got, wanted, what), tells=tells)


def _whose(got: torch.Tensor, wanted: torch.Tensor, own: int) -> int | None:
    """The one other row whose weights these are; None where there is none, or several."""
    near = ((wanted - got).abs().amax(-1) < 0.01).nonzero().flatten().tolist()
    return near[0] if len(near) == 1 and near[0] != own else None


def _whose_key(finding: Finding, got: torch.Tensor, row: int) -> tuple[int, int] | None:
    """The one other head by whose keys the logarithms of a query's weights go, in a straight line, where its own do not."""
    tensors = finding.prepared.tensors
    if tensors["query"].dim() != 4:  # decoding: groups share a head, and the cache may be of codes
        return None
    query, key = (tensors[name].double() for name in ("query", "key"))
    batch, heads, keys = key.shape[:3]
    if heads != query.shape[1] or batch * heads == 1 or keys < LINE:
        return None
    if got.numel() < keys or not bool((got[:keys] > 0).all()):
        return None
    y = torch.log(got[:keys])
    products = key.flatten(0, 1) @ query.flatten(0, 2)[row]  # [batch * heads, keys]
    x, y = products - products.mean(-1, keepdim=True), y - y.mean()
    rise = (x @ y) / x.square().sum(-1)
    rest = (y - rise[:, None] * x).square().mean(-1).sqrt()
    near = ((rest < STRAIGHT * y.square().mean().sqrt()) & (rise > 0)).nonzero().flatten().tolist()
    own = row // query.shape[2]
    return divmod(near[0], heads) if len(near) == 1 and near[0] != own else None


def _one_factor(got: torch.Tensor, wanted: torch.Tensor) -> float | None:
    """By what all weights of a row are off, where that is one number and there are several weights."""
    factor = float((got * wanted).sum() / wanted.square().sum())
    alike = bool(((got - factor * wanted).abs() <= 0.01 * abs(factor) * wanted.abs() + 1e-6).all())
    return factor if alike and int((wanted > 0).sum()) > 1 and factor > 0 else None


def _runs(got: torch.Tensor, wanted: torch.Tensor) -> list[tuple[range, float]]:
    """Runs of keys whose weights are off by one factor each, as where parts are joined with wrong weights; none where they are
    short, or many.
    """
    if not bool((wanted > 0).all() & (got > 0).all()):
        return []
    times = (got / wanted).tolist()
    starts = [0, *(at for at in range(1, len(times)) if abs(times[at] / times[at - 1] - 1) > ALIKE), len(times)]
    runs = [range(first, end) for first, end in itertools.pairwise(starts)]
    if not 2 <= len(runs) <= RUNS or min(map(len, runs)) < 2:
        return []
    return [(run, sum(times[run.start : run.stop]) / len(run)) for run in runs]


def right_rows(finding: Finding, what: str = "queries") -> str:
    """ "; queries 0 to 63 are right": the first rows, where the gate takes them in every head and none that follows."""
    assert finding.out is not None and finding.comparison is not None
    if what == "queries" and finding.out.dim() < 4:  # one query a sequence
        return ""
    count = finding.out.shape[-2]
    bad = {row % count for row in finding.comparison.bad_rows}
    first = min(bad, default=0)
    return f"; {what} 0 to {first - 1} are right" if first > 1 and len(bad) == count - first else ""


def picture(got: torch.Tensor, wanted: torch.Tensor, what: str) -> Picture | None:
    """Got and wanted weights of the first head that differs, where they are small enough to be shown."""
    rows, columns = got.shape[-2:] if got.dim() == 4 else (got.shape[-2], got.shape[-1])
    heads_got, heads_wanted = got.reshape(-1, rows, columns), wanted.reshape(-1, rows, columns)
    if rows > PICTURE_SIDE or columns > PICTURE_SIDE:
        return None
    off = (heads_got - heads_wanted).abs().nan_to_num(nan=torch.inf).amax(dim=(1, 2))
    worst = int(off.argmax())
    return Picture(kind="weights", title=what, got=_cells(heads_got[worst]), expected=_cells(heads_wanted[worst]))


def _cells(x: torch.Tensor) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(round(cell, 4) if abs(cell) < 1e6 else None for cell in row) for row in x.tolist())


def where(lead: tuple[int, ...], row: int, *, decodes: bool) -> str:
    """ "query 3 of batch 0, head 1": the row of that number in the flattened out."""
    index = []
    for size in reversed(lead):
        index.append(row % size)
        row //= size
    index = index[::-1]
    if decodes:
        batch, head = index
        return "the query" if lead == (1, 1) else f"batch {batch}, head {head}"
    batch, head, query = index
    return f"query {query}" if lead[:2] == (1, 1) else f"query {query} of batch {batch}, head {head}"
