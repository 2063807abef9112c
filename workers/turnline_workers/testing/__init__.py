"""What every store and every stream must do, as rules that your own adapter can be checked with.

``check_store(make)`` and ``check_stream(make)`` raise ``AssertionError`` with the rules that are
broken; ``pytest --pyargs turnline_workers.testing`` runs each rule as a test.
"""

from turnline_workers.testing.checking import check_store, check_stream
from turnline_workers.testing.store_rules import STORE_RULES
from turnline_workers.testing.stream_rules import STREAM_RULES
from turnline_workers.testing.subjects import MakeStore, MakeStream, StreamUnderTest

__all__ = [
    "STORE_RULES",
    "STREAM_RULES",
    "MakeStore",
    "MakeStream",
    "StreamUnderTest",
    "check_store",
    "check_stream",
]
