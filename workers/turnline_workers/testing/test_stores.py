"""Runs each rule on the store that ``TURNLINE_TEST_STORE=module:function`` makes.

``TURNLINE_TEST_CONTEXT`` is a JSON object: the context that the store is given.
"""

from typing import Any

import pytest

from turnline_workers.testing.checking import run_store_rule
from turnline_workers.testing.shipped import (
    context_from_environment,
    from_environment,
    memory_store,
)
from turnline_workers.testing.store_rules import STORE_RULES


@pytest.mark.parametrize("rule", STORE_RULES, ids=lambda rule: rule.__name__)
def test_store(rule: Any) -> None:
    """The store keeps the rule."""
    make = from_environment("TURNLINE_TEST_STORE", memory_store)
    run_store_rule(rule, make, context=context_from_environment("TURNLINE_TEST_CONTEXT"))
