"""Reports and records made by hand, for tests of what is sent."""

from grader.report import Diagnosis, Points, Report, Verdict
from grader.sandbox.record.commands import Binary, Launch, Record


def report_with(**fields):
    return Report(
        lab="lab02_safe_softmax",
        title="Safe softmax",
        mode="submit",
        device="by hand",
        verdict=Verdict.PASSED,
        diagnosis=Diagnosis(sentence="Right in every case."),
        points=Points(),
        cases=(),
        **fields,
    )


def record_of(*ptx):
    """One binary and one launch for each text."""
    launches = tuple(
        Launch(
            binary=index,
            kernel=f"k{index}",
            grid=(1, 1, 1),
            num_warps=4,
            num_ctas=1,
            shared_bytes=0,
            cooperative=False,
            pdl=False,
            parameters=(),
        )
        for index in range(len(ptx))
    )
    binaries = tuple(Binary(cubin=b"\x7fELF" + bytes([index]), ptx=text) for index, text in enumerate(ptx))
    return Record(target="sm_90", tensors=(), scratch=(), binaries=binaries, commands=launches)
