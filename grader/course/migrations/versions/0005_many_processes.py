"""Many grading processes on many machines: two of one name are told apart, deaths over an attempt count wherever they were."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("course_attempts", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
    op.add_column("course_processes", sa.Column("instance", sa.String(32), nullable=False, server_default=""))
    op.add_column("course_processes", sa.Column("patience", sa.Float, nullable=False, server_default="0"))
    op.add_column("course_processes", sa.Column("counts", sa.Text, nullable=False, server_default="{}"))
