"""Sessions that take no turns while one of theirs waits for an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember up to where turns were refused."""
    column = sa.Column("refused_cursor", sa.Text(), nullable=True)
    op.add_column("sessions", column, schema="turnline")
