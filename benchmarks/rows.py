"""The benchmark's rows: every way of editing that is compared, by name."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.cases import Case, disagree
from benchmarks.memory import Remembering
from flowedit.edit.steps import PreparedEdit, edit_steps, edit_video, finish, prepare
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation
from flowedit.model import VideoModel, to_frames, to_pixels
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
        return _edited(case, model, _settings(case, preset, **changes))

    return row


def _edited(case: Case, model: VideoModel, settings: EditSettings) -> np.ndarray:
    """Edit as `edit_video` does, with an estimate that the model remembers where it remembers any."""
    if not (isinstance(model, Remembering) and settings.method == "refine"):
        return edit_video(case.frames, case.keyframes, model, settings).frames
    return _finished(_prepared(case, model, settings))


def _prepared(case: Case, model: VideoModel, settings: EditSettings) -> PreparedEdit:
    refines = isinstance(model, Remembering) and settings.method == "refine"
    known = model.estimate(case.frames, case.keyframes) if refines else None
    return prepare(case.frames, case.keyframes, model, settings, None, known)


def _finished(prepared: PreparedEdit) -> np.ndarray:
    last = deque(edit_steps(prepared), maxlen=1).pop()
    return finish(prepared, last.latents).frames


def _settings(case: Case, preset: str, **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    words = {"prompt": case.caption, "source_prompt": case.source_caption}
    return preset_settings("tiny", preset, **{**words, **changes})


def shown_no_keyframes(case: Case, model: VideoModel) -> np.ndarray:
    """The default whose model is shown nothing; the estimate stays what its change is laid on."""
    prepared = _prepared(case, model, _settings(case, "default"))
    prepared.problem = _prepared(case, model, _settings(case, "default", **_ONE_LOOK, conditioning="none")).problem
    prepared.settings = prepared.settings.with_(method="coupled")
    return _finished(prepared)


def source(case: Case, model: VideoModel) -> np.ndarray:
    """The source untouched."""
    del model
    return case.frames


def ceiling(case: Case, model: VideoModel) -> np.ndarray:
    """The truth through the autoencoder: what a perfect edit with a plain decode would reach."""
    return to_frames(model.decode(model.encode(to_pixels(case.truth))))


def classical_colour_map(case: Case, model: VideoModel) -> np.ndarray:
    """A colour map fitted on the keyframes."""
    del model
    return colour_map(case.frames, {k.index: k.image for k in case.keyframes})


def classical_propagation(case: Case, model: VideoModel) -> np.ndarray:
    """Optical-flow propagation of the keyframes from both sides."""
    del model
    return propagation(case.frames, {k.index: k.image for k in case.keyframes})


def per_frame(case: Case, model: VideoModel) -> np.ndarray:
    """Every frame styled by itself, each a little differently: what an image model gives."""
    del model
    rng = np.random.default_rng(_STYLER_SEED + case.scene)
    return np.stack([disagree(frame, ink, rng) for frame, ink in zip(case.truth, case.ink, strict=True)])


def swapped(row: Row) -> Row:
    """The same row with the first and last keyframe images exchanged: what the keyframes themselves are worth."""

    def exchanged(case: Case, model: VideoModel) -> np.ndarray:
        images = [k.image for k in case.keyframes]
        images[0], images[-1] = images[-1], images[0]
        keyframes = tuple(replace(k, image=image) for k, image in zip(case.keyframes, images, strict=True))
        return row(replace(case, keyframes=keyframes), model)

    return exchanged


DEFAULT = edit_row("default")

ROWS: Mapping[str, Row] = {
    "source": source,
    "ceiling": ceiling,
    "colour map": classical_colour_map,
    "propagation": classical_propagation,
    "estimate": edit_row("default", method="estimate"),
    "per-frame styling": per_frame,
    "sdedit": edit_row("method", method="coupled", conditioning="none", alpha=0.0, strength=0.6),
    "coupled": edit_row("method", method="coupled"),
    "method": edit_row("method"),
    "method kappa 0": edit_row("method", kappa=0.0),
    "method kappa 0.25": edit_row("method", kappa=0.25),
    "method kappa 1": edit_row("method", kappa=1.0),
    "method still": edit_row("method", keyframe_encoding="still"),
    "method hold": edit_row("method", keyframe_encoding="hold"),
    "tokens": edit_row("method", conditioning="tokens"),
    "tokens appended": edit_row("method", conditioning="tokens", positions="appended"),
    "both": edit_row("method", conditioning="both"),
    "draft": edit_row("draft"),
    "default": DEFAULT,
    "default shown no keyframes": shown_no_keyframes,
    "default keyframes swapped": swapped(DEFAULT),
}
"""The rows by name; each answers a question, and docs/quality.md says which."""
TELLING_ROWS = ("source", "colour map", "propagation", "estimate", "method", "draft", "default")
"""What a quick run compares."""
