"""Enqueue with nothing but a Celery client: position is the order of arrival at a worker."""

import os

from celery import Celery

from turnline_consumer import follow

REDIS = os.environ["TURNLINE_REDIS_URL"]
celery = Celery(broker=os.environ.get("TURNLINE_BROKER_URL", REDIS))

with follow("celery", after="latest", redis_url=REDIS) as events:
    celery.send_task(
        "turnline.enqueue",
        kwargs={"session": "celery", "message": "Hello from Celery!"},
        task_id="celery-1",  # becomes the turn's id
        queue="turnline.turns",
        argsrepr="()",  # keeps the text out of the sender's own events
        kwargsrepr="<hidden>",
    )
    for event in events:
        if event.terminal:
            print(f"{event.turn}: {event.type}")
            break

celery.close()
