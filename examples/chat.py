"""Enqueue a turn, and print its answer as it streams."""

import os

from turnline_consumer import follow
from turnline_producer import Producer
from turnline_schemas.event_data import TextDelta

REDIS = os.environ["TURNLINE_REDIS_URL"]

with Producer(REDIS) as producer, follow("chat", after="latest", redis_url=REDIS) as events:
    turn = producer.enqueue("chat", "Hello! What can you do?").turn
    for event in events:
        if event.turn != turn:
            continue
        if isinstance(event.data, TextDelta):
            print(event.data.delta, end="", flush=True)
        if event.terminal:
            print(f"\n[{event.type}]")
            break
