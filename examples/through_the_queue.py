"""Play an assistant of these examples in a worker: through_the_queue.py tools "Any news?"

The workers: PYTHONPATH=examples TURNLINE_ASSISTANTS=tools:assistant turnline up
"""

import json
import os
import sys
from importlib import import_module

from turnline_consumer import follow
from turnline_producer import Producer
from turnline_schemas.event_data import TextDelta, TurnPaused

REDIS = os.environ["TURNLINE_REDIS_URL"]
name, text = sys.argv[1:] or ("default", "Hello!")
# What the offline model shall do; a real one decides by itself.
script = {} if name == "default" else getattr(import_module(name), "SCRIPT", {})
context = {"builtin": script}

with Producer(REDIS) as producer, follow(name, after="latest", redis_url=REDIS) as events:
    turn = producer.enqueue(name, text, assistant=name, context=context, confirm=True).turn
    for event in events:
        if event.turn != turn:
            continue
        if isinstance(event.data, TextDelta):
            print(event.data.delta, end="", flush=True)
        elif isinstance(event.data, TurnPaused):
            answer = json.loads(input(f"{event.data.kind} {event.data.payload}? (JSON) "))
            producer.resume(name, turn, event.data.pause, answer)
        else:
            print(f"[{event.type}]", getattr(event.data, "message", ""))
        if event.terminal:
            break
