"""The chapter's questions that an account has answered."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "course_answers",
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("question", sa.String(64), nullable=False),
        sa.Column("right", sa.Boolean, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("user", "question", name="pk_course_answers"),
    )
