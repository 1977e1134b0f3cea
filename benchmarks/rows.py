"""The benchmark's rows: every way of editing that is compared, by name, at the clip's own size."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.cases import Case
from flowedit.edit.preparation import PreparedEdit, draw_noise
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation
from flowedit.frames import fit_size
from flowedit.keyframes import Keyframe
from flowedit.media.images import resize_image, resize_video
from flowedit.methods.branches import EditProblem
from flowedit.methods.refine import resized
from flowedit.model import KeyLatent, Latent, VideoModel, to_pixels
from flowedit.presets import model_defaults, preset_settings
from flowedit.run.classical import laid_on
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import TINY

ModelRow = Callable[[Case, VideoModel], np.ndarray]
"""(case, model) -> edited frames, uint8 (F, H, W, 3)."""
ClassicalRow = Callable[[Case], np.ndarray]


def settings_of(case: Case, preset: str, **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    """A preset of the small model with a case's words and some settings changed."""
    return preset_settings(TINY, preset, **{"prompt": case.caption, "source_prompt": case.source_caption, **changes})


def edit_row(preset: str, *, noises: int = 1, **changes: Any) -> ModelRow:  # noqa: ANN401 - any setting
    """A preset of the editor with some settings changed, as a command runs it; perhaps with two noises."""

    def row(case: Case, model: VideoModel) -> np.ndarray:
        prepared = _prepared(case, model, settings_of(case, preset, **changes))
        prepared = prepared if noises == 1 else with_two_noises(prepared)
        return _at_full_size(case, prepared, deque(edit_steps(prepared), maxlen=1).pop().latents)

    return row


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


def ceiling(case: Case, model: VideoModel) -> np.ndarray:
    """The default if its model knew the answer: of the smaller copy, through the autoencoder."""
    prepared = _prepared(case, model, settings_of(case, "default"))
    truth = resize_video(case.truth, prepared.frames.shape[1:3])
    return _at_full_size(case, prepared, model.encode(to_pixels(truth)))


def _prepared(case: Case, model: VideoModel, settings: EditSettings) -> PreparedEdit:
    """A case, encoded at the size that the model works at."""
    defaults = model_defaults(TINY)
    size = fit_size(*case.frames.shape[1:3], area=defaults.area, multiple=defaults.multiple)
    keyframes = [Keyframe(k.index, resize_image(k.image, size)) for k in case.keyframes]
    seen = resized(case.estimate, size) if settings.method == "refine" else None
    return prepare(resize_video(case.frames, size), keyframes, model, settings, estimate=seen)


def _at_full_size(case: Case, prepared: PreparedEdit, latents: Latent) -> np.ndarray:
    edited, reference = finish(prepared, latents).frames, case.estimate.frames
    return laid_on(reference.copy(), resize_video(reference, edited.shape[1:3]), edited)


CLASSICAL_ROWS: Mapping[str, ClassicalRow] = {
    "source": lambda case: case.frames,
    "colour map": lambda case: colour_map(case.frames, case.images),
    "propagation": lambda case: propagation(case.frames, case.images),
    "estimate": lambda case: case.estimate.frames,
}
MODEL_ROWS: Mapping[str, ModelRow] = {
    "default": edit_row("default"),
    "ceiling": ceiling,
    "method": edit_row("method"),
    "method kappa 0": edit_row("method", kappa=0.0),
    "method alpha 10": edit_row("method", alpha=10.0),
    "method two noises": edit_row("method", noises=2),
    "method hold": edit_row("method", keyframe_encoding="hold"),
    "method still": edit_row("method", keyframe_encoding="still"),
    "tokens": edit_row("method", conditioning="tokens"),
    "tokens two noises": edit_row("method", noises=2, conditioning="tokens"),
    "tokens appended": edit_row("method", conditioning="tokens", positions="appended"),
}
"""The rows by name; each answers a question, and docs/quality.md says which. *Estimate* is the preset `draft`."""
TELLING_ROWS = (*CLASSICAL_ROWS, "default", "ceiling", "method", "method kappa 0")
"""What is compared unless rows are named; the others change one part of the method."""
