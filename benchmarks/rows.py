"""The benchmark's rows: every way of editing that is compared, by name."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.cases import Case, disagree
from flowedit.edit.preparation import PreparedEdit, draw_noise
from flowedit.edit.steps import edit_steps, edit_video, finish, prepare
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation
from flowedit.methods.branches import EditProblem
from flowedit.model import KeyLatent, VideoModel, to_frames, to_pixels
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings

Row = Callable[[Case, VideoModel], np.ndarray]
"""(case, model) -> edited frames, uint8 (F, H, W, 3)."""

_STYLER_SEED = 55_000
_ONE_LOOK = {"method": "coupled", "alpha": 0.0, "strength": 0.08, "steps": 1}
"""The default's grid without its estimate."""


def edit_row(preset: str, **changes: Any) -> Row:  # noqa: ANN401 - any setting
    """A preset of the editor with some settings changed."""

    def row(case: Case, model: VideoModel) -> np.ndarray:
        return edit_video(case.frames, case.keyframes, model, settings_of(case, preset, **changes)).frames

    return row


def settings_of(case: Case, preset: str, **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    """A preset of the small model with a case's words and some settings changed."""
    return preset_settings("tiny", preset, **{"prompt": case.caption, "source_prompt": case.source_caption, **changes})


@dataclass(frozen=True, kw_only=True)
class _TwoNoises(EditProblem):
    """An edit whose keyframes have a noise of their own."""

    own_noise: KeyLatent

    @property
    def noise_key(self) -> KeyLatent:
        return self.own_noise


def with_two_noises(prepared: PreparedEdit) -> PreparedEdit:
    """The same edit without the first of the method's ideas: the keyframes' noise is not the clip's."""
    own = draw_noise(prepared.problem.keys, prepared.settings.seed + 1)
    return replace(prepared, problem=_TwoNoises(**vars(prepared.problem), own_noise=own))


def two_noises(**changes: Any) -> Row:  # noqa: ANN401 - any setting
    """The preset `method` with two noises."""

    def row(case: Case, model: VideoModel) -> np.ndarray:
        prepared = prepare(case.frames, case.keyframes, model, settings_of(case, "method", **changes))
        last = deque(edit_steps(with_two_noises(prepared)), maxlen=1).pop()
        return finish(prepared, last.latents).frames

    return row


def shown_no_keyframes(case: Case, model: VideoModel) -> np.ndarray:
    """The default whose model is shown nothing; the estimate stays what its change is laid on."""
    prepared, blind = (
        prepare(case.frames, case.keyframes, model, settings_of(case, "default", **changes))
        for changes in ({}, {**_ONE_LOOK, "conditioning": "none"})
    )
    prepared.problem, prepared.settings = blind.problem, prepared.settings.with_(method="coupled")
    last = deque(edit_steps(prepared), maxlen=1).pop()
    return finish(prepared, last.latents).frames


def source(case: Case, model: VideoModel) -> np.ndarray:
    """The source untouched."""
    del model
    return case.frames


def ceiling(case: Case, model: VideoModel) -> np.ndarray:
    """The truth through the autoencoder: what a perfect edit with a plain decode would reach."""
    return to_frames(model.decode(model.encode(to_pixels(case.truth))))


def classical(method: Callable[[np.ndarray, Mapping[int, np.ndarray]], np.ndarray]) -> Row:
    """A method that needs no model: of frames, and keyframe pictures by frame."""
    return lambda case, model: method(case.frames, {k.index: k.image for k in case.keyframes})


def per_frame(case: Case, model: VideoModel) -> np.ndarray:
    """Every frame styled by itself, each a little differently: what an image model gives."""
    del model
    rng = np.random.default_rng(_STYLER_SEED + case.scene)
    return np.stack([disagree(frame, ink, rng) for frame, ink in zip(case.truth, case.ink, strict=True)])


def swapped(row: Row) -> Row:
    """The same row with the first and last keyframe images exchanged: what the keyframes themselves are worth."""

    def exchanged(case: Case, model: VideoModel) -> np.ndarray:
        first, *between, last = case.keyframes
        ends = replace(first, image=last.image), replace(last, image=first.image)
        return row(replace(case, keyframes=(ends[0], *between, ends[1])), model)

    return exchanged


ROWS: Mapping[str, Row] = {
    "source": source,
    "ceiling": ceiling,
    "colour map": classical(colour_map),
    "propagation": classical(propagation),
    "estimate": edit_row("default", method="estimate"),
    "per-frame styling": per_frame,
    "sdedit": edit_row("method", method="coupled", conditioning="none", alpha=0.0, strength=0.6),
    "coupled": edit_row("method", method="coupled"),
    "method": edit_row("method"),
    "method kappa 0": edit_row("method", kappa=0.0),
    "method alpha 10": edit_row("method", alpha=10.0),
    "method kappa 1": edit_row("method", kappa=1.0),
    "method two noises": two_noises(),
    "method still": edit_row("method", keyframe_encoding="still"),
    "method hold": edit_row("method", keyframe_encoding="hold"),
    "tokens": edit_row("method", conditioning="tokens"),
    "tokens two noises": two_noises(conditioning="tokens"),
    "tokens appended": edit_row("method", conditioning="tokens", positions="appended"),
    "both": edit_row("method", conditioning="both"),
    "draft": edit_row("draft"),
    "default": edit_row("default"),
    "default shown no keyframes": shown_no_keyframes,
    "default keyframes swapped": swapped(edit_row("default")),
}
"""The rows by name; each answers a question, and docs/quality.md says which."""
TELLING_ROWS = ("source", "colour map", "propagation", "estimate", "method", "draft", "default")
"""What a quick run compares."""
