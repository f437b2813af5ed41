"""Our own faults, as exceptions. A learner's fault is never one of these: it is a verdict (`grader.report`).

GraderError                 something of ours went wrong; logged, never costs a point
└── SandboxError            the walls or the processes behind them failed
NotGradable                 the request cannot be graded (empty, too large, unknown lab); its text is one sentence
"""


class GraderError(Exception):
    """Something of ours went wrong; the attempt is not charged."""


class SandboxError(GraderError):
    """A wall does not hold, or a process that is ours died."""


class NotGradable(ValueError):
    """What was handed in cannot be graded; the message is one sentence for the person who handed it in."""
