"""The Gemini key: found in the host's secrets or the environment, held in memory, never written."""

import os
from collections.abc import Callable

from pydantic import SecretStr

VARIABLE = "GOOGLE_API_KEY"
_HIDDEN = "[key removed]"


def find_key() -> SecretStr | None:
    """The key from Colab's secrets, else from the environment variable `GOOGLE_API_KEY`; None where there is none."""
    found = (_colab_secret() or os.environ.get(VARIABLE) or "").strip()
    return SecretStr(found) if found else None


def redactor(key: SecretStr | None) -> Callable[[str], str]:
    """A function that takes the key out of any text, for everything that is written, shown or raised."""
    secret = key.get_secret_value() if key else ""
    if not secret:
        return str
    return lambda text: str(text).replace(secret, _HIDDEN)


def _colab_secret() -> str | None:
    try:
        from google.colab import userdata  # pyright: ignore[reportMissingImports] only inside Colab
    except ImportError:
        return None
    try:
        return userdata.get(VARIABLE)
    except Exception:  # Colab's own exceptions for "no such secret" and "access not granted" live in its module
        return None
