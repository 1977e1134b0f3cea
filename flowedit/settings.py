"""The settings of an edit: frozen, checked when made, and written whole into the run's manifest."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, get_args

from flowedit.correction import DEFAULT_GAIN, Euler, Gain, gain_from
from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.files import cleaned
from flowedit.schedule import check_grid

Method = Literal["coupled", "difference", "refine", "colour-map", "propagation", "estimate"]
Encoding = Literal["still", "hold", "delta"]
Conditioning = Literal["tokens", "i2v", "both", "none"]
Detail = Literal["plain", "residual"]
Positions = Literal["shared", "appended", "restarted", "zero"]


@dataclass(frozen=True, kw_only=True)
class EditSettings:
    """Everything that decides an edit beside the clip, the keyframes, the model and the seed's noise.

    `EditSettings.of` takes the same, and how strongly to correct in the user's words: `alpha`, `kappa`.

    Attributes:
        method: name of an editing method: of `flowedit.methods.METHODS`, or a classical one, which needs no model, of
            `flowedit.estimate.CLASSICAL`.
        prompt: what the edited clip shows.
        source_prompt: what the source shows; only `difference` reads it. Empty means the same as `prompt`.
        negative_prompt: what guidance moves away from.
        keyframe_encoding: how a keyframe becomes a latent: `still`, `hold` or `delta`.
        conditioning: how the model sees keyframes: `tokens`, `i2v`, `both` or `none`; `refine` takes the `i2v` route.
        positions: temporal RoPE index of keyframe tokens: `shared` with their slot, `zero` for each (Bernini-R's own),
            or for comparison `appended` after the clip or `restarted` at 0.
        gain: how strongly the correction pulls: a rate, `Exact(10.0)` or `Euler(10.0)`, or a `Constant` share.
        beta: how far the keyframe branch comes to meet the main one, in [0, 1].
        detail: how latents become pixels: `plain` decode, or the `residual` change on the reference.
        strength: how far up the sigma grid the edit starts, in (0, 1].
        steps: Euler steps of the whole grid, at least 1.
        guidance: classifier-free guidance scale of the target; 1 switches it off.
        source_guidance: the same for the source velocity of `difference`; None means as `guidance`.
        shift: bend of the sigma grid towards noise, positive.
        seed: seed of the noise.
    """

    method: Method = "coupled"
    prompt: str = ""
    source_prompt: str = ""
    negative_prompt: str = ""
    keyframe_encoding: Encoding = "hold"
    conditioning: Conditioning = "i2v"
    positions: Positions = "shared"
    gain: Gain = DEFAULT_GAIN
    beta: float = 0.0
    detail: Detail = "residual"
    strength: float = 0.8
    steps: int = 30
    guidance: float = 1.0
    source_guidance: float | None = None
    shift: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if str(self.method) == "guess":
            warnings.warn("method guess is now called estimate.", FutureWarning, stacklevel=4)
            object.__setattr__(self, "method", "estimate")
        for name in ("prompt", "source_prompt", "negative_prompt"):
            object.__setattr__(self, name, cleaned(getattr(self, name)))
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise SettingError(f"{name.replace('_', ' ')} is {value!r}; use one of {', '.join(choices)}.")
        check_grid(self.steps, self.strength, self.shift)
        for name, (fits, rule) in _RULES.items():
            value = getattr(self, name)
            if (name, value) != ("source_guidance", None) and not fits(value):
                raise SettingError(f"{name.replace('_', ' ')} is {value}; it must be {rule}")
        self._check_together()
        self._warn_if_unusual()

    @classmethod
    def of(cls, **given: Any) -> "EditSettings":  # noqa: ANN401 - any field of this class
        """Settings in the user's words: `alpha`, `kappa` and `gain` (`exact` or `euler`) make the one gain.

        Raises:
            SettingError: a setting that does not exist or makes no sense, or `alpha` and `kappa` both given.

        >>> EditSettings.of(alpha=4.0, gain="euler").gain
        Euler(rate=4.0)
        """
        known = {field.name for field in fields(cls)} | {"alpha", "kappa"}
        if unknown := sorted(given.keys() - known):
            raise SettingError(f"There is no setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
        words = {name: given.pop(name) for name in ("alpha", "kappa") if name in given}
        if isinstance(given.get("gain"), str):
            words["form"] = given.pop("gain")
        if any(word is not None for word in words.values()):
            given["gain"] = gain_from(**words)
        return cls(**given)

    @property
    def alpha(self) -> float | None:
        """Rate of the correction per unit of sigma; None where it takes a fixed share, and where there is none."""
        return None if self.method == "refine" else getattr(self.gain, "rate", None)

    @property
    def kappa(self) -> float | None:
        """Fixed share of the residual per step; None where it follows a rate."""
        return getattr(self.gain, "share", None)

    @property
    def classical(self) -> bool:
        """Whether the method needs no model."""
        return self.method in CLASSICAL

    def _check_together(self) -> None:
        if self.method == "refine" and self.conditioning != "i2v":
            raise SettingError(
                f"method is refine and conditioning is {self.conditioning}; the estimate is shown on the i2v route. "
                "Use conditioning i2v, or the method coupled or difference."
            )
        if self.method == "refine" and (self.gain != DEFAULT_GAIN or self.beta):
            raise SettingError(
                "method is refine, which has no correction that alpha, kappa, gain or beta could steer. Leave them "
                "out, or use the method difference or coupled."
            )

    def _warn_if_unusual(self) -> None:
        fewest = 1 if self.method == "refine" else 4
        for name, low, high in (("alpha", 1, 20), ("guidance", 1, 10), ("steps", fewest, 100)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high and not (name == "alpha" and value == 0):
                _warn(f"{name} is {value}; {low} to {high} usually works.")
        if self.method == "coupled" and self.strength == 1:
            _warn("strength is 1; the edit starts at pure noise and the clip cannot shape it. Use 0.5 to 0.9.")

    def with_(self, **changes: Any) -> "EditSettings":  # noqa: ANN401 - any field of this class
        """A copy with some settings changed, in the words of `of`; a new `alpha` keeps the form of the gain."""
        words = {name for name in ("alpha", "kappa") if changes.get(name) is not None}
        if words == {"alpha"} and isinstance(self.gain, Euler):
            changes = {"gain": "euler", **changes}
        if changes.get("gain") in ("exact", "euler") and not words:
            changes = {"alpha": self.alpha, **changes}
        return self.of(**{**vars(self), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Every setting by name, in the words of `of`, ready for JSON."""
        form = "euler" if isinstance(self.gain, Euler) else "exact"
        return {**vars(self), "alpha": self.alpha, "kappa": self.kappa, "gain": form}


CLASSICAL = ("colour-map", "propagation", "estimate")
"""Methods that need no model."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "method": get_args(Method),
    "keyframe_encoding": get_args(Encoding),
    "conditioning": get_args(Conditioning),
    "positions": get_args(Positions),
    "detail": get_args(Detail),
}
_RULES: dict[str, tuple[Callable[[float], bool], str]] = {
    "beta": (lambda x: 0 <= x <= 1, "in [0, 1]. Use 0 to leave the keyframes alone."),
    "seed": (lambda x: isinstance(x, Integral) and 0 <= x < 2**63, "a whole number in [0, 2**63). Use 0."),
    "guidance": (lambda x: 0 <= x < math.inf, "at least 0. 1 is off, 5 is usual."),
    "source_guidance": (lambda x: 0 <= x < math.inf, "at least 0. 1 is off."),
}


def _warn(sentence: str) -> None:
    """Warn at the line that made the settings: above this, the two checks and the dataclass's own `__init__`."""
    warnings.warn(sentence, UnusualSettingWarning, stacklevel=5)
