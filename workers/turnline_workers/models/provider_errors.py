"""What went wrong at a provider, in our words.  Needs pydantic-ai."""

from typing import Any, Final

from pydantic import JsonValue
from pydantic_ai import exceptions as provider
from pydantic_core import to_jsonable_python

from turnline_workers.errors import ContextOverflowError, ModelError
from turnline_workers.interaction.foreign import in_words

_PASSING: Final = (
    provider.ModelRateLimitError,
    provider.ModelUnavailableError,
    provider.ModelServerError,
    provider.ModelConnectionError,
    provider.ModelRequestTimeout,
)

_PASSING_STATUS: Final = frozenset({408, 409, 425, 429})

TOLD: Final = 300
"""Characters of a provider's own words that go into an error."""


def told(model: str, error: Exception) -> ModelError:
    """Return ``error`` as the core knows it: whether to try again, and when.

    Its text may be published, so what a provider says about credentials stays in ``raw``.
    """
    if not isinstance(error, provider.ModelAPIError):
        # An answer that makes no sense may make sense the next time; a wrong call never will.
        # SDKs raise all kinds of errors over what is no JSON, no UTF-8, or no gzip.
        lasting = isinstance(error, provider.UserError | provider.ContentFilterError)
        return ModelError(f"{model}: {in_words(error)}"[:TOLD], transient=not lasting)
    text = f"{model} {_what(error)}"
    raw = _raw(error)
    if isinstance(error, provider.ModelContextWindowExceededError):
        return ContextOverflowError(text, raw=raw)
    return ModelError(text, transient=_passes(error), retry_after=error.retry_after, raw=raw)


def _passes(error: provider.ModelAPIError) -> bool:
    hint = error.provider_retry_hint if isinstance(error, provider.ModelHTTPError) else None
    if hint is not None:
        return hint
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, provider.ModelRequestRejectedError | provider.ModelQuotaExceededError):
        return False
    if not isinstance(error, provider.ModelHTTPError):
        return True  # within a stream that had begun well, and is garbled
    return error.status_code in _PASSING_STATUS or error.status_code >= 500


def _what(error: provider.ModelAPIError) -> str:
    match error:
        case provider.ModelAuthenticationError():
            what = "does not accept the credentials: check the key and what it may use"
        case provider.ModelQuotaExceededError():
            what = "refuses: the account has no credit left"
        case provider.ModelNotFoundError():
            what = "is not known to its provider, or the base URL is wrong"
        case provider.ModelContextWindowExceededError():
            what = "cannot read that much"
        case provider.ModelRateLimitError():
            what = "is asked too often"
        case provider.ModelUnavailableError():
            what = "is overloaded or away"
        case provider.ModelTimeoutError() | provider.ModelRequestTimeout():
            what = "did not answer in time"
        case provider.ModelConnectionError():
            what = f"cannot be reached, or broke off: {error.message}"
        case _:
            what = f"failed: {_own_words(error)}"
    status = f" (HTTP {error.status_code})" if isinstance(error, provider.ModelHTTPError) else ""
    return f"{what}{status}"[:TOLD]


def _own_words(error: provider.ModelAPIError) -> str:
    body: Any = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        words = inner.get("message") if isinstance(inner, dict) else None
        if isinstance(words, str):
            return words
    return error.message


def _raw(error: provider.ModelAPIError) -> JsonValue:
    raw: JsonValue = to_jsonable_python(
        {
            "type": type(error).__mro__[1].__name__ if type(error).__name__[0] == "_" else None,
            "code": error.provider_error_code,
            "status": getattr(error, "status_code", None),
            "body": error.body,
            "message": error.message,
        },
        fallback=str,
    )
    return raw
