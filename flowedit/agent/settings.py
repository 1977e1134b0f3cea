"""What a user can choose about a styling run, checked when it is made, and the key that Gemini needs."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from flowedit.errors import SettingError
from flowedit.files import cleaned

BACKENDS = ("auto", "offline", "gemini")
KEY_VARIABLE = "GOOGLE_API_KEY"


@dataclass(frozen=True, kw_only=True)
class GeminiSettings:
    """How Gemini is called, what it may cost, and prices of tokens sent and received and of pictures.

    Attributes:
        text_model: Gemini model that reads pictures and words, and answers in words.
        image_model: Gemini model that draws keyframes.
        base_url: another server that speaks the same API; None is Google's.
        timeout_s: seconds until a call is given up.
        attempts: how often one call is tried when the server is busy or failing.
        backoff_s: seconds before the second try; doubled before each further one.
        max_calls: most requests that a run may send, failed ones and those before a kill included.
        max_usd: most US dollars that a run may cost; a request that may have been served counts fully.
        answers: folder of the answers and of the count that the limits hold for, shared by several runs; None for one
            of each run's own.
    """

    text_model: str = "gemini-3.8-flash"
    image_model: str = "gemini-3.1-flash-image"
    base_url: str | None = None
    timeout_s: float = 90.0
    attempts: int = 4
    backoff_s: float = 2.0
    max_calls: int = 60
    max_usd: float = 2.0
    answers: Path | None = None
    usd_per_million_in: float = 0.75
    usd_per_million_out: float = 3.75
    usd_per_image: float = 0.07

    def __post_init__(self) -> None:
        _at_least("timeout_s", self.timeout_s, 1e-3)
        _at_least("attempts", self.attempts, 1)
        for name in ("backoff_s", "max_calls", "max_usd", "usd_per_million_in", "usd_per_million_out", "usd_per_image"):
            _at_least(name, getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class StyleSettings:
    """What to style and how.

    Attributes:
        style: name of a look, such as watercolour; `flowedit.agent.stylers.LOOKS` has all.
        style_image: picture whose style to take.
        describe: the style in words.
        start: frame of the file that is frame 0 of the clip.
        every: style for an edit of every N-th frame.
        num_frames: frames of the clip, `4n + 1`; unless given the longest that fits, at most 81.
        target_fps: keyframes a second to aim for.
        max_frames: most keyframes.
        seed: seed of every texture.
        redo: how often the judge may send a keyframe back.
        backend: "auto" uses Gemini where a key is found, "offline" never; without one, "auto" and "gemini" note it
            and paint offline.
        gemini: how Gemini is called.
    """

    style: str | None = None
    style_image: Path | None = None
    describe: str | None = None
    start: int = 0
    every: int = 1
    num_frames: int | None = None
    target_fps: float = 1.0
    max_frames: int = 10
    seed: int = 0
    redo: int = 2
    backend: str = "auto"
    gemini: GeminiSettings = field(default_factory=GeminiSettings)

    def __post_init__(self) -> None:
        if self.describe:
            object.__setattr__(self, "describe", cleaned(self.describe))
        if not (self.style or self.style_image or (self.describe or "").strip()):
            raise SettingError("No style given; name a look, give a style image, or describe one.")
        if not 0 < self.target_fps < math.inf:
            raise SettingError(f"target_fps is {self.target_fps}; give a rate above 0, such as 1.")
        if self.max_frames < 2:
            raise SettingError(f"max_frames is {self.max_frames}; give 2 or more: both ends of the clip have one.")
        for name, least in {"start": 0, "every": 1, "seed": 0, "redo": 0}.items():
            _at_least(name, getattr(self, name), least)
        if self.backend not in BACKENDS:
            raise SettingError(f'No backend is named "{self.backend}"; choose {", ".join(BACKENDS)}.')


def find_key() -> SecretStr | None:
    """The Gemini key from Colab's secrets, else from the environment; None where there is none. It is never written."""
    found = (_colab_secret() or os.environ.get(KEY_VARIABLE) or "").strip()
    return SecretStr(found) if found else None


def redactor(key: SecretStr | None) -> Callable[[object], str]:
    """A function that takes the key, and what is no character, out of any text: for all that comes from elsewhere."""
    secret = key.get_secret_value() if key else ""
    return lambda text: cleaned(str(text)).replace(secret, "[key removed]") if secret else cleaned(str(text))


def _colab_secret() -> str | None:
    try:
        from google.colab import userdata  # pyright: ignore[reportMissingImports] only inside Colab
    except ImportError:
        return None
    try:
        return userdata.get(KEY_VARIABLE)
    except Exception:  # Colab's own, for "no such secret" and "access not granted", live in its module
        return None


def _at_least(name: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise SettingError(f"{name} is {value}; give a number of {least:g} or more.")
