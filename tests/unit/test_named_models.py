"""Models of providers by name: imported when used, and what is missing is said."""

import subprocess
import sys

import pytest

from turnline_schemas.errors import ConfigurationError
from turnline_workers import Assistant, ProviderModel, Session, Tool


def look() -> str:
    """Look."""
    return ""


def test_naming_a_provider_imports_nothing_of_it() -> None:
    program = (
        "import sys; from turnline_workers import Assistant; Assistant(model='openai:gpt-5-mini');"
        "sys.exit(any(name in sys.modules for name in ('pydantic_ai', 'openai', 'celery')))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_pydantic_ai_it_is_said_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "from turnline_workers import Assistant\n"
        "try: Assistant(model='openai:gpt-5-mini')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout

    assert said.startswith("ConfigurationError")
    assert "pip install 'turnline[models]'" in said


@pytest.mark.parametrize("name", ["gpt-5-mini", "", ":", "openai:", ":gpt-5-mini"])
def test_a_name_without_a_provider_is_refused_when_it_is_given(name: str) -> None:
    with pytest.raises(ConfigurationError, match="provider"):
        Assistant(model=name)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openai:gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic:claude-haiku-5-5", "ANTHROPIC_API_KEY"),
        ("nobody:model", "Unknown model"),
        ("groq:llama", "groq"),
    ],
)
def test_what_is_missing_is_said_before_the_first_turn(
    model: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError, match=said):
        Session("demo", assistant=Assistant(model, tools=[Tool(look)]))


def test_a_model_object_of_pydantic_ai_may_be_given() -> None:
    from pydantic_ai.models.test import TestModel

    model = ProviderModel(TestModel(custom_output_text="As I was told."))

    outcome = Session("demo", assistant=Assistant(model)).send_sync("Hello!")

    assert outcome.messages[-1].text == "As I was told."  # type: ignore[union-attr]
