"""Fresh turn ids, for callers that bring none."""

import os
import time
import uuid


def new_turn_id() -> str:
    """Return a fresh id that sorts by time (UUID version 7, RFC 9562 section 5.7), as hex."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value).hex
