"""A grading process of a sweep: a Judge of its own, one file at a time. One that dies or hangs costs the file in its hands."""

from __future__ import annotations

import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import threading
import time

FILE_LIMIT_S = 200.0  # an attempt ends itself long before
HANG_S = 6.0  # of a case on a GPU; the grader grants 20, in which nobody else can use it

_spawning = multiprocessing.get_context("spawn")
_starting = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One file of a lab. `timed`: a right one, handed in with Submit at once."""

    lab: str
    file: str
    timed: bool = True


class Worker:
    """The sweep's end of such a process, which starts with its first file.

    Args:
        gpu: as CUDA_VISIBLE_DEVICES takes it.
        deadline: from then (`time.time()`) on, attempts are cancelled; at `until` the process is ended.
    """

    def __init__(self, device: str, gpu: str, deadline: float, until: float) -> None:
        self._gpu = gpu
        self._arguments = device, deadline
        self._until = until
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: multiprocessing.connection.Connection | None = None

    def grade(self, task: Task, *, recorders: int) -> dict:
        """What `benchmarks.judge.grade` says of it; verdict "cancelled" past the deadline, "error" where the process failed."""
        if self._process is None or not self._process.is_alive():
            self._start()
        began = time.time()
        limit = min(FILE_LIMIT_S, self._until - began)
        try:
            self._pipe.send((task, recorders))
            if self._pipe.poll(max(0.0, limit)):
                return self._pipe.recv()
            what = f"no answer within {limit:.0f} s"
        except (EOFError, OSError) as error:
            what = f"the grading process died ({error!r})"
        self.stop(patience_s=0.0)
        verdict = "cancelled" if time.time() >= self._until else "error"
        told = {"file": task.file, "verdict": verdict, "diagnosis": what, "failing": [], "as_promised": False}
        return {**told, "seconds": round(time.time() - began, 3)}

    def stop(self, patience_s: float = 10.0) -> None:
        """End the process: let it leave by itself, then not."""
        if self._process is None:
            return
        self._pipe.close()
        self._process.join(patience_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None

    def _start(self) -> None:
        with _starting:
            # In place before the process imports anything. A replayer counts GPUs by their bus, so its judge must, too.
            os.environ.update(CUDA_VISIBLE_DEVICES=self._gpu, CUDA_DEVICE_ORDER="PCI_BUS_ID")
            self._pipe, theirs = _spawning.Pipe()
            self._process = _spawning.Process(target=_serve, args=(theirs, *self._arguments))
            self._process.start()
            theirs.close()


def _serve(pipe: multiprocessing.connection.Connection, device: str, deadline: float) -> None:
    """Grade what comes through the pipe until it is closed."""
    import torch

    from benchmarks.judge import grade
    from grader.judge import Judge, recording
    from grader.judge.gpu import replayer as replaying
    from labs import load

    torch.set_num_threads(1)  # there are as many processes as the processor has room for
    replaying.CALL_LIMIT_S = HANG_S

    def over() -> bool:
        return time.time() > deadline

    with Judge(device=device) as judge:
        while True:
            try:
                task, recording.MOST_RECORDERS = pipe.recv()
            except EOFError:
                return
            folder = load(task.lab)
            path = folder.path / task.file
            result = grade(judge, folder, path, "submit" if task.timed else "check", over)
            if not task.timed and result["verdict"] == "passed":
                result = grade(judge, folder, path, "submit", over)
            pipe.send(result)
            if device == "cuda":
                torch.cuda.empty_cache()  # the other processes need room for their buffers, too
