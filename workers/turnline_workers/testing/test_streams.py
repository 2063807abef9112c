"""Runs each rule on the stream that ``TURNLINE_TEST_STREAM=module:function`` makes."""

from typing import Any

import pytest

from turnline_workers.testing.checking import run_stream_rule
from turnline_workers.testing.shipped import from_environment, iterator_stream
from turnline_workers.testing.stream_rules import STREAM_RULES


@pytest.mark.parametrize("rule", STREAM_RULES, ids=lambda rule: rule.__name__)
def test_stream(rule: Any) -> None:
    """The stream keeps the rule."""
    run_stream_rule(rule, from_environment("TURNLINE_TEST_STREAM", iterator_stream))
