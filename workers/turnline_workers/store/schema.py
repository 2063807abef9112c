"""The tables, and nothing else.

Every key starts with the session id, so that tables can be partitioned or sharded by it.
Named CHECK constraints make illegal rows impossible.  ``docs/architecture.md`` tells the story.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

SCHEMA = "turnline"

metadata = MetaData(schema=SCHEMA)

TIMESTAMP = DateTime(timezone=True)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text(), primary_key=True),
    Column("hostname", Text(), nullable=False),
    Column("pid", Integer(), nullable=False),
    Column("slots", Integer(), nullable=False),
    Column("started_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    # Alive = younger than the lease, on this clock and no other.
    Column("beat_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session", Text(), primary_key=True),
    Column("user_id", Text(), nullable=True),
    Column("status", Text(), nullable=False, server_default="idle"),
    # Worker that plays the session.  No foreign key: workers come and go without touching this.
    Column("owner", Text(), nullable=True),
    # Grows with every claim; every write under a claim checks it.
    Column("fence", BigInteger(), nullable=False, server_default="0"),
    # Id of the last inbox entry taken.  It saves work; turn ids decide.
    Column("inbox_cursor", Text(), nullable=False, server_default="0-0"),
    # Id of the last inbox entry refused while the session was paused.  What stands before it and
    # is not in the mailbox was refused too, and stays so, whoever reads it a second time.
    Column("refused_cursor", Text(), nullable=True),
    Column("last_ordinal", BigInteger(), nullable=False, server_default="0"),
    Column("last_seq", BigInteger(), nullable=False, server_default="0"),
    Column("messages", BigInteger(), nullable=False, server_default="0"),
    # The view is ``view_head`` followed by the transcript from index ``view_start`` on.
    Column("view_head", JSONB(), nullable=False, server_default=text("'[]'::jsonb")),
    Column("view_start", BigInteger(), nullable=False, server_default="1"),
    Column("private", JSONB(), nullable=False, server_default=text("'{}'::jsonb")),
    Column("priority", SmallInteger(), nullable=False, server_default="0"),
    Column("runnable_since", TIMESTAMP, nullable=True),
    # When a bell was last sent for it, so that sweeps do not ring it again and again.
    Column("rung_at", TIMESTAMP, nullable=True),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    CheckConstraint("status IN ('idle', 'runnable', 'playing', 'paused')", name="status_known"),
    CheckConstraint("(status = 'playing') = (owner IS NOT NULL)", name="playing_has_an_owner"),
    CheckConstraint(
        "(status = 'runnable') = (runnable_since IS NOT NULL)", name="runnable_has_a_time"
    ),
    CheckConstraint("view_start BETWEEN 1 AND messages + 1", name="view_starts_inside"),
)

Index("sessions_alive", sessions.c.status, postgresql_where=sessions.c.status != "idle")
Index("sessions_owned", sessions.c.owner, postgresql_where=sessions.c.owner.is_not(None))

turns = Table(
    "turns",
    metadata,
    Column(
        "session",
        Text(),
        ForeignKey(f"{SCHEMA}.sessions.session", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("turn", Text(), primary_key=True),
    # Place in the session's order, given at intake; a delayed turn has none until it is due.
    Column("ordinal", BigInteger(), nullable=True),
    # Id of the inbox entry it came in.
    Column("position", Text(), nullable=False),
    # It was found at or behind the inbox cursor: Redis lost data or its clock went back.
    Column("late", Boolean(), nullable=False, server_default=text("false")),
    Column("fingerprint", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("attempts", Integer(), nullable=False, server_default="0"),
    # Attempts that ended without saying so: the worker died, was fenced off, or met a defect.
    Column("losses", Integer(), nullable=False, server_default="0"),
    # Fence of the newest attempt: it grows with the ordinal, which proves the order of play.
    Column("fence", BigInteger(), nullable=True),
    Column("user_id", Text(), nullable=True),
    Column("assistant", Text(), nullable=False),
    Column("message", JSONB(), nullable=False),
    Column("context", JSONB(), nullable=False, server_default=text("'{}'::jsonb")),
    Column("priority", SmallInteger(), nullable=False, server_default="0"),
    Column("not_before", TIMESTAMP, nullable=True),
    Column("cancel_reason", Text(), nullable=True),
    Column("error", JSONB(none_as_null=True), nullable=True),
    Column("usage", JSONB(none_as_null=True), nullable=True),
    # What it waits for, while it is paused: token, kind, payload, schema of the answer.
    Column("pause", JSONB(none_as_null=True), nullable=True),
    Column("paused_at", TIMESTAMP, nullable=True),
    # When it goes on without an answer, and fails.
    Column("pause_expires_at", TIMESTAMP, nullable=True),
    # The terminal event, or turn.paused, until it is known to be published (transactional outbox).
    Column("outbox", JSONB(none_as_null=True), nullable=True),
    Column("accepted_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    Column("started_at", TIMESTAMP, nullable=True),
    Column("settled_at", TIMESTAMP, nullable=True),
    CheckConstraint(
        "status IN ('delayed', 'waiting', 'playing', 'paused',"
        " 'completed', 'failed', 'cancelled', 'dead')",
        name="status_known",
    ),
    CheckConstraint(
        "(status IN ('completed', 'failed', 'cancelled', 'dead')) = (settled_at IS NOT NULL)",
        name="settled_has_a_time",
    ),
    CheckConstraint(
        "ordinal IS NOT NULL OR status IN ('delayed', 'cancelled')",
        name="only_delayed_has_no_place",
    ),
    CheckConstraint("(started_at IS NULL) = (attempts = 0)", name="started_has_an_attempt"),
    CheckConstraint(
        "outbox IS NULL OR settled_at IS NOT NULL OR paused_at IS NOT NULL",
        name="outbox_after_settling_or_pausing",
    ),
    CheckConstraint("(status = 'paused') = (pause IS NOT NULL)", name="paused_has_a_question"),
)

Index("turns_order", turns.c.session, turns.c.ordinal, unique=True)
Index(
    "turns_open",
    turns.c.session,
    turns.c.ordinal,
    postgresql_where=turns.c.status.in_(["waiting", "playing", "paused"]),
)
Index(
    "turns_expiring",
    turns.c.pause_expires_at,
    postgresql_where=turns.c.pause_expires_at.is_not(None),
)
Index("turns_delayed", turns.c.not_before, postgresql_where=turns.c.status == "delayed")
Index("turns_outbox", turns.c.session, postgresql_where=turns.c.outbox.is_not(None))

steps = Table(
    "steps",
    metadata,
    # The journal of unfinished turns: what an attempt did, the next one does not do again.
    Column(
        "session",
        Text(),
        ForeignKey(f"{SCHEMA}.sessions.session", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("turn", Text(), primary_key=True),
    Column("kind", Text(), primary_key=True),
    # Of the step, call, run of a call, or pause.
    Column("id", Text(), primary_key=True),
    # Order of writing inside the turn.
    Column("number", BigInteger(), Identity(always=True), nullable=False),
    Column("value", JSONB(), nullable=True),
    CheckConstraint(
        "kind IN ('step', 'began', 'asked', 'tool', 'answer', 'expired')", name="kind_known"
    ),
)

messages = Table(
    "messages",
    metadata,
    Column(
        "session",
        Text(),
        ForeignKey(f"{SCHEMA}.sessions.session", ondelete="CASCADE"),
        primary_key=True,
    ),
    # Dense in its session: 1, 2, 3, ...
    Column("index", BigInteger(), primary_key=True),
    Column("turn", Text(), nullable=False),
    Column("role", Text(), nullable=False),
    Column("content", JSONB(), nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    CheckConstraint("role IN ('system', 'user', 'assistant', 'tool')", name="role_known"),
    CheckConstraint('"index" >= 1', name="index_positive"),
)

states = Table(
    "states",
    metadata,
    # Sessions played in process; no worker looks at them, so that no claim is ever passed by.
    Column("session", Text(), primary_key=True),
    # How often it was saved; a save names the one that it was made from.
    Column("revision", BigInteger(), nullable=False),
    # No JSONB, which keeps neither NUL nor every number as it was.
    Column("state", JSON(), nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    CheckConstraint("revision >= 1", name="revision_positive"),
)
