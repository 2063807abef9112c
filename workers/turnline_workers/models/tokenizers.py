"""Token counts by real tokenizers, for models whose providers do not count."""

from typing import TYPE_CHECKING

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.message import Message
from turnline_workers.interaction.tokens import FRAME, TokenCount, text_of

if TYPE_CHECKING:
    from tiktoken import Encoding


def tokenizer(encoding: "str | Encoding") -> TokenCount:
    """Return a count for the ``count`` of policies, by a tokenizer of tiktoken.

    Args:
        encoding: a name such as ``o200k_base``, whose vocabulary tiktoken fetches once and keeps
            in ``TIKTOKEN_CACHE_DIR``; or an encoding of your own.

    Raises:
        ConfigurationError: tiktoken is not installed, or the vocabulary is not to be had.
    """
    found = _named(encoding) if isinstance(encoding, str) else encoding

    def count(message: Message) -> int:
        # Texts that look like special tokens are texts here.
        return FRAME + len(found.encode(text_of(message), disallowed_special=()))

    return count


def _named(name: str) -> "Encoding":
    try:
        from tiktoken import get_encoding
    except ImportError as error:
        raise ConfigurationError(
            f"tokenizer {name!r} needs tiktoken: pip install 'turnline[models]'"
        ) from error
    try:
        return get_encoding(name)
    except ValueError as error:
        raise ConfigurationError(f"tokenizer {name!r}: {error}".partition("\n")[0]) from error
    except OSError as error:
        raise ConfigurationError(
            f"tokenizer {name!r}: its vocabulary cannot be fetched ({error}); put it into"
            " TIKTOKEN_CACHE_DIR on a machine with a network"
        ) from error
