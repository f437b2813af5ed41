"""Sources that are similar: found here and by nothing else, told to instructors alone, with that word and no other.

Names, numbers and comments do not matter; what our starter or our solution holds is taken away first. Winnowing: Schleimer,
Wilkerson, Aiken, "Winnowing: Local Algorithms for Document Fingerprinting", 2003.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import keyword
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations

GRAM = 8  # tokens: what is shorter than that is a habit of the language
WINDOW = 6
LEAST_OWN = 12  # fingerprints: below it a file holds too little of its own to be compared
LEAST_SHARE = 0.4
SHARED_BY = 0.5  # a fingerprint that half of the class (and at least five) has is the task's, not anybody's
_SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """`share`: of the shorter one's own fingerprints that the other has, too."""

    first: str
    second: str
    share: float
    lines: tuple[tuple[int, int], ...]  # some places: line in the first, line in the second


def pairs(by_owner: Mapping[str, str], *, ours: Iterable[str] = ()) -> list[Pair]:
    """The similar pairs, the most similar first.

    Args:
        by_owner: each learner's source.
        ours: sources whose content is nobody's own.
    """
    given = {print_ for source in ours for print_ in fingerprints(source, every=True)}
    own = {
        owner: {print_: line for print_, line in fingerprints(source).items() if print_ not in given}
        for owner, source in by_owner.items()
    }
    counted = Counter(print_ for prints in own.values() for print_ in prints)
    common = {print_ for print_, count in counted.items() if count >= 5 and count > SHARED_BY * len(own)}
    own = {owner: {print_: line for print_, line in prints.items() if print_ not in common} for owner, prints in own.items()}
    holders: dict[int, list[str]] = defaultdict(list)
    for owner in sorted(own):
        if len(own[owner]) >= LEAST_OWN:
            for print_ in own[owner]:
                holders[print_].append(owner)
    shared = Counter(pair for owners in holders.values() for pair in combinations(owners, 2))
    found = []
    for (first, second), count in shared.items():
        share = count / min(len(own[first]), len(own[second]))
        if share >= LEAST_SHARE:
            lines = sorted({(own[first][one], own[second][one]) for one in own[first].keys() & own[second].keys()})
            found.append(Pair(first=first, second=second, share=round(share, 3), lines=tuple(lines[:10])))
    return sorted(found, key=lambda pair: (-pair.share, pair.first, pair.second))


def fingerprints(source: str, *, every: bool = False) -> dict[int, int]:
    """Hash -> line where it begins. `every`: of each run of tokens, not only the chosen ones."""
    tokens = _tokens(source)
    grams = [
        (hash_of(tuple(text for text, _ in tokens[start : start + GRAM])), tokens[start][1])
        for start in range(len(tokens) - GRAM + 1)
    ]
    if every:
        return dict(reversed(grams))
    chosen: dict[int, int] = {}
    for start in range(max(1, len(grams) - WINDOW + 1)):
        window = grams[start : start + WINDOW]
        if window:
            print_, line = min(window)
            chosen.setdefault(print_, line)
    return chosen


def hash_of(gram: tuple[str, ...]) -> int:
    """The same in every process, unlike Python's own."""
    return int.from_bytes(hashlib.blake2b("\0".join(gram).encode(), digest_size=8).digest(), "big")


def _tokens(source: str) -> list[tuple[str, int]]:
    """Text and line; a name that is no keyword is n, a number 0, a text s. What cannot be read ends there."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in _SILENT:
                continue
            text = token.string
            if token.type == tokenize.NAME and not keyword.iskeyword(text):
                text = "n"
            elif token.type == tokenize.NUMBER:
                text = "0"
            elif token.type == tokenize.STRING:
                text = "s"
            found.append((text, token.start[0]))
    except (tokenize.TokenError, SyntaxError):
        pass
    return found
