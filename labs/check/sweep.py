"""Many answers graded, several at a time: what is wrong, then what is right and timed, then whatever is in doubt once more."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labs.check.answers import Answer
from labs.check.grading import CANCELLED, Result
from labs.check.process import GradingProcess

WRITTEN_EVERY_S = 2.0
LONGEST_GOODBYE_S = 20.0  # after the budget an attempt may take so long to notice that it is cancelled
REPEAT = "repeat"  # how the names of these steps begin


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How a sweep is done.

    Attributes:
        gpus: ordinals, as CUDA_VISIBLE_DEVICES takes them; where `device` is "cpu" one that is not looked at.
        processes: on each GPU.
        timed_processes: of them, so many at once where answers are timed.
        repeats: so often the solutions are graded again, to see how steady their times are.
    """

    device: str = "cpu"
    gpus: tuple[str, ...] = ("0",)
    processes: int = 2
    timed_processes: int = 2
    repeats: int = 0
    budget_s: float = 1e9


class Sweep:
    """Results as they come, and the processes that they come from; a context, at whose end the processes are gone.

    Args:
        earlier: results that need not be found again.
        kept: a file to keep the results in as they come, for an `earlier` of another day, with `heading` in front.
        say: told each result.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        earlier: Sequence[Result] = (),
        kept: Path | None = None,
        heading: Mapping[str, Any] | None = None,
        say: Callable[[Result], None] = lambda result: None,
    ) -> None:
        self._plan, self._kept, self._heading, self._say = plan, kept, heading or {}, say
        self._began = time.time()
        self._deadline = self._began + plan.budget_s
        self._processes: dict[tuple[str, int], GradingProcess] = {}
        self._lock = threading.Lock()
        self._written = 0.0
        self._ended = False
        self.results = list(earlier)
        self.left: list[tuple[str, Answer]] = []  # with the step that would have graded it

    def __enter__(self) -> Sweep:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True  # whoever was interrupted hands out nothing more
        for process in self._processes.values():
            process.stop()
        self._write()

    def run(self, answers: Sequence[Answer]) -> None:
        """Grade them in three steps, and the solutions among them again as often as the plan says."""
        known = {(result.lab, result.file) for result in self.results}
        new = [answer for answer in answers if (answer.lab, answer.file) not in known]
        together = min(self._plan.processes, self._plan.timed_processes if self._plan.device == "cuda" else os.cpu_count() or 1)
        self.step("wrong", [answer for answer in new if not answer.right], at_a_time=self._plan.processes)
        self.step("right", [answer for answer in new if answer.right], at_a_time=together)
        self.step("again", self.doubtful(answers), at_a_time=1)
        solutions = [answer for answer in answers if answer.kind == "solution"]
        for turn in range(self._plan.repeats):
            self.step(f"{REPEAT} {turn + 1}", solutions, at_a_time=1, pinned=True)

    def step(self, name: str, answers: Sequence[Answer], *, at_a_time: int, pinned: bool = False) -> None:
        """Hand the answers out, to `at_a_time` processes on each GPU. `pinned`: each has one GPU in every such step."""
        gpus = self._plan.gpus
        queues = [iter(answers)] * len(gpus)
        if pinned:
            queues = [iter(answers[index :: len(gpus)]) for index in range(len(gpus))]
        threads = [
            threading.Thread(target=self._drain, args=(name, queue, gpu, slot, at_a_time))
            for gpu, queue in zip(gpus, queues, strict=True)
            for slot in range(at_a_time)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def doubtful(self, answers: Iterable[Answer]) -> list[Answer]:
        """What was not as promised, and what is right and was not timed where others were."""
        timed_here = any(result.timing for result in self.results)
        latest = {(result.lab, result.file): result for result in self.results}
        return [
            answer
            for answer in answers
            if (result := latest.get((answer.lab, answer.file)))
            and (result.broken or (answer.right and timed_here and not result.timing))
        ]

    @property
    def elapsed_s(self) -> float:
        return round(time.time() - self._began, 1)

    def _drain(self, step: str, answers: Iterator[Answer], gpu: str, slot: int, at_a_time: int) -> None:
        while True:
            with self._lock:
                answer = next(answers, None)
                if answer is None:
                    return
                if self._ended or time.time() > self._deadline:
                    self.left.append((step, answer))
                    continue
            result = self._process(gpu, slot).grade(answer, recorders=self._recorders(at_a_time))
            with self._lock:
                if self._ended or result.verdict == CANCELLED:
                    self.left.append((step, answer))
                    continue
                result = dataclasses.replace(result, step=step, gpu=gpu, at_s=self.elapsed_s)
                self.results.append(result)
                self._say(result)
                due = time.monotonic() - self._written > WRITTEN_EVERY_S
            if due:
                self._write()

    def _process(self, gpu: str, slot: int) -> GradingProcess:
        with self._lock:
            if (gpu, slot) not in self._processes:
                until = self._deadline + LONGEST_GOODBYE_S
                self._processes[gpu, slot] = GradingProcess(self._plan.device, gpu, self._deadline, until)
            return self._processes[gpu, slot]

    def _recorders(self, at_a_time: int) -> int:
        """Of one attempt: those of all attempts together keep the processor busy and no more."""
        return max(1, (os.cpu_count() or 1) // (at_a_time * len(self._plan.gpus)))

    def _write(self) -> None:
        if self._kept is None:
            return
        with self._lock:
            self._written = time.monotonic()
            results = [dataclasses.asdict(result) for result in self.results]
            document = {**self._heading, "seconds": self.elapsed_s, "results": results}
            half = self._kept.with_suffix(".half")
            half.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            half.replace(self._kept)


def kept_results(path: Path) -> list[Result]:
    """What an earlier sweep kept in `path`.

    Raises:
        ValueError: it is no such file.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        return [Result(**{**result, "failing": tuple(result["failing"])}) for result in results]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no results of a check: {error!r}") from error
