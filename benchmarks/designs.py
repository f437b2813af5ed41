"""What each right kernel of a lab costs: our solution and the honest kernels of other designs, as a Check on a CPU counts it.

    python -m benchmarks.designs [LAB …]

writes tabs/labs/designs.json, of these labs anew or of all, which the page shows after a pass.

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
    asked = [labs.named(text) for text in sys.argv[1:]] or labs.lab_ids()
    kept = json.loads(MEASURED.read_text(encoding="utf-8"))
    found: dict[str, dict[str, dict[str, Any]]] = {lab_id: kept[lab_id] for lab_id in kept if lab_id not in asked}
    with Judge() as judge:
        for lab_id in asked:
            for _, design in designs(lab_id):
                report = judge.grade(code_of(lab_id, design), lab_id, mode="check", seed=bytes(32))
                if not report.passed:
                    raise ValueError(f"{lab_id}, {design}: {report.verdict}, {report.diagnosis.sentence}")
                found.setdefault(lab_id, {})[design] = costs(report)
                print(lab_id, design, found[lab_id][design], file=sys.stderr, flush=True)
    MEASURED.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
