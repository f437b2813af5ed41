"""Attempts, their sources and reports, and the workers that grade them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "course_attempts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        sa.Column("edition", sa.String(64), nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=False),
        sa.Column("prediction", sa.Float),
        sa.Column("same_as", sa.String(32)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("charged", sa.Boolean, nullable=False),
        sa.Column("phase", sa.String(64), nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("case_name", sa.String(128), nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("points", sa.Float),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("finished", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_course_attempts"),
    )
    op.create_index("ix_course_attempts_user_lab_created", "course_attempts", ["user", "lab", "created"])
    op.create_index("ix_course_attempts_user_created", "course_attempts", ["user", "created"])
    op.create_index("ix_course_attempts_state", "course_attempts", ["state"])
    op.create_table(
        "course_sources",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_course_sources"),
    )
    op.create_table(
        "course_reports",
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["course_attempts.id"], name="fk_course_reports_attempt"),
        sa.PrimaryKeyConstraint("attempt", name="pk_course_reports"),
    )
    op.create_table(
        "course_workers",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_course_workers"),
    )
