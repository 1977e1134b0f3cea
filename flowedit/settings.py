"""The settings of an edit: frozen, checked when made, and written whole into the run's manifest."""

import math
import warnings
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Any, Literal, get_args

from flowedit.errors import SettingError, UnusualSettingWarning

Encoding = Literal["still", "hold", "delta"]
Conditioning = Literal["tokens", "i2v", "both", "none"]
Branch = Literal["free", "anchored"]
Init = Literal["source", "propagated", "noise"]
Fill = Literal["grey", "guess"]
Detail = Literal["plain", "residual", "guided"]
Gain = Literal["exact", "euler"]
Noise = Literal["coupled", "fresh"]
Positions = Literal["shared", "appended", "restarted"]
TokenLora = Literal["auto", "off"]


@dataclass(frozen=True, kw_only=True)
class EditSettings:
    """Everything that decides an edit beside the clip, the keyframes, the model and the seed's noise.

    Attributes:
        method: name of an editing method; see `flowedit.methods.METHODS`.
        prompt: what the edited clip shows.
        source_prompt: what the source shows; only `difference` reads it. Empty means the same as `prompt`.
        negative_prompt: what guidance moves away from.
        keyframe_encoding: how a keyframe becomes a latent: `still`, `hold` or `delta`.
        conditioning: how the model sees keyframes: `tokens`, `i2v`, `both` or `none`.
        fill: what a model on the `i2v` route sees between the keyframes: `grey`, as Wan was trained, or the classical
            `guess`, with its trust in the mask, for models that were trained to repair one.
        positions: temporal RoPE index of keyframe tokens: `shared` with their slot, or for comparison `appended`
            after the clip or `restarted` at 0.
        token_lora: `auto` reads keyframe tokens with the LoRA that a model has for them, `off` without (zero-shot).
        branch: whether the keyframe branch is carried by the model (`free`) or ends on the keyframe (`anchored`).
        alpha: rate of the correction per unit of sigma, at least 0.
        beta: how far the keyframe branch comes to meet the main one, in [0, 1].
        kappa: fixed share of the residual per step, in [0, 1]; takes the place of `alpha`, which then stays as it is
            by default.
        gain: `exact` integrates the rate over the step, `euler` takes the literal `alpha * dt`.
        init: what the trajectory starts from: the source, the propagated guess, or pure noise.
        detail: how latents become pixels: `plain` decode, the `residual` change on the reference, or `guided`, the same
            and carried to the source's own resolution by `flowedit.run.run_edit`, which knows it.
        scale: sides of the clip that the model edits, as a share of the clip's own, in (0, 1]; below 1 its change is
            enlarged onto the reference, for a quarter of the work at 0.5.
        strength: how far up the sigma grid the edit starts, in (0, 1].
        steps: Euler steps of the whole grid, at least 1.
        guidance: classifier-free guidance scale of the target; 1 switches it off.
        source_guidance: the same for the source velocity of `difference`; None means as `guidance`.
        shift: bend of the sigma grid towards noise, positive.
        noise: one `coupled` noise for the whole run, or a `fresh` one at each step (`difference` only).
        seed: seed of the noise.
    """

    method: str = "coupled"
    prompt: str = ""
    source_prompt: str = ""
    negative_prompt: str = ""
    keyframe_encoding: Encoding = "hold"
    conditioning: Conditioning = "i2v"
    fill: Fill = "grey"
    positions: Positions = "shared"
    token_lora: TokenLora = "auto"
    branch: Branch = "anchored"
    alpha: float = 10.0
    beta: float = 0.0
    kappa: float | None = None
    gain: Gain = "exact"
    init: Init = "source"
    detail: Detail = "residual"
    scale: float = 1.0
    strength: float = 0.8
    steps: int = 30
    guidance: float = 1.0
    source_guidance: float | None = None
    shift: float = 5.0
    noise: Noise = "coupled"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense; warn about what is merely unusual."""
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        whole = isinstance(self.steps, Integral) and self.steps >= 1
        _check_number("steps", self.steps, whole, "a whole number of at least 1. Use 20 to 50")
        _check_number("alpha", self.alpha, 0 <= self.alpha < math.inf, "at least 0. Use 10, or 0 for no correction")
        _check_number("beta", self.beta, 0 <= self.beta <= 1, "in [0, 1]. Use 0 to leave the keyframes alone")
        _check_number("strength", self.strength, 0 < self.strength <= 1, "in (0, 1]. Use 0.8 for a strong edit")
        _check_number("scale", self.scale, 0 < self.scale <= 1, "in (0, 1]. Use 1, or 0.5 for a draft")
        _check_number("shift", self.shift, 0 < self.shift < math.inf, "positive. Use 5, or 3 for small frames")
        whole = isinstance(self.seed, Integral) and 0 <= self.seed < 2**63
        _check_number("seed", self.seed, whole, "a whole number in [0, 2**63). Use 0")
        _check_number("guidance", self.guidance, 0 <= self.guidance < math.inf, "at least 0. 1 is off, 5 is usual")
        if self.source_guidance is not None:
            valid = 0 <= self.source_guidance < math.inf
            _check_number("source guidance", self.source_guidance, valid, "at least 0. 1 is off")
        if self.kappa is not None:
            _check_number("kappa", self.kappa, 0 <= self.kappa <= 1, "in [0, 1]. 0 corrects nothing")
            if self.alpha != type(self).alpha:
                raise alpha_and_kappa(self.alpha, self.kappa)
        self._check_together()
        self._warn_if_unusual()

    def _check_together(self) -> None:
        if self.init == "noise" and self.strength != 1:
            raise SettingError(
                f"init is noise and strength is {self.strength}; pure noise starts at strength 1. Use strength 1."
            )
        if self.init == "noise" and self.method == "difference":
            raise SettingError("init is noise and the method is difference; it edits a clip. Use the method coupled.")
        if self.fill == "guess" and self.conditioning not in ("i2v", "both"):
            raise SettingError(
                f"fill is guess and conditioning is {self.conditioning}; only the i2v route shows it to the model. "
                "Use conditioning i2v or both, or fill grey."
            )
        if self.fill == "guess" and self.method != "coupled":
            raise SettingError(
                f"fill is guess and the method is {self.method}; only coupled repairs a guess. Use fill grey."
            )
        if self.scale != 1 and self.detail == "plain":
            raise SettingError(
                f"scale is {self.scale} and detail is plain; what is enlarged is a change of the reference. Use detail "
                "residual or guided, or scale 1."
            )
        if self.branch == "free" and self.conditioning not in ("tokens", "both"):
            raise SettingError(
                f"branch is free and conditioning is {self.conditioning}; only keyframe tokens can move freely. "
                "Use conditioning tokens or both, or branch anchored."
            )
        if self.noise == "fresh" and self.method != "difference":
            raise SettingError(
                f"noise is fresh and the method is {self.method}; only difference redraws its noise. Use noise coupled."
            )

    def _warn_if_unusual(self) -> None:
        fewest = 1 if self.fill == "guess" else 4
        for name, low, high in (("alpha", 1, 20), ("guidance", 1, 10), ("steps", fewest, 100)):
            value = getattr(self, name)
            if not low <= value <= high and not (name == "alpha" and value == 0):
                _warn(f"{name} is {value}; {low} to {high} usually works.")
        if self.method == "coupled" and self.init != "noise" and self.strength == 1:
            _warn("strength is 1; the edit starts at pure noise and the clip cannot shape it. Use 0.5 to 0.9.")
        if self.init == "noise" and self.detail == "residual":
            _warn("init is noise and detail is residual; the source's fine detail is laid on another clip. Use plain.")

    @property
    def uses_guess(self) -> bool:
        """Whether an edit makes the classical guess, to start from it or to show it to the model."""
        return self.init == "propagated" or self.fill == "guess"

    def with_(self, **changes: Any) -> "EditSettings":  # noqa: ANN401 - any field of this class
        """A copy with some settings changed, checked anew; one of `alpha` and `kappa` takes the other's place."""
        if changes.get("kappa") is not None:
            changes = {"alpha": type(self).alpha, **changes}
        elif "alpha" in changes:
            changes = {"kappa": None, **changes}
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every setting by name, ready for JSON."""
        return asdict(self)


_CHOICES: dict[str, tuple[str, ...]] = {
    "keyframe_encoding": get_args(Encoding),
    "conditioning": get_args(Conditioning),
    "fill": get_args(Fill),
    "positions": get_args(Positions),
    "token_lora": get_args(TokenLora),
    "branch": get_args(Branch),
    "gain": get_args(Gain),
    "init": get_args(Init),
    "detail": get_args(Detail),
    "noise": get_args(Noise),
}


def alpha_and_kappa(alpha: float, kappa: float) -> SettingError:
    """The error of two settings that say how strongly an edit corrects, of which one would not be read."""
    return SettingError(
        f"alpha is {alpha} and kappa is {kappa}; a share per step takes the place of the rate. Leave one of them out."
    )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingError(f"{name.replace('_', ' ')} is {value!r}; use one of {', '.join(choices)}.")


def _warn(sentence: str) -> None:
    """Warn at the line that made the settings: above this, the two checks and the dataclass's own `__init__`."""
    warnings.warn(sentence, UnusualSettingWarning, stacklevel=5)


def _check_number(name: str, value: float, valid: bool, rule: str) -> None:  # noqa: FBT001 - the outcome of the rule
    if not valid:
        raise SettingError(f"{name} is {value}; it must be {rule}.")
