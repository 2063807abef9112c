"""Stop reading in the middle of an answer, go on later from the cursor, and miss nothing."""

import os

from turnline_consumer import follow
from turnline_producer import Producer

REDIS = os.environ["TURNLINE_REDIS_URL"]

with Producer(REDIS) as producer:
    turn = producer.enqueue("resume", "Tell me more.", confirm=True).turn

seen = []
with follow("resume", redis_url=REDIS) as events:
    for event in events:
        seen.append(event.seq)
        if len(seen) == 5:
            break
    cursor = events.cursor  # store this with what you have shown

print(f"gone after {cursor}; back again")

with follow("resume", after=cursor, redis_url=REDIS) as events:
    for event in events:
        seen.append(event.seq)
        if event.terminal and event.turn == turn:
            break

assert seen == list(range(seen[0], seen[0] + len(seen)))
print(f"{len(seen)} events, none missing, none twice")
