"""The one refusal that every door shows, whether page, program or terminal: a sentence, what kind it is, when to come back.

with refusals():
    course.submit(...)
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

from grader.course.quota import QuotaReached
from grader.course.roles import NotAllowed
from grader.course.states import AttemptNotFound
from grader.course.store import StoreError
from grader.faults import NotGradable


class Ground(enum.IntEnum):
    """On what ground something is refused, by HTTP's number for it."""

    NOBODY = 401  # who is asking is not known, and must be
    NOT_ALLOWED = 403  # who is asking may not
    NOT_THERE = 404  # or someone else's: the two are never told apart
    STANDS_AGAINST = 409  # what is there does not go with what is asked
    NOT_RIGHT = 422  # what was sent breaks a rule
    TOO_MUCH = 429
    CANNOT_STORE = 503  # our fault


class Refusal(Exception):
    """The text is one sentence for whoever asked. `retry_after_s`: when it will be taken; 0 where nobody knows."""

    def __init__(self, sentence: str, ground: Ground, *, retry_after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.ground = ground
        self.retry_after_s = retry_after_s


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Whatever the course says no with, as `Refusal`."""
    try:
        yield
    except QuotaReached as error:
        raise Refusal(str(error), Ground.TOO_MUCH, retry_after_s=error.retry_after_s) from error
    except NotGradable as error:
        raise Refusal(str(error), Ground.NOT_RIGHT) from error
    except NotAllowed as error:
        raise Refusal(str(error), Ground.NOT_ALLOWED) from error
    except AttemptNotFound as error:
        raise Refusal(str(error), Ground.NOT_THERE) from error
    except StoreError as error:
        raise Refusal(str(error), Ground.CANNOT_STORE) from error
    except UnicodeEncodeError as error:  # all that we write ourselves can be encoded
        half = f"U+{ord(error.object[error.start]):04X}"
        sentence = f"A text holds half of a surrogate pair ({half}); expected text that UTF-8 can hold."
        raise Refusal(sentence, Ground.NOT_RIGHT) from error
