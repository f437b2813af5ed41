"""What a submission used, as a report's sections: bytes moved, memory, anatomy and listings."""

from __future__ import annotations

from html import escape

from grader import wording
from grader.report import Anatomy, Listing, Report
from tabs.labs.report_figures import bytes_bars
from tabs.labs.report_prose import again, folded, said, section


def used(report: Report) -> tuple[str, ...]:
    """One after the other; empty where nothing is known."""
    return (_bytes(report), _memory(report), _anatomy(report))


def _bytes(report: Report) -> str:
    cases = wording.counted(report)
    if not cases:
        return ""
    first, rest = cases[0], cases[1:]
    more = "".join(bytes_bars(case) for case in rest)
    folded = f"<details><summary>The same for {len(rest)} more</summary>{more}</details>" if rest else ""
    note = '<p class="note">Counted at every load, store and atomic, masked lanes left out. Information, not points.</p>'
    return section("bytes", "Bytes moved", bytes_bars(first) + note + folded)


def _memory(report: Report) -> str:
    cases = wording.counted(report)
    if not cases:
        return ""
    most = max(cases, key=lambda case: case.counted.scratch_bytes)
    if most.counted.scratch_bytes == 0:
        text = "No extra memory: nothing was allocated beside the inputs and <code>out</code>."
    else:
        text = f"{wording.byte_size(most.counted.scratch_bytes)} of extra memory at most, in <code>{escape(most.name)}</code>."
    return section("memory", "Memory", f"<p>{text}</p>")


def _anatomy(report: Report) -> str:
    told = report.anatomy_note and not again(report.anatomy_note, report)
    note = f'<p class="note">{said(report.anatomy_note)}</p>' if told else ""
    if not report.anatomy:
        return section("anatomy", "Anatomy", note)
    columns = [_anatomy_column(kernel) for kernel in report.anatomy]
    head = "".join(f'<th scope="col">{column.pop("kernel")}</th>' for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{column[name]}</td>" for column in columns)}</tr>'
        for name in columns[0]
    )
    table = f'<table><tr><th scope="col">kernel</th>{head}</tr>{rows}</table>'
    wide = f'<div class="wide" tabindex="0" role="region" aria-label="Anatomy">{table}</div>'
    return section("anatomy", "Anatomy", wide + note + "".join(map(_listing, report.listings)))


def _anatomy_column(kernel: Anatomy) -> dict[str, str]:
    spilled = wording.byte_size(kernel.spill_bytes) if kernel.spill_bytes else "none"
    launches = f" ×{kernel.launches}" if kernel.launches > 1 else ""
    return {
        "kernel": escape(kernel.kernel) + launches,
        "GPU": escape(kernel.target),
        "grid": " × ".join(str(size) for size in kernel.grid),
        "warps a block": str(kernel.num_warps),
        "registers a thread": str(kernel.registers),
        "spilled": f'<span class="wrong">✗ {spilled}</span>' if kernel.spill_bytes else spilled,
        "shared memory": wording.byte_size(kernel.shared_bytes),
        "blocks per SM": f"{kernel.blocks_per_sm}, limited by {escape(kernel.limited_by)}",
        "occupancy": f"{kernel.occupancy * 100:.0f}%",
    }


def _listing(listing: Listing) -> str:
    """PTX and SASS of one kernel, folded."""
    parts = [
        folded(f"{kind} of <code>{escape(listing.kernel)}</code>", text, lines=True)
        for kind, text in (("PTX", listing.ptx), ("SASS", listing.sass))
        if text
    ]
    note = f'<p class="note">{said(listing.note)}</p>' if listing.note else ""
    return "".join(parts) + note
