"""The journal of unfinished turns, and turns that wait for an answer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = "status IN ('waiting', 'playing', 'paused')"


def upgrade() -> None:
    """Add what pauses and journals need."""
    op.create_table(
        "steps",
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "kind IN ('step', 'began', 'asked', 'tool', 'answer', 'expired')", name="kind_known"
        ),
        sa.ForeignKeyConstraint(["session"], ["turnline.sessions.session"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session", "turn", "kind", "id"),
        schema="turnline",
    )
    _replace_check(
        "sessions", "status_known", "status IN ('idle', 'runnable', 'playing', 'paused')"
    )
    op.add_column("turns", _json("pause"), schema="turnline")
    op.add_column("turns", _time("paused_at"), schema="turnline")
    op.add_column("turns", _time("pause_expires_at"), schema="turnline")
    _replace_check(
        "turns",
        "status_known",
        "status IN ('delayed', 'waiting', 'playing', 'paused',"
        " 'completed', 'failed', 'cancelled', 'dead')",
    )
    op.drop_constraint("outbox_after_settling", "turns", schema="turnline")
    op.create_check_constraint(
        "outbox_after_settling_or_pausing",
        "turns",
        "outbox IS NULL OR settled_at IS NOT NULL OR paused_at IS NOT NULL",
        schema="turnline",
    )
    op.create_check_constraint(
        "paused_has_a_question",
        "turns",
        "(status = 'paused') = (pause IS NOT NULL)",
        schema="turnline",
    )
    op.drop_index("turns_open", "turns", schema="turnline")
    op.create_index(
        "turns_open",
        "turns",
        ["session", "ordinal"],
        schema="turnline",
        postgresql_where=sa.text(OPEN),
    )
    op.create_index(
        "turns_expiring",
        "turns",
        ["pause_expires_at"],
        schema="turnline",
        postgresql_where=sa.text("pause_expires_at IS NOT NULL"),
    )


def _replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(name, table, schema="turnline")
    op.create_check_constraint(name, table, condition, schema="turnline")


def _json(name: str) -> "sa.Column[object]":
    return sa.Column(
        name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
    )


def _time(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)
