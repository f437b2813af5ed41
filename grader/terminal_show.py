"""`python -m grader show LAB WHAT`: what a lab says of itself, for reading beside an editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # both import torch, which takes a second
    from labs import LabFolder
    from labs.declaration import Case

WHATS = ("spec", "starter", "hints", "cases", "entry")


def show(folder: LabFolder, what: str) -> str:
    """Its text, without a newline at the end. Of hidden and hostile cases the names alone: their sizes are drawn.

    Args:
        what: one of WHATS.
    """
    lab = folder.lab
    match what:
        case "spec":
            return folder.spec.rstrip("\n")
        case "starter":
            return folder.starter.rstrip("\n")
        case "hints":
            sections = []
            for name, ladder in folder.ladders.items():
                steps = enumerate((ladder.why, ladder.must, ladder.line), start=1)
                sections.append("\n".join([name, *(f"  {number}. {step}" for number, step in steps)]))
            return "\n\n".join(sections)
        case "cases":
            return "\n".join(_case(case) for case in lab.cases)
        case "entry":
            return f"{lab.entry}({', '.join(lab.arguments)})"
    raise ValueError(f"what={what!r} must be one of {WHATS}")


def _case(case: Case) -> str:
    sizes = "" if case.group != "visible" else "  " + ", ".join(f"{name}={size}" for name, size in case.sizes.items())
    devices = "" if "cpu" in case.devices else "  (on a GPU alone)"
    return f"{case.group:<8} {case.name}{sizes}{devices}"
