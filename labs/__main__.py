"""The labs from a terminal, for whoever writes one: `python -m labs list LAB`, `show LAB MISTAKE`, `check [LAB ...]`,
`mutate [LAB ...]`, `hunt [LAB ...]`.

Exit codes: 0 as it should be; 1 `check` or `hunt --check` found something that is not as promised, `mutate` a survivor that
nobody explained, or one of them was stopped; 2 there is no such lab, mistake or option.
"""

from __future__ import annotations

import argparse
import sys

from labs import lab_ids, load, named
from labs.check import command
from labs.check import hunt as hunting
from labs.mistake import Mistake
from labs.mutants import command as mutants

RIGHT, NOT_AS_PROMISED, NOT_ASKED_RIGHT = range(3)


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m labs", description="The labs' mistakes, and whether a lab is as promised.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the mistakes of a lab")
    listing.add_argument("lab", metavar="LAB", help="a lab's id, or its number: lab02_safe_softmax, lab02 or 2")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="a mistake as a file, and on standard error what is broken in it")
    show.add_argument("lab", metavar="LAB")
    show.add_argument("mistake", metavar="MISTAKE", help="its name, as `list` prints it")
    show.set_defaults(run=_show)
    check = commands.add_parser("check", help="grade every answer of these labs, or of all: is each as its folder promises?")
    check.add_argument("labs", metavar="LAB", nargs="*")
    command.add_options(check)
    check.set_defaults(run=_check)
    mutate = commands.add_parser("mutate", help="change right kernels by one thing: does some case of the lab show it?")
    mutate.add_argument("labs", metavar="LAB", nargs="*")
    mutants.add_options(mutate)
    mutate.set_defaults(run=_mutate)
    hunt = commands.add_parser("hunt", help="the mistakes that are tasks of the bug hunt: are they as they must be?")
    hunt.add_argument("labs", metavar="LAB", nargs="*")
    hunting.add_options(hunt)
    hunt.set_defaults(run=_hunt)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (KeyError, ValueError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return NOT_ASKED_RIGHT
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return NOT_AS_PROMISED


def _list(options: argparse.Namespace) -> int:
    for mistake in load(named(options.lab)).mistakes:
        print(f"{mistake.verdict:14} {mistake.name:28} {_place(mistake):46} {mistake.what}")
    return RIGHT


def _show(options: argparse.Namespace) -> int:
    lab_id = named(options.lab)
    mistakes = {mistake.name: mistake for mistake in load(lab_id).mistakes}
    if options.mistake not in mistakes:
        raise KeyError(f"{lab_id} has no mistake {options.mistake!r}: expected one of {', '.join(mistakes)}")
    mistake = mistakes[options.mistake]
    told = f"{_place(mistake)}: {mistake.what} Promised: {mistake.verdict}, and a sentence that says {mistake.diagnosis!r}."
    print(told, file=sys.stderr)
    print(mistake.source, end="")
    return RIGHT


def _place(mistake: Mistake) -> str:
    """Which right answer it is an edit of, and the wrong lines of the mistake."""
    if not mistake.base:
        return "a file of its own"
    lines = [f"{each.first}" if each.first == each.last else f"{each.first}-{each.last}" for each in mistake.changes]
    return f"{mistake.base}, line{'s' * (lines != lines[:1] or '-' in lines[0])} {', '.join(lines)}"


def _check(options: argparse.Namespace) -> int:
    chosen = [named(lab) for lab in options.labs] or list(lab_ids())
    return RIGHT if command.check(chosen, options) else NOT_AS_PROMISED


def _mutate(options: argparse.Namespace) -> int:
    chosen = [named(lab) for lab in options.labs] or list(lab_ids())
    return RIGHT if mutants.mutate(chosen, options) else NOT_AS_PROMISED


def _hunt(options: argparse.Namespace) -> int:
    chosen = [named(lab) for lab in options.labs] or list(lab_ids())
    return RIGHT if hunting.hunt(chosen, options) else NOT_AS_PROMISED


if __name__ == "__main__":
    sys.exit(main())
