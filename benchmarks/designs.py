"""What each right kernel of a lab costs: our solution and the honest kernels of other designs, as a Check on a CPU counts it.

    python -m benchmarks.designs

writes tabs/labs/designs.json, which the page shows after a pass.

Bytes are counted in the interpreter on the largest visible case, registers and the like by compiling for sm_90. No clock is
read, so the numbers are the same on every machine.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import labs
from grader.judge import Judge
from tabs.labs.designs import MEASURED, code_of, costs, designs


def main() -> None:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with Judge() as judge:
        for lab_id in labs.lab_ids():
            for _, design in designs(lab_id):
                report = judge.grade(code_of(lab_id, design), lab_id, mode="check", seed=bytes(32))
                if not report.passed:
                    raise ValueError(f"{lab_id}, {design}: {report.verdict}, {report.diagnosis.sentence}")
                found.setdefault(lab_id, {})[design] = costs(report)
                print(lab_id, design, found[lab_id][design], file=sys.stderr, flush=True)
    MEASURED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
