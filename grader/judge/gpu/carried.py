"""Records carried from a machine that compiles to one that has the GPU: the learner's code stays behind.

A file is a ZIP archive: `request.json` (lab, mode, prediction, target, the seed from which sizes and values are drawn) and
`<case>.record` for each case that could be recorded; for one that could not, `<case>.json` says why. It holds the secret seed,
so it travels between machines of the course's own, never to a learner.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable

import torch

from grader.faults import NotGradable
from grader.judge.attempt import Progress, Request
from grader.judge.case.inputs import SEED_BYTES, PreparedCase, prepare
from grader.judge.case.judged import Judged
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.gpu.attempt import NOTHING, GpuAttempt, ThisGpu
from grader.judge.recording import RecordedCase, held_against, record_all, scratch_limit
from grader.sandbox.process.door import Sandbox
from grader.sandbox.process.ending import Ending, Reason
from grader.sandbox.protocol import Fault, ProtocolError, parse_reply
from grader.sandbox.record.format import RecordError, parse
from labs import lab_ids, load
from labs.declaration import GROUPS, Case, Lab

REQUEST = "request.json"
FILE_LIMIT = 1 << 30  # bytes of a whole file, unpacked
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what others raise is theirs to know
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError,
    KeyError, ValueError, TypeError, RuntimeError, OverflowError,
)  # fmt: skip


def pack(sandbox: Sandbox, request: Request, cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """Record every case that a GPU would be given, and the timed one."""
    lab = request.folder.lab
    prepared = [_prepared(lab, case, request) for case in _cases(lab, request.mode)]
    submission = Briefing(source=request.source, lab=lab, target=request.target)
    recorded = record_all(sandbox, submission, prepared, cancelled, timed=len(_timed(lab)))
    told = {
        "lab": request.folder.id,
        "mode": request.mode,
        "prediction": request.prediction,
        "target": request.target,
        "seed": request.seed.hex(),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(REQUEST, json.dumps(told))
        for case, each in zip(prepared, recorded, strict=True):
            if each.record is not None:
                archive.writestr(f"{case.case.name}.record", each.blob)
            else:
                why = {
                    "fault": each.fault and dataclasses.asdict(each.fault),
                    "ending": each.ending and str(each.ending.reason),
                }
                archive.writestr(f"{case.case.name}.json", json.dumps(why))
    return packed.getvalue()


def unpack(data: bytes, target: str) -> tuple[Request, dict[str, RecordedCase]]:
    """A packed attempt, checked, for a GPU of that target.

    Raises:
        NotGradable: it is none, or it was recorded for another GPU.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > FILE_LIMIT:
                raise NotGradable("The file of records is too large.")
            if any(item.compress_type not in COMPRESSIONS for item in archive.infolist()):
                raise NotGradable("The file of records is not packed as ours are.")
            files = {item.filename: archive.read(item) for item in archive.infolist()}
        told = json.loads(files[REQUEST])
        lab_id, mode, seed = told["lab"], told["mode"], bytes.fromhex(told["seed"])
        of, prediction = told["target"], told["prediction"]
    except NotGradable:
        raise
    except UNREADABLE as error:
        raise NotGradable(f"The file holds no records ({type(error).__name__}).") from error
    if len(seed) != SEED_BYTES or not (prediction is None or type(prediction) in (int, float) and abs(prediction) < 1e300):
        raise NotGradable("The file's seed or prediction is not of the form that records have.")
    if lab_id not in lab_ids() or mode not in ("check", "submit"):
        raise NotGradable(f"The file speaks of lab {lab_id!r:.80} and mode {mode!r:.20}, which are not known here.")
    if of != target:
        raise NotGradable(f"The records are for {of!r:.20}; this machine's GPU is {target}.")
    request = Request(source="", folder=load(lab_id), mode=mode, prediction=prediction, seed=seed, target=target)
    lab = request.folder.lab
    recorded = {case.name: _read(lab, case, request, files) for case in _cases(lab, mode)}
    return request, recorded


def _read(lab: Lab, case: Case, request: Request, files: dict[str, bytes]) -> RecordedCase:
    blob = files.get(f"{case.name}.record")
    if blob is None:
        return _why_not(files.get(f"{case.name}.json", b"{}"))
    prepared = _prepared(lab, case, request)
    try:
        record = parse(blob, arguments=lab.arguments, written=lab.written)
        held_against(record, lay_out(prepared), request.target, scratch_limit(lab, prepared, request.target))
    except RecordError as error:
        return RecordedCase(ending=Ending(Reason.PROTOCOL, f"its launch record is not valid: {error}"))
    return RecordedCase(record=record, blob=blob)


def _why_not(data: bytes) -> RecordedCase:
    """Why a case has no record; the file may be a stranger's."""
    try:
        told = json.loads(data)
        if told.get("fault"):
            _, fields = parse_reply(json.dumps({**told["fault"], "kind": "fault"}).encode())
            return RecordedCase(fault=Fault(**fields))
        return RecordedCase(ending=Ending(Reason(told.get("ending") or Reason.PROTOCOL), "It was not recorded."))
    except (ProtocolError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise NotGradable("The file holds no records (a case without one does not say why).") from error


def _cases(lab: Lab, mode: str) -> list[Case]:
    groups = GROUPS[:1] if mode == "check" else GROUPS
    cases = [case for group in groups for case in lab.cases if case.group == group and "cuda" in case.devices]
    return cases + list(_timed(lab))


def _timed(lab: Lab) -> tuple[Case, ...]:
    return (lab.performance.case,) if lab.performance else ()


def _prepared(lab: Lab, case: Case, request: Request) -> PreparedCase:
    """Made on the CPU on both machines, so that scalars drawn from the seed are the same."""
    return prepare(lab, case, NOTHING if case in _timed(lab) else request.seed)


class CarriedAttempt(GpuAttempt):
    """An attempt whose records came in a file: no session is started, since there is no source."""

    def __init__(
        self,
        recorded: dict[str, RecordedCase],
        gpu: ThisGpu,
        sandbox: Sandbox,
        request: Request,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        super().__init__(gpu, sandbox, request, progress=progress, cancelled=cancelled)
        self._recorded = recorded

    def _prepare(self) -> list[PreparedCase]:
        lab = self._lab
        judged = [case for case in _cases(lab, self._request.mode) if case not in _timed(lab)]
        made = [_prepared(lab, case, self._request) for case in judged]
        return [dataclasses.replace(each, inputs=_on_gpu(each.inputs)) for each in made]

    def _record(self, wanted: list[PreparedCase], tested: int) -> list[RecordedCase]:
        return [self._recorded[prepared.case.name] for prepared in wanted]

    def _interpret(self) -> dict[str, Judged]:
        return {}


def _on_gpu(inputs) -> dict:
    return {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
