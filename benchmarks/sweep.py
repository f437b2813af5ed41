"""Every file of every lab on this machine, many at a time: which verdicts are not as promised, and how fast is each right file?

    python -m benchmarks.sweep --device cuda --workers 10 --budget-s 480 --out benchmarks/sweep_h200.json [--gpus 0 1]

Three steps. Starters and mistakes, as a learner hands them in: a Check, and a Submit where that passes. Then what is timed,
solutions and honest kernels, few at a time. Then, with one attempt on a GPU at a time, whatever was not as promised or not
timed, once more, and the solutions of --repeat-labs again and again. `--out` is written anew as results come, a table beside it
at the end; --after takes up a sweep that its budget ended.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.judge import device_name
from benchmarks.sweep_table import table
from benchmarks.sweep_workers import Task, Worker
from grader.judge.attempt import versions
from labs import lab_ids, load

WRITTEN_EVERY_S = 2.0
LONGEST_GOODBYE_S = 20.0  # after the budget an attempt may take so long to notice that it is cancelled


def main() -> None:
    options = _options()
    chosen = [lab for lab in lab_ids() if options.labs is None or int(lab[3:5]) in options.labs]
    earlier = json.loads(options.after.read_text(encoding="utf-8"))["results"] if options.after else []
    sweep = Sweep(options, earlier)
    known = {(each["lab"], each["file"]) for each in earlier}
    files = [task for lab in chosen for task in _files(lab) if (task.lab, task.file) not in known]
    timed = [task for task in files if task.timed]
    sweep.step("mistakes", [task for task in files if not task.timed], at_a_time=options.workers)
    sweep.step("timed", timed, at_a_time=min(options.workers, options.timed_workers))
    sweep.step("again", sweep.doubtful(files), at_a_time=1)
    repeated = [lab for lab in chosen if int(lab[3:5]) in options.repeat_labs]
    for run in range(options.repeats):
        sweep.step(f"repeat {run + 1}", [Task(lab=lab, file="solution.py") for lab in repeated], at_a_time=1, pinned=True)
    sweep.end()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--gpus", nargs="*", default=["0"], help="ordinals, as CUDA_VISIBLE_DEVICES takes them")
    parser.add_argument("--labs", nargs="*", type=int)
    parser.add_argument("--workers", type=int, default=2, help="grading processes on each GPU")
    parser.add_argument("--timed-workers", type=int, default=2, help="of them, so many at once where a file is timed")
    parser.add_argument("--repeat-labs", nargs="*", type=int, default=[2, 3, 5])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--budget-s", type=float, default=480.0)
    parser.add_argument("--after", type=Path, help="the --out of an earlier sweep: what it graded is kept")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _files(lab_id: str) -> list[Task]:
    folder = load(lab_id)
    right, wrong = [folder.path / "solution.py", *folder.honest], [folder.path / "starter.py", *folder.mistakes]
    return [
        Task(lab=lab_id, file=str(path.relative_to(folder.path)), timed=timed)
        for timed, paths in ((True, right), (False, wrong))
        for path in paths
    ]


class Sweep:
    """Results as they come, and the processes that they come from."""

    def __init__(self, options: argparse.Namespace, earlier: Sequence[dict]) -> None:
        self._options = options
        self._device = device_name(options.device)  # before the processes' environment names one GPU of several
        self._began = time.time()
        self._deadline = self._began + options.budget_s
        self._gpus = options.gpus if options.device == "cuda" else ["0"]
        self._workers: dict[tuple[str, int], Worker] = {}
        self._lock = threading.Lock()
        self._written = 0.0
        self.results = list(earlier)
        self.left: list[tuple[str, str, str]] = []  # step, lab, file

    def step(self, name: str, tasks: Sequence[Task], *, at_a_time: int, pinned: bool = False) -> None:
        """Hand out the tasks, to `at_a_time` processes on each GPU. `pinned`: every lab has one GPU for all its tasks."""
        began = time.time()
        queues = [iter(tasks)] * len(self._gpus)
        if pinned:
            queues = [iter(tasks[index :: len(self._gpus)]) for index in range(len(self._gpus))]
        threads = [
            threading.Thread(target=self._drain, args=(name, queue, gpu, slot, at_a_time))
            for gpu, queue in zip(self._gpus, queues, strict=True)
            for slot in range(at_a_time)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._write()
        if tasks:
            print(f"step {name}: {len(tasks)} files, {time.time() - began:.0f} s", flush=True)

    def doubtful(self, files: Iterable[Task]) -> list[Task]:
        """What was not as promised, and what is right and was not timed where others were."""
        timed_here = any(each.get("timing") for each in self.results)
        latest = {(each["lab"], each["file"]): each for each in self.results}
        return [
            task
            for task in files
            if (each := latest.get((task.lab, task.file)))
            and (not each["as_promised"] or (task.timed and timed_here and not each.get("timing")))
        ]

    def end(self) -> None:
        """Stop the processes, write everything, say it."""
        for worker in self._workers.values():
            worker.stop()
        self._write()
        text = table(self.results, self.left, time.time() - self._began)
        self._options.out.with_suffix(".txt").write_text(text, encoding="utf-8")
        print(text, flush=True)

    def _drain(self, step: str, tasks: Iterable[Task], gpu: str, slot: int, at_a_time: int) -> None:
        while True:
            with self._lock:
                task = next(tasks, None)
                if task is None:
                    return
                if time.time() > self._deadline:
                    self.left.append((step, task.lab, task.file))
                    continue
            result = self._worker(gpu, slot).grade(task, recorders=self._recorders(at_a_time))
            with self._lock:
                if result["verdict"] == "cancelled":
                    self.left.append((step, task.lab, task.file))
                    continue
                self.results.append({"lab": task.lab, **result, "step": step, "gpu": gpu, "at_s": self._elapsed()})
                due = time.monotonic() - self._written > WRITTEN_EVERY_S
            if due:
                self._write()

    def _worker(self, gpu: str, slot: int) -> Worker:
        with self._lock:
            if (gpu, slot) not in self._workers:
                until = self._deadline + LONGEST_GOODBYE_S
                self._workers[gpu, slot] = Worker(self._options.device, gpu, self._deadline, until)
            return self._workers[gpu, slot]

    def _recorders(self, at_a_time: int) -> int:
        """Of one attempt: those of all attempts together keep the processor busy and no more."""
        return max(1, (os.cpu_count() or 1) // (at_a_time * len(self._gpus)))

    def _elapsed(self) -> float:
        return round(time.time() - self._began, 1)

    def _write(self) -> None:
        with self._lock:
            self._written = time.monotonic()
            document = {
                "device": self._device,
                "versions": versions(),
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": "python -m benchmarks.sweep " + " ".join(sys.argv[1:]),
                "seconds": self._elapsed(),
                "not_graded": self.left,
                "results": self.results,
            }
            half = self._options.out.with_suffix(".half")
            half.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            half.replace(self._options.out)


if __name__ == "__main__":
    main()
