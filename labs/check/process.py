"""A process that grades: a Judge of its own, one answer at a time. One that dies or hangs costs the answer in its hands."""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.connection
import os
import threading
import time

from labs.check.answers import Answer
from labs.check.grading import CANCELLED, ERROR, Result

ANSWER_LIMIT_S = 200.0  # an attempt ends itself long before

_spawning = multiprocessing.get_context("spawn")
_starting = threading.Lock()


class GradingProcess:
    """Our end of such a process, which starts with its first answer.

    Args:
        gpu: as CUDA_VISIBLE_DEVICES takes it.
        deadline: from then (`time.time()`) on, attempts are cancelled; at `until` the process is ended.
    """

    def __init__(self, device: str, gpu: str, deadline: float = math.inf, until: float = math.inf) -> None:
        self._gpu = gpu
        self._arguments = device, deadline
        self._until = until
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: multiprocessing.connection.Connection | None = None

    def grade(self, answer: Answer, *, recorders: int) -> Result:
        """What `graded` says of it, with so many recorders; CANCELLED past the deadline, ERROR where the process failed."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe is not None  # made with the process
        began = time.time()
        limit = min(ANSWER_LIMIT_S, self._until - began)
        try:
            self._pipe.send((answer, recorders))
            if self._pipe.poll(max(0.0, limit)):
                return self._pipe.recv()
            what = f"no answer within {limit:.0f} s"
        except (EOFError, OSError) as error:
            what = f"the grading process died ({error!r})"
        self.stop(patience_s=0.0)
        verdict = CANCELLED if time.time() >= self._until else ERROR
        seconds = round(time.time() - began, 3)
        return Result(lab=answer.lab, file=answer.file, kind=answer.kind, verdict=verdict, broken=what, seconds=seconds)

    def stop(self, patience_s: float = 10.0) -> None:
        """End the process: let it leave by itself, then not. Whoever waits for its answer is told that it died."""
        process, self._process = self._process, None
        if process is None:
            return
        assert self._pipe is not None  # made with the process
        self._pipe.close()
        process.join(patience_s)
        if process.is_alive():
            process.kill()
            process.join()

    def _start(self) -> None:
        with _starting:
            # In place before the process imports anything. A replayer counts GPUs by their bus, so its judge must, too.
            os.environ.update(CUDA_VISIBLE_DEVICES=self._gpu, CUDA_DEVICE_ORDER="PCI_BUS_ID")
            self._pipe, theirs = _spawning.Pipe()
            self._process = _spawning.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
            self._process.start()
            theirs.close()


def _serve(pipe: multiprocessing.connection.Connection, device: str, deadline: float) -> None:
    """Grade what comes through the pipe until it is closed."""
    import torch

    from grader.judge import Judge, recording
    from labs.check.grading import graded

    torch.set_num_threads(1)  # there are as many processes as the processor has room for

    with Judge(device=device) as judge:
        while True:
            try:
                answer, recording.MOST_RECORDERS = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            pipe.send(graded(judge, answer, cancelled=lambda: time.time() > deadline))
            if device == "cuda":
                torch.cuda.empty_cache()  # the other processes need room for their buffers, too
