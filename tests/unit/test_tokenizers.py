"""Token counts by a real tokenizer."""

import subprocess
import sys

import pytest
from tiktoken import Encoding

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.message import Content, Message, Part
from turnline_workers import policies

RANKS = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"ll": 257, b"hell": 258}
TINY = Encoding("tiny", pat_str=r"\w+|\W", mergeable_ranks=RANKS, special_tokens={"<|end|>": 999})
"""A vocabulary of bytes and of three merges."""


def test_messages_are_counted_by_the_tokenizer() -> None:
    count = policies.tokenizer(TINY)

    assert count(Message(role="user", content="hello")) == 4 + 2
    assert count(Message(role="user", content="")) == 4
    part = Part.model_validate({"type": "text", "text": "hello"})
    assert count(Message(role="user", content=Content(text="hello", parts=(part,)))) > 6


def test_text_that_looks_like_a_special_token_is_text() -> None:
    count = policies.tokenizer(TINY)

    assert count(Message(role="user", content="<|end|>")) == 4 + 7


def test_a_budget_may_be_kept_by_it() -> None:
    assert policies.keep_within(100, count=policies.tokenizer(TINY)).truncate is not None


def test_a_tokenizer_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no_such_encoding"):
        policies.tokenizer("no_such_encoding")


def test_without_tiktoken_it_is_said_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tiktoken'] = None\n"
        "from turnline_workers import policies\n"
        "try: policies.tokenizer('o200k_base')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout

    assert said.startswith("ConfigurationError")
    assert "pip install 'turnline[models]'" in said
