"""The command line, as a user types it, against one worker."""

import json
import signal
from pathlib import Path

import pytest
from harness.shell import Shell
from harness.waiting import until
from harness.world import World


def test_send_follow_streams_the_answer(turnline: Shell) -> None:
    done = turnline("send", "greeting", "Hello!", "--follow")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "Turn 1. You said: Hello!\n"


def test_a_turn_sent_twice_is_played_once_and_shown_both_times(turnline: Shell) -> None:
    answers = [turnline("send", "twice", "Hello!", "--turn", "t-1", "--follow") for _ in range(2)]

    assert [done.stdout for done in answers] == ["Turn 1. You said: Hello!\n"] * 2
    shown = json.loads(turnline("show", "twice", "--json").stdout)
    assert [turn["turn"] for turn in shown["turns"]] == ["t-1"]


def test_send_json_prints_the_receipt_and_every_event(turnline: Shell) -> None:
    done = turnline("send", "as-json", "Hello!", "--follow", "--json")

    receipt, *events = map(json.loads, done.stdout.splitlines())
    assert receipt["status"] == "enqueued"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["cursor"].endswith(f":{events[-1]['seq']}")


def test_a_file_is_sent_line_by_line_and_wrong_lines_are_named(
    turnline: Shell, tmp_path: Path
) -> None:
    lines = [
        json.dumps({"session": "file-a", "text": "one", "turn": "f-1"}),
        "not json",
        json.dumps({"session": "file-a", "text": "   "}),
        "",
        json.dumps({"session": "bad id", "text": "x"}),
        json.dumps({"session": "file-b", "text": "two", "turn": 5}),
        json.dumps({"session": "file-b", "txet": "typo"}),
        json.dumps({"session": "file-b", "text": "three", "turn": "f-2"}),
        json.dumps({"session": "file-a", "text": "one", "turn": "f-1"}),
        json.dumps([1, 2]),
        json.dumps({"session": "file-b", "text": "\ud800"}),
    ]
    file = tmp_path / "turns.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8-sig")

    done = turnline("send", "--file", str(file), "--confirm")

    assert done.returncode == 1
    assert done.stdout == "2 enqueued, 1 known before, 7 wrong\n"
    named = [line.split(":")[0] for line in done.stderr.splitlines() if line.startswith("line")]
    assert named == [f"line {number}" for number in (2, 3, 5, 6, 7, 10, 11)]


def test_a_file_may_come_from_standard_input(turnline: Shell) -> None:
    line = json.dumps({"session": "piped", "text": "Hello!"})

    done = turnline("send", "--file", "-", "--json", stdin=f"{line}\n{line}\n")

    assert done.returncode == 0, done.stderr
    assert [json.loads(each)["session"] for each in done.stdout.splitlines()] == ["piped"] * 2


def test_follow_goes_on_from_a_cursor(turnline: Shell) -> None:
    events = turnline("send", "cursor", "Hello!", "--follow", "--json").stdout.splitlines()[1:]
    third = json.loads(events[2])

    follower = turnline.start("follow", "cursor", "--after", third["cursor"], "--json")
    assert follower.stdout is not None
    rest = [json.loads(follower.stdout.readline()) for _ in events[3:]]
    follower.send_signal(signal.SIGINT)

    assert [event["seq"] for event in rest] == [json.loads(each)["seq"] for each in events[3:]]
    assert follower.wait(10) == 130
    follower.stdout.close()
    assert follower.stderr is not None
    assert "Traceback" not in follower.stderr.read()
    follower.stderr.close()


def test_follow_of_a_foreign_cursor_resets_with_the_transcript(turnline: Shell) -> None:
    turnline("send", "reset", "Hello!", "--follow")

    follower = turnline.start("follow", "reset", "--after", "otherlog:3", "--json")
    assert follower.stdout is not None
    event = json.loads(follower.stdout.readline())
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=10)

    assert event["type"] == "session.reset"
    assert event["data"]["reason"] == "epoch_changed"
    said = [entry["message"]["content"] for entry in event["data"]["snapshot"]["transcript"]]
    assert said == ["Hello!", "Turn 1. You said: Hello!"]


def test_sessions_and_show_tell_what_is_there(turnline: Shell) -> None:
    turnline("send", "listed", "What is [bold] here?", "--follow")

    listed = [json.loads(line) for line in turnline("sessions", "--json").stdout.splitlines()]
    shown = turnline("show", "listed").stdout

    assert next(each for each in listed if each["session"] == "listed")["messages"] == 2
    assert "listed" in turnline("sessions").stdout
    assert "What is [bold] here?" in shown
    assert "completed" in shown


def test_cancel_of_a_delayed_turn_ends_it(turnline: Shell, stage: World) -> None:
    later = {"session": "later", "text": "x", "turn": "l-1", "not_before": "2999-01-01T00:00:00Z"}
    turnline("send", "--file", "-", "--confirm", stdin=json.dumps(later))

    assert turnline("cancel", "later", "l-1", "--reason", "changed my mind").returncode == 0

    def status() -> str:
        return json.loads(turnline("show", "later", "--json").stdout)["turns"][0]["status"]

    until(lambda: status() == "cancelled", seconds=15, what="the turn is cancelled")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("send", "bad id", "x"), "session: "),
        (("send", "ses", "  "), "is empty"),
        (("follow", "ses", "--after", "17"), "is no cursor"),
        (("show", "nobody"), "no session 'nobody'"),
        (("verify", "nobody"), "no session 'nobody'"),
    ],
)
def test_a_users_mistake_is_one_clear_line(
    turnline: Shell, args: tuple[str, ...], said: str
) -> None:
    done = turnline(*args)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "setting", "server"),
    [
        (("send", "ses", "x"), "TURNLINE_REDIS_URL", "Redis at redis://default:***@127.0.0.1:1/0"),
        (("follow", "ses"), "TURNLINE_REDIS_URL", "Redis at redis://default:***@127.0.0.1:1/0"),
        (("sessions",), "TURNLINE_DATABASE_URL", "Postgres at postgresql://u:***@127.0.0.1:1/db"),
        (("migrate",), "TURNLINE_DATABASE_URL", "Postgres at postgresql://u:***@127.0.0.1:1/db"),
        (
            ("verify", "--all"),
            "TURNLINE_DATABASE_URL",
            "Postgres at postgresql://u:***@127.0.0.1:1/db",
        ),
    ],
)
def test_a_server_that_is_away_is_named_without_its_password(
    turnline: Shell, args: tuple[str, ...], setting: str, server: str
) -> None:
    urls = {
        "TURNLINE_REDIS_URL": "redis://default:secret@127.0.0.1:1/0",
        "TURNLINE_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/db",
    }

    done = turnline(*args, **{setting: urls[setting]})

    assert done.returncode == 1
    assert server in done.stderr
    assert setting in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_without_the_schema_says_what_to_run(turnline: Shell, stage: World) -> None:
    empty = stage.database_url.replace(f"/{stage.database}", "/postgres")

    done = turnline("sessions", TURNLINE_DATABASE_URL=empty)

    assert done.returncode == 1
    assert "turnline migrate" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "demo",
        "send",
        "follow",
        "cancel",
        "resume",
        "sessions",
        "show",
        "verify",
        "migrate",
        "worker",
    ],
)
def test_every_command_has_help_with_an_example(turnline: Shell, command: str) -> None:
    done = turnline(command, "--help")

    assert done.returncode == 0
    assert f"turnline {command}" in done.stdout.split("Options")[0].split("Usage:")[1]
