"""What must be true of a session after everything was played, whatever happened meanwhile."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from harness.fold import TERMINAL, fold
from harness.producers import Enqueued
from harness.truth import Row, Truth


def assert_played_in_order(truth: Truth, session: str, enqueued: Sequence[Enqueued]) -> None:
    """Every turn completed exactly once, in the order of its position, and the log tells it."""
    turns, log = truth.turns(session), truth.log(session)

    assert_every_turn_has_one_outcome(turns, enqueued)
    assert_positions_respect_time(enqueued)
    assert_commit_order_is_position_order(turns)
    assert_transcript_is_in_order(truth.messages(session), turns)
    assert_log_is_well_formed(log, [row["turn"] for row in turns])
    assert fold(log) == truth.transcript(session)
    assert_at_rest(truth, session)


def assert_every_turn_has_one_outcome(turns: Sequence[Row], enqueued: Sequence[Enqueued]) -> None:
    """What was enqueued is what was completed, at the position that the producer was told."""
    assert {row["turn"]: row["position"] for row in turns} == {
        each.turn: each.position for each in enqueued
    }
    assert {row["status"] for row in turns} == {"completed"}


def assert_positions_respect_time(enqueued: Iterable[Enqueued]) -> None:
    """If one enqueue returned before another was called, its position is smaller."""
    earliest_return = math.inf
    for each in sorted(enqueued, key=lambda one: key(one.position), reverse=True):
        assert earliest_return >= each.called, f"{each.turn} overtook one that returned before"
        earliest_return = min(earliest_return, each.returned)


def assert_commit_order_is_position_order(turns: Sequence[Row]) -> None:
    """Places go with positions; fences and commits go with places."""
    for one, other in pairwise(turns):
        assert one["ordinal"] < other["ordinal"]
        assert key(one["position"]) < key(other["position"])
        assert one["fence"] < other["fence"]
        assert one["settled_at"] < other["settled_at"]


def assert_transcript_is_in_order(messages: Sequence[Row], turns: Sequence[Row]) -> None:
    """Indexes are dense; each turn adds what was said and what was answered, in its place."""
    assert [row["index"] for row in messages] == list(range(1, len(messages) + 1))
    assert [(row["turn"], row["role"]) for row in messages] == [
        (row["turn"], role) for row in turns for role in ("user", "assistant")
    ]


def assert_log_is_well_formed(log: Sequence[Row], turns: Sequence[str]) -> None:
    """Seqs are dense, and turns start and end one after the other, each once per attempt."""
    assert_dense(log)
    bounds = [
        (event["turn"], "start" if event["type"] == "turn.started" else "end")
        for event in log
        if event["type"] == "turn.started" or event["type"] in TERMINAL
    ]
    assert bounds == [(turn, bound) for turn in turns for bound in ("start", "end")]


def assert_dense(log: Sequence[Row]) -> None:
    """Seqs are 1, 2, 3, ..."""
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))


def assert_at_rest(truth: Truth, session: str) -> None:
    """Nobody owns the session, and nothing of it waits anywhere."""
    row = truth.session(session)
    assert (row["status"], row["owner"], row["runnable_since"]) == ("idle", None, None)
    assert row["messages"] == len(truth.messages(session))
    assert truth.inbox(session) == 0
    assert truth.dead_letters(session) == []


def key(position: str) -> tuple[int, int]:
    """Return what positions are compared by."""
    ms, _, seq = position.partition("-")
    return int(ms), int(seq)
