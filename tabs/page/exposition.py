"""What `/metrics` says, in Prometheus' words: made at each call of what the database knows, so that it is one truth for all.

Counters of a grading process begin anew with it; Prometheus expects that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from grader.course.states import OPEN
from grader.course.tally import Counted

CONTENT_TYPE = CONTENT_TYPE_LATEST
# of what a grading process counts, by its name there
COUNTS = {
    "attempts": "Attempts that this grading process ended.",
    "faults": "Attempts that the grader itself failed on.",
    "judges": "Judges opened, each with a sandbox and a self-test.",
    "not_stored": "Tries to store what was judged that disk or database refused.",
    "busy_s": "Seconds with an attempt in hand.",
}
ON_THE_GPU = ("running", "timing")  # phases in which an attempt holds it


def exposition(health: Mapping[str, Any], counted: Callable[[], Sequence[Counted]]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Found(health, counted))
    return generate_latest(registry)


class _Found(Collector):
    def __init__(self, health: Mapping[str, Any], counted: Callable[[], Sequence[Counted]]) -> None:
        self._health, self._counted = health, counted

    def collect(self) -> Iterator[Metric]:
        on = self._health["grading"] == "on"
        yield GaugeMetricFamily("grader_grading", "1 where grading is on.", value=on)
        state = GaugeMetricFamily("grader_state", "1 for the state that /health says.", labels=["state"])
        state.add_metric([self._health["state"]], 1)
        yield state
        if "processes" not in self._health:  # the database does not answer
            return
        yield GaugeMetricFamily(
            "grader_restoring", "Attempts that are not back from the archive yet.", value=self._health["restoring"]
        )
        yield from self._attempts()
        yield from self._processes()

    def _attempts(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "grader_attempts", "Attempts that have ended.", labels=["lab", "mode", "device", "state", "verdict"]
        )
        queue = GaugeMetricFamily("grader_queue", "Attempts that wait or run.", labels=["mode", "device", "state"])
        still_open: dict[tuple[str, str, str], int] = {
            (mode, self._health["device"], state): 0 for mode in ("check", "submit") for state in OPEN
        }
        for lab, mode, device, state, verdict, number in self._counted():
            if state in OPEN:
                still_open[mode, device, state] = still_open.get((mode, device, state), 0) + number
            else:
                ended.add_metric([lab, mode, device, state, verdict], number)
        for labels, number in still_open.items():
            queue.add_metric(list(labels), number)
        yield from (ended, queue)

    def _processes(self) -> Iterator[Metric]:
        living = [process for process in self._health["processes"] if process["alive"]]
        alive = GaugeMetricFamily("grader_processes", "Grading processes that were heard a moment ago.", labels=["state"])
        for name in ("ready", "starting", "not storing", "off"):
            alive.add_metric([name], sum(process["state"] == name for process in living))
        yield alive
        for name, meaning in COUNTS.items():
            named = name.removesuffix("_s") + "_seconds" if name.endswith("_s") else name
            family = CounterMetricFamily(f"grader_process_{named}", meaning, labels=["process"])
            for process in living:
                family.add_metric([process["id"]], process["counts"].get(name, 0))
            yield family
        phases = CounterMetricFamily("grader_phase_seconds", "Seconds in each phase of attempts.", labels=["process", "phase"])
        held = CounterMetricFamily("grader_gpu_held_seconds", "Seconds in which an attempt held the GPU.", labels=["process"])
        for process in living:
            spent = process["counts"].get("phases", {})
            for phase, seconds in spent.items():
                phases.add_metric([process["id"], phase], seconds)
            if self._health["device"] == "cuda":
                held.add_metric([process["id"]], sum(spent.get(phase, 0.0) for phase in ON_THE_GPU))
        yield from (phases, held)
