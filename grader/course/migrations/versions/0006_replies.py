"""Replies in the bug hunt."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "course_replies",
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("task", sa.String(16), nullable=False),
        sa.Column("asked", sa.String(8), nullable=False),
        sa.Column("when", sa.Integer, nullable=False),
        sa.Column("right", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("user", "task", "asked", "when", name="pk_course_replies"),
    )
