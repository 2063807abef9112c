"""A server shaped like model providers; without Node.js its tests are skipped."""

from collections.abc import Iterator

import pytest
from harness.aimock import Provider, missing, run_provider
from harness.conversations import fixtures


@pytest.fixture(scope="session")
def provider_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The server."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with run_provider(tmp_path_factory.mktemp("provider"), fixtures()) as running:
        yield running


@pytest.fixture
def provider(provider_server: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The server, with SDKs of this process and of its workers sent to it."""
    for name, value in provider_server.environment.items():
        monkeypatch.setenv(name, value)
    return provider_server
