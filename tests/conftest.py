"""What holds for all tests: none of them finds a key for Gemini that it did not set itself."""

import pytest


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    """A developer's key would be paid with, and one that a test left behind waits for a service that is not there."""
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
