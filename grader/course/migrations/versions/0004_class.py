"""A class: the events of its book, regrades, and what a gradebook needs of each report beside its attempt."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "course_events",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_course_events"),
        sa.UniqueConstraint("id", name="uq_course_events_id"),
    )
    op.add_column("course_attempts", sa.Column("regrade_of", sa.String(32)))
    op.add_column("course_attempts", sa.Column("summary", sa.Text, nullable=False, server_default=""))
    _fill()


def _fill() -> None:
    """The summaries of what was graded before; the form is that of the day of this revision."""
    attempts = sa.table("course_attempts", sa.column("id"), sa.column("same_as"), sa.column("summary"))
    reports = sa.table("course_reports", sa.column("attempt"), sa.column("report"))
    connection = op.get_bind()
    for attempt in connection.execute(sa.select(reports.c.attempt)).scalars().all():
        text = connection.execute(sa.select(reports.c.report).where(reports.c.attempt == attempt)).scalar_one()
        shown = sa.or_(attempts.c.id == attempt, attempts.c.same_as == attempt)
        connection.execute(sa.update(attempts).where(shown).values(summary=_summary(json.loads(text))))


def _summary(report: dict) -> str:
    points, timing = report["points"], report["timing"] or {}
    parts = {part: [points[part], most] for part, most in points["maxima"].items()}
    passed = [case["name"] for case in report["cases"] if case["verdict"] == "passed"]
    failed = [case["name"] for case in report["cases"] if case["verdict"] != "passed"]
    summary = {
        "parts": parts,
        "passed": passed,
        "failed": failed,
        "bug": report["diagnosis"]["name"],
        "sentence": report["diagnosis"]["sentence"],
        "device": report["device"],
        "ratio": timing.get("reference_ratio"),
        "roof": timing.get("roof_share"),
    }
    return json.dumps(summary, ensure_ascii=False)
