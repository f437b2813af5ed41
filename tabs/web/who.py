"""Who a request comes from, by its token alone: no cookie is read, so no other site can ask in your name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from grader.course.refusal import Ground, Refusal
from grader.course.roles import INSTRUCTOR, Role
from tabs.page.identity import Identities

if TYPE_CHECKING:
    from grader.course import Course
    from grader.course.instructor import Instructor
    from grader.course.learner import Learner

NEEDS_TOKEN = (
    "That needs a token: send it as 'Authorization: Bearer TOKEN', and get one by POST /api/v1/token or from the page."
)
NOT_OURS = "That token is not one of this server's, or it was taken back; get one by POST /api/v1/token or from the page."
SIGN_IN = "Here an account hands in: sign in on the page and take the token that it shows."


@dataclasses.dataclass(frozen=True)
class Doors:
    """What every route asks: the course, and who a token stands for."""

    course: Course
    identities: Identities

    def user_of(self, token: object) -> str | None:
        """The user for whom a token stands; None: it is not ours."""
        if self.course.is_instructor_token(token):
            return INSTRUCTOR
        user = self.identities.read(token)
        return user.id if user else None


@dataclasses.dataclass(frozen=True)
class Person:
    """Whoever asks. `user` is "" for nobody."""

    doors: Doors
    user: str

    @property
    def course(self) -> Course:
        return self.doors.course

    @property
    def role(self) -> Role:
        return self.course.role(self.user)

    def somebody(self) -> str:
        """The user.

        Raises:
            Refusal: it is nobody.
        """
        if not self.user:
            raise Refusal(NEEDS_TOKEN, Ground.NOBODY)
        return self.user

    def may_hand_in(self) -> str:
        """The user, where this server takes hand-ins from such a one.

        Raises:
            Refusal: it is nobody, or nobody in particular on a Space.
        """
        user = self.somebody()
        if self.doors.identities.accounts_only and user.startswith("anon-"):
            raise Refusal(SIGN_IN, Ground.NOT_ALLOWED)
        return user

    def learner(self) -> Learner:
        return self.course.learner(self.somebody())

    def instructor(self) -> Instructor:
        return self.course.instructor(self.somebody())


def doors_of(request: Request) -> Doors:
    found: Doors = request.app.state.doors
    return found


async def person_of(request: Request) -> Person:
    """Whoever sent the request.

    Raises:
        Refusal: with a token that is not ours.
    """
    return person(doors_of(request), request.headers.get("authorization", ""))


def person(doors: Doors, authorization: str) -> Person:
    """The same, by the header's text."""
    scheme, _, token = authorization.partition(" ")
    if not scheme:
        return Person(doors, "")
    user = doors.user_of(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        raise Refusal(NOT_OURS, Ground.NOBODY)
    return Person(doors, user)


Asks = Annotated[Person, Depends(person_of)]
