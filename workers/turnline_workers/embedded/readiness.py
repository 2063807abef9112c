"""When workers and Flower are ready."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Final, cast

import psycopg

from turnline_workers.embedded.endpoint import HOST
from turnline_workers.embedded.errors import StartError
from turnline_workers.embedded.process import Child
from turnline_workers.embedded.waiting import StopRequest, wait_until

_SECONDS: Final = 60.0

_BEATING: Final = """
SELECT count(DISTINCT pid) FROM turnline.workers WHERE pid = ANY(%s) AND beat_at >= %s
"""


def database_clock(database_url: str) -> datetime:
    """What time it is for Postgres, whose clock heartbeats are written with."""
    with psycopg.connect(database_url) as connection:
        [(now,)] = connection.execute("SELECT clock_timestamp()").fetchall()
    return cast("datetime", now)


def wait_for_workers(
    database_url: str, workers: Sequence[Child], *, since: datetime, stop: StopRequest
) -> None:
    """Wait until every worker wrote its heartbeat.

    Args:
        since: database time before they were started; older heartbeats are of other processes.

    Raises:
        StartError: one of them ended, or stays silent.
        StoppedError: somebody asked to stop meanwhile.
    """

    def all_beat() -> bool:
        for worker in workers:
            _check_alive(worker)
        pids = [worker.pid for worker in workers]
        with suppress(psycopg.errors.UndefinedTable):
            row = connection.execute(_BEATING, (pids, since)).fetchone()
            return row is not None and row[0] == len(workers)
        return False

    with psycopg.connect(database_url, autocommit=True) as connection:
        if not wait_until(all_beat, seconds=_SECONDS, stop=stop):
            _give_up(workers[0], f"or another worker wrote no heartbeat within {_SECONDS:g} s")


def wait_for_flower(flower: Child, port: int, *, stop: StopRequest) -> None:
    """Wait until Flower answers.

    Raises:
        StartError: it ended, or does not answer.
        StoppedError: somebody asked to stop meanwhile.
    """

    def answers() -> bool:
        _check_alive(flower)
        connection = HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    if not wait_until(answers, seconds=_SECONDS, stop=stop):
        _give_up(flower, f"does not answer on port {port}")


def _check_alive(child: Child) -> None:
    if not child.alive:
        _give_up(child, child.how_it_ended)


def _give_up(child: Child, reason: str) -> None:
    raise StartError(child.name, reason, log=child.log, tail=child.tail())
