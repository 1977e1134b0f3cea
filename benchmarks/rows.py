"""The benchmark's rows: every way of editing that is compared, by name."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.cases import Case, disagree
from benchmarks.ideas import faded, in_phases
from benchmarks.memory import Remembering
from flowedit.detail import Reference
from flowedit.edit import PreparedEdit, edit_steps, edit_video, finish, prepare
from flowedit.encoding import to_frames, to_pixels
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation
from flowedit.methods.branches import EditProblem
from flowedit.model import VideoModel
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


def laid_everywhere(case: Case, model: VideoModel) -> np.ndarray:
    """The default with its change laid on the whole estimate, sure or not: what confidence is worth."""
    prepared = _prepared(case, model, _settings(case, "default"))
    prepared.reference = Reference(frames=prepared.reference.frames, latents=prepared.reference.latents)
    return _finished(prepared)


def shown_less(**changes: Any) -> Row:  # noqa: ANN401 - any setting
    """The default whose model is shown less; the estimate stays what its change is laid on."""

    def row(case: Case, model: VideoModel) -> np.ndarray:
        prepared = _prepared(case, model, _settings(case, "default"))
        prepared.problem = _prepared(case, model, _settings(case, "default", **_ONE_LOOK, **changes)).problem
        prepared.settings = prepared.settings.with_(method="coupled")
        return _finished(prepared)

    return row


def bent(bend: Callable[[EditProblem], EditProblem]) -> Row:
    """The preset `method` with its problem bent; see `benchmarks.ideas`."""

    def row(case: Case, model: VideoModel) -> np.ndarray:
        prepared = _prepared(case, model, _settings(case, "method"))
        prepared.problem = bend(prepared.problem)
        return _finished(prepared)

    return row


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


def first_only(row: Row) -> Row:
    """The same row with the first keyframe alone."""
    return lambda case, model: row(replace(case, keyframes=case.keyframes[:1]), model)


def _matrix() -> dict[str, Row]:
    """Both methods with each encoding and each conditioning."""
    rows = {}
    for method in ("coupled", "difference"):
        for encoding in ("still", "hold", "delta"):
            rows[f"{method} i2v {encoding}"] = edit_row("method", method=method, keyframe_encoding=encoding)
        for conditioning in ("tokens", "both", "none"):
            rows[f"{method} {conditioning} hold"] = edit_row("method", method=method, conditioning=conditioning)
    return rows


DEFAULT, METHOD = edit_row("default"), edit_row("method")

ROWS: Mapping[str, Row] = {
    "source": source,
    "ceiling": ceiling,
    "colour map": classical_colour_map,
    "propagation": classical_propagation,
    "per-frame styling": per_frame,
    "sdedit": edit_row("method", method="coupled", conditioning="none", alpha=0.0, strength=0.6),
    "first-frame i2v": first_only(edit_row("method", method="coupled", strength=1.0, alpha=0.0, detail="plain")),
    "difference alone": edit_row("method", alpha=0.0),
    **_matrix(),
    "kappa 0": edit_row("method", kappa=0.0),
    "kappa 0.25": edit_row("method", kappa=0.25),
    "kappa 1": edit_row("method", kappa=1.0),
    "tokens with the LoRA": edit_row("method", conditioning="tokens"),
    "positions appended": edit_row("method", conditioning="tokens", positions="appended"),
    "positions restarted": edit_row("method", conditioning="tokens", positions="restarted"),
    **{f"method strength {strength}": edit_row("method", strength=strength) for strength in (0.5, 0.6, 0.8, 0.9)},
    "method 16 steps": edit_row("method", steps=16),
    "method alpha 3": edit_row("method", alpha=3.0),
    "method alpha 20": edit_row("method", alpha=20.0),
    "method kappa early": bent(lambda problem: in_phases(problem, (0.8, 0.0))),
    "method kappa late": bent(lambda problem: in_phases(problem, (0.0, 0.8))),
    "method correction faded": bent(lambda problem: faded(problem, (0.5, 0.25))),
    "method plain decode": edit_row("method", detail="plain"),
    "method both": edit_row("method", conditioning="both"),
    "method both alpha 3": edit_row("method", conditioning="both", alpha=3.0),
    "method guidance 2": edit_row("method", guidance=2.0),
    "method guidance 4": edit_row("method", guidance=4.0),
    "draft": edit_row("draft"),
    "method": METHOD,
    "default": DEFAULT,
    "guess": edit_row("default", method="estimate"),
    "default strength 0.04": edit_row("default", strength=0.04),
    "default strength 0.15": edit_row("default", strength=0.15),
    "default strength 0.3": edit_row("default", strength=0.3),
    "default two steps": edit_row("default", strength=0.15, steps=2),
    "default guidance 2": edit_row("default", guidance=2.0),
    "default laid everywhere": laid_everywhere,
    "default shown keyframes alone": shown_less(),
    "default shown no keyframes": shown_less(conditioning="none"),
    "default without any guess": edit_row("default", **_ONE_LOOK),
    "default keyframes swapped": swapped(DEFAULT),
}
CLASSICAL_ROWS = ("source", "colour map", "propagation")
TELLING_ROWS = (
    "source",
    "colour map",
    "propagation",
    "per-frame styling",
    "first-frame i2v",
    "difference alone",
    "guess",
    "method",
    "default",
)
