"""What grades an attempt is called a process, in the attempts and in the table of those that are alive."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.alter_column(
        "course_attempts", "worker", new_column_name="process", existing_type=sa.String(200), existing_nullable=False
    )
    op.drop_table("course_workers")  # who is alive says so again within seconds
    op.create_table(
        "course_processes",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_course_processes"),
    )
