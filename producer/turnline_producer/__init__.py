"""What a service needs to enqueue turns: ``Producer`` and its asyncio twin ``AsyncProducer``."""

from turnline_producer.aproducer import AsyncProducer
from turnline_producer.producer import Producer
from turnline_schemas.errors import TurnlineError
from turnline_schemas.receipt import Receipt

__all__ = ["AsyncProducer", "Producer", "Receipt", "TurnlineError"]
