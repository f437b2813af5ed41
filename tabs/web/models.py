"""What goes over the wire, with the meaning of each field: the source of the OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["check", "submit"]
Moment = Annotated[float, Field(description="seconds since 1970, UTC")]


class Strict(BaseModel):
    """What is sent: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _first_unknown(cls, sent: Any) -> Any:
        """One field that is not known is enough: each would become an error of its own, a hundred thousand of them too."""
        if not isinstance(sent, dict):
            return sent
        unknown = next((name for name in sent if name not in cls.model_fields), None)
        return sent if unknown is None else {name: sent[name] for name in (*cls.model_fields, unknown) if name in sent}


class RefusalBody(BaseModel):
    error: str = Field(description="one sentence: what is wrong, where, and what was expected")


class LabEntry(BaseModel):
    id: str = Field(description="its folder's name", examples=["lab02_safe_softmax"])
    title: str
    points: float = Field(description="what it is worth; 0 where it is not graded")
    entry: str = Field(description="the function that a submission must define")
    arguments: list[str] = Field(description="its parameters, in order")


class LabPage(LabEntry):
    spec: str = Field(description="what is asked, as Markdown")
    starter: str = Field(description="the file to begin with")


class Token(BaseModel):
    token: str = Field(description="send it as 'Authorization: Bearer TOKEN'; whoever has it hands in as you")


class HandedIn(Strict):
    lab: str = Field(description="a lab's id, its first part or its number: lab02_safe_softmax, lab02 or 2")
    source: str = Field(description="the file's text, at most 64 KiB as UTF-8")
    mode: Mode = Field("check", description="check: the visible cases, free; submit: every case, counts")
    prediction: float | None = Field(None, description="the number that the lab asks for, where one is stated")


class AttemptNow(BaseModel):
    id: str
    lab: str
    mode: Mode
    device: Literal["cpu", "cuda"]
    state: Literal["queued", "running", "done", "cancelled", "system_error"] = Field(
        description="system_error is our fault and costs nothing"
    )
    phase: str = Field(description="what the judge is doing, while it runs")
    done: int = Field(description="cases judged, of `total`")
    total: int
    case: str = Field(description="the case at work")
    place: int = Field(description="in the queue, 1 is next; 0 where it does not wait")
    cancelling: bool
    charged: bool = Field(description="whether it costs one of the Submits at this lab")
    same_as: str | None = Field(description="an earlier attempt with the very same source, whose report it shows")
    fault: str = Field(description="one sentence where the state is system_error")
    verdict: str = Field(description='"" while there is no report; "passed", "wrong_answer", …', examples=["passed"])
    points: float | None = Field(description="None while there is no report")
    created: Moment
    started: Moment | None
    finished: Moment | None
    regraded: bool = Field(description="verdict and points are those of a regrade that was kept")


class GradingNow(BaseModel):
    grading: Literal["on", "off"]
    reason: str = Field(description="one sentence where it is off")


class Note(Strict):
    text: str = Field(description="at most 10,000 characters; empty takes it back")


class Shown(Strict):
    hidden: bool = Field(description="true keeps the attempt off the boards")


class Chosen(Strict):
    attempt: str | None = Field(description="one of your Submits at the lab; null: the best one")


class Nickname(Strict):
    nickname: str = Field(description="2 to 24 letters, digits, spaces, dots, apostrophes or dashes; empty: on no board")


class Code(Strict):
    code: str = Field(description="what whoever teaches gave you; good once")


class GradeNow(BaseModel):
    lab: str
    points: float
    out_of: float
    raw: float = Field(description="before what being late cost")
    lost_late: float
    due: Moment | None
    attempt: str = Field(description="the attempt that counts; empty without one")
    overridden: bool = Field(description="set by hand")
    comment: str


class Me(BaseModel):
    user: str
    role: Literal["learner", "instructor"]
    name: str = Field(description="as on the roster; empty where you are on none")
    section: str
    nickname: str
    passed: list[str] = Field(description="labs at which an attempt of yours has passed")
    submits_left: dict[str, int] = Field(description="by lab")
    grades: list[GradeNow] = Field(description="as the gradebook has them now; empty for who is on no roster")


class Due(Strict):
    due: str | None = Field(
        description="2026-12-01 23:59 (UTC), 2026-12-01T23:59+01:00, or 2026-12-01 for the end of that day; null takes it back"
    )
    section: str = Field("", description="empty: the class")


class NewExtension(Strict):
    due: str | None = Field(description="as in due; null takes it back")
    comment: str = ""


class NewOverride(Strict):
    points: float | None = Field(description="null takes it back")
    comment: str = Field("", description="why; needed where points are set")


class Remark(Strict):
    text: str = Field(description="instructors alone see it; empty takes it back")


class NewRegrade(Strict):
    lab: str
    scope: Literal["last", "best", "all"] = Field(description="which of each learner's Submits")


class Anything(BaseModel):
    """An object whose fields its own description names."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]
