"""What the bug hunt shows, as HTML: a task's card, its file line by line, what is said to an answer, where the kinds stand.

Pure: plain data in, text out. The key to a task is in what `found`, `named` and `answer` say, and nowhere else.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Collection, Iterable, Mapping
from html import escape

import labs
from grader import wording
from grader.report import Verdict
from labs.declaration import Case
from labs.hunt.kinds import Kind
from labs.hunt.schedule import DAYS, Reply, Standing
from labs.hunt.task import HARDEST, Task
from tabs.labs.report_prose import set_code

REPORT, CASES = "report", "cases"  # how much a task tells
STRIP = 12  # replies of a kind that its row shows
_LINE = re.compile(r"\b([Ll]ines?) \d{1,5}\b")

INTRODUCTION = f"""
# Bug hunt

A kernel that was right until one thing in it was broken. Mark the line, name the kind of bug, mend it: in any order, or only
what you like. Kinds that you miss come back after {DAYS[0]}, {DAYS[1]} and {DAYS[2]} days.
"""


def card(task: Task, level: str, note: str = "") -> str:
    """What is told of a task. `level`: REPORT, what the report says; CASES, only which cases fail."""
    title = labs.load(task.lab).lab.title
    number = labs.number_of(task.lab)
    dots = "●" * task.level + "○" * (HARDEST - task.level)
    hard = f'<span role="img" aria-label="difficulty {task.level} of {HARDEST}">{dots}</span>'
    sentence = ""
    if level == REPORT:
        verdict = Verdict(task.told.verdict)
        word = f'<span class="wrong"><span aria-hidden="true">{wording.sign(verdict)}</span> {wording.WORDS[verdict]}</span>'
        sentence = f'<p class="hunt-sentence">{word} · {set_code(wording.sentence(_without_lines(task.told.sentence)))}</p>'
    noted = f'<p class="note" role="status">{escape(note)}</p>' if note else ""
    return (
        f'<article class="hunt-card">{noted}<p class="note">Lab {number} · {escape(title)} · {hard}</p>{sentence}'
        f"{_cases('fail', task.shown)}{_cases('pass', task.hidden)}</article>"
    )


def _without_lines(sentence: str) -> str:
    """A report may name the line, which is what the learner is to find."""
    return _LINE.sub(r"\1 …", sentence)


def _cases(word: str, cases: Collection[Case]) -> str:
    if not cases:
        return ""
    tone, sign = ("wrong", "✗") if word == "fail" else ("right", "✓")
    chips = "".join(
        f'<li class="chip {tone}"><span aria-hidden="true">{sign}</span> {escape(case.name)}'
        f'<span class="unseen"> {word}s</span><span class="note"> {escape(_sizes(case))}</span></li>'
        for case in cases
    )
    return f'<div class="chip-row"><p class="note">Cases that {word}</p><ul class="chips">{chips}</ul></div>'


def _sizes(case: Case) -> str:
    told = [f"{name}={size}" for name, size in case.sizes.items()]
    told += [str(case.dtype).removeprefix("torch.")] + [f"{name} strided" for name in case.strided]
    return " ".join(told)


def listing(task: Task, lit: Collection[int] = ()) -> str:
    """The file, a button for each line that holds anything; `lit`: the lines that are known to be wrong."""
    rows = []
    for number, line in enumerate(coloured(task.source), 1):
        inner = f'<span class="number">{number}</span><code>{line or " "}</code>'
        if not line.strip():
            rows.append(f'<div class="line">{inner}</div>')
            continue
        checked = " checked" if lit and number == min(lit) else ""
        tone = " lit" if number in lit else ""
        told = '<span class="unseen"> wrong</span>' if number in lit else ""
        button = f'<input type="radio" name="hunt-line" value="{number}"{checked}>'
        rows.append(f'<label class="line{tone}">{button}{inner}{told}</label>')
    return (
        f'<fieldset class="hunt-code" data-task="{task.id}"><legend class="unseen">Which line is wrong?</legend>'
        f'<div class="lines">{"".join(rows)}</div></fieldset>'
    )


def coloured(source: str) -> list[str]:
    """Its lines as HTML, keywords and comments marked."""
    lines = source.splitlines()
    marks: dict[int, list[tuple[int, int, str]]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        tone = _tone(token)
        if tone:
            for row in range(token.start[0], token.end[0] + 1):
                begin = token.start[1] if row == token.start[0] else 0
                end = token.end[1] if row == token.end[0] else len(lines[row - 1])
                marks.setdefault(row, []).append((begin, end, tone))
    return [_marked(line, marks.get(number, ())) for number, line in enumerate(lines, 1)]


def _tone(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "keyword"
    return "comment" if token.type == tokenize.COMMENT or token.string.startswith(('"""', "'''")) else ""


def _marked(line: str, marks: Iterable[tuple[int, int, str]]) -> str:
    told, done = "", 0
    for begin, end, tone in marks:
        told += f'{escape(line[done:begin])}<span class="{tone}">{escape(line[begin:end])}</span>'
        done = end
    return told + escape(line[done:])


def _said(right: bool, text: str) -> str:
    tone, sign = ("right", "✓") if right else ("wrong", "✗")
    return f'<p class="hunt-said" role="status"><span class="{tone}"><span aria-hidden="true">{sign}</span></span> {text}</p>'


def nothing_chosen(what: str) -> str:
    return f'<p class="hunt-said" role="status">{escape(what)}</p>'


def not_it(line: int) -> str:
    return _said(False, f"Line {line} is not where the bug is. Look again.")


def found(task: Task) -> str:
    lines = sorted(task.lines)
    return _said(True, f"Line{'' if len(lines) == 1 else 's'} {wording.listed([str(line) for line in lines])}.")


def not_named(kind: Kind) -> str:
    return _said(False, f"Not “{escape(kind.title)}”. That would be: {escape(kind.says[0].lower() + kind.says[1:])}")


def named(task: Task) -> str:
    return _said(True, f"{escape(task.kind.title)}. {escape(task.kind.says)}")


def tried(times: int) -> str:
    """After a reload: what was wrong stays wrong."""
    return _said(False, f"Tried {'once' if times == 1 else f'{times} times'}, not found yet.")


def false_mend(sentence: str) -> str:
    return _said(False, escape(sentence))


def answer(task: Task, *, gave_up: bool) -> str:
    """The whole key: what is broken, and the lines as they are and as they should be."""
    lead = "The answer." if gave_up else '<span class="right"><span aria-hidden="true">✓</span> Mended.</span>'
    pieces = []
    for change in task.changes:
        wrong = "".join(f'<span class="yours">− {escape(line)}</span>' for line in change.wrong.splitlines())
        right = "".join(f'<span class="theirs">+ {escape(line)}</span>' for line in change.right.splitlines())
        pieces.append(f'<span class="place">line {change.first}</span>{wrong}{right}')
    told = f"<p>{lead} <b>{escape(task.kind.title)}.</b> {set_code(task.mistake.what)}</p>"
    diff = f'<pre class="code diff" tabindex="0">{"".join(pieces)}</pre>'
    return f'<div class="hunt-answer report" role="status">{told}{diff}</div>'


def kinds(standings: Mapping[str, Standing], replies: Mapping[str, list[Reply]], now: float) -> str:
    """The reader's own figure: each kind, known or missed, its last replies, and when it comes back."""
    met = {name: one for name, one in standings.items() if one.due is not None}
    known = sum(one.known for one in met.values())
    rows = "".join(_row(one, replies.get(name, []), now) for name, one in met.items())
    unmet = ", ".join(escape(one.kind.title) for one in standings.values() if one.due is None)
    return (
        f'<figure class="hunt-kinds"><figcaption><b>{known} kinds known, {len(met) - known} missed</b></figcaption>'
        f"{f'<ul>{rows}</ul>' if rows else ''}"
        + (f'<p class="note">Not met yet: {unmet}.</p>' if unmet else "")
        + '<p class="note">A square is an answer, the newest at the right; a bar says how likely you know the kind today. '
        "A task counts here once you have named its kind, mended it, or seen the answer.</p></figure>"
    )


def _row(standing: Standing, replies: list[Reply], now: float) -> str:
    strip = "".join(
        f'<i class="{"right" if reply.right else "wrong"}">{"✓" if reply.right else "✗"}</i>' for reply in replies[-STRIP:]
    )
    bar = f'<span class="bar-track"><i style="width:{100 * standing.recalled:.0f}%"></i></span>' if standing.known else ""
    return (
        f'<li class="{"known" if standing.known else "missed"}"><span class="kind">{escape(standing.kind.title)}</span>'
        f'<span class="strip" aria-hidden="true">{strip}</span><span class="odds" aria-hidden="true">{bar}</span>'
        f'<span class="stands">{_stands(standing, now)}</span></li>'
    )


def _stands(standing: Standing, now: float) -> str:
    assert standing.due is not None  # it was met
    sign, word = ("✗", "missed") if standing.missed else ("✓", "known")
    count = f'<span class="unseen">, {standing.right} right, {standing.wrong} wrong</span>'
    return f'<b><span aria-hidden="true">{sign}</span> {word}</b>{count}, {_back(standing.due - now)}'


def _back(seconds: float) -> str:
    days = seconds / 86400
    if days <= 0:
        return "due now"
    if days < 1:
        return "back within a day"
    return "back in a day" if round(days) == 1 else f"back in {round(days)} days"
