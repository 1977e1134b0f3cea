"""`prepare`: check the inputs of an edit against each other, and encode everything once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import UInt8

from flowedit.correction import warn_if_unstable
from flowedit.encoding import encode_keyframes, to_pixels
from flowedit.errors import SettingError
from flowedit.estimate.blend import Guess, guess
from flowedit.flow import interpolate
from flowedit.frames import check_size, slot_count
from flowedit.keyframes import Keyframe, check_frames, check_keyframes
from flowedit.masks import latent_mask
from flowedit.methods import CLASSICAL, METHODS, check_method
from flowedit.methods.branches import (
    POSITIONS,
    EditProblem,
    PairVelocity,
    joint_velocity,
    main_velocity,
)
from flowedit.model import ClipShape, Condition, KeyLatent, Latent, VideoModel
from flowedit.scaling import Material, at_scale, with_guess
from flowedit.schedule import skip_steps, wan_sigmas
from flowedit.settings import EditSettings
from flowedit.trace import Trace

Video = UInt8[np.ndarray, "F H W 3"]
AfterStep = Callable[[Latent, float], Latent]


@dataclass(kw_only=True)
class PreparedEdit:
    """A clip, its keyframes and a model, encoded and ready to run.

    Attributes:
        model: the video model.
        settings: the settings of the edit.
        frames: the source clip, uint8 (F, H, W, 3).
        keyframes: the styled keyframes, in order.
        reference: frames that the decoded change is laid on: the source, or the classical guess.
        share: (F, H, W) in [0, 1], how far the change is laid on a guess; None where the source is the reference.
        agreement: of the keyframes, in [0, 1]: how far a guess keeps its own colours; 0 where there is none.
        reference_latents: their clean latents, of a smaller copy where the settings' scale is below 1.
        problem: what the method works on.
        trace: readings of the steps done so far.
        seconds: wall-clock time of each stage so far, by name.
        given: what the caller had already.
    """

    model: VideoModel
    settings: EditSettings
    frames: np.ndarray
    keyframes: tuple[Keyframe, ...]
    reference: np.ndarray
    share: np.ndarray | None
    agreement: float
    reference_latents: Latent
    problem: EditProblem
    trace: Trace
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    given: "Given" = field(default_factory=lambda: Given())


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a caller already has, so that `prepare` does not make it: for windows of a longer clip.

    Attributes:
        guess: the classical guess of these frames, or what waits for it and gives it; None lets `prepare` make it.
        first_slot: latent slot of the whole clip at which these frames begin.
        slots: latent slots of the whole clip, for which the noise is drawn; None for these frames alone.
        mask: where the edit may change these frames, float32 (F, H, W) in [0, 1]; None for everywhere.
    """

    guess: Guess | Callable[[], Guess] | None = None
    first_slot: int = 0
    slots: int | None = None
    mask: np.ndarray | None = None


@torch.inference_mode()
def prepare(
    frames: Video,
    keyframes: Sequence[Keyframe],
    model: VideoModel,
    settings: EditSettings,
    given: Given | None = None,
) -> PreparedEdit:
    """Check the inputs against each other and encode clip, keyframes, words and images once.

    Args:
        frames: the clip, uint8 (F, H, W, 3).
        keyframes: styled keyframes, in order.
        model: the video model.
        settings: how to edit.
        given: what is already known of these frames; nothing when None.

    Raises:
        SettingError: the method does not exist, or has no steps because it is a classical one.
        VideoShapeError, KeyframeError, ModelError: the inputs do not fit each other.
    """
    begun = time.perf_counter()
    check_method(settings.method)
    if settings.method in CLASSICAL:
        raise SettingError(f"method {settings.method!r} has no steps; call edit_video, or use {' or '.join(METHODS)}.")
    slots = check_keyframes(keyframes, clip_shape(frames, model))
    given = given or Given()
    worked = at_scale(Material(frames=frames, keyframes=keyframes), settings.scale, model.size_multiple)
    source = model.encode(to_pixels(worked.frames))
    keys = encode_keyframes(model, worked.keyframes, worked.frames, source, settings.keyframe_encoding)
    # The guess comes last: another thread may still be making it.
    guessed = _guess(frames, keyframes, settings, given)
    worked = worked if guessed is None else with_guess(worked, guessed)
    latents = source if worked.guess is None else model.encode(to_pixels(worked.guess.frames))
    trace = Trace(
        keyframes=tuple(keyframe.index for keyframe in keyframes),
        slots=slots,
        method=settings.method,
        alpha=settings.alpha,
        beta=settings.beta,
    )
    prepared = PreparedEdit(
        model=model,
        settings=settings,
        frames=frames,
        keyframes=tuple(keyframes),
        reference=frames if guessed is None else guessed.frames,
        share=None if guessed is None else guessed.repair_share(),
        agreement=0.0 if guessed is None else guessed.agreement,
        reference_latents=latents,
        problem=_problem(_Inputs(worked, model, settings, given, source, keys)),
        trace=trace,
        given=given,
    )
    prepared.seconds["prepare"] = time.perf_counter() - begun
    return prepared


@dataclass(frozen=True)
class _Inputs:
    """What an edit is made of, checked, at the size it is worked at, and with its source and keyframes encoded."""

    material: Material
    model: VideoModel
    settings: EditSettings
    given: Given
    source: Latent
    keys: KeyLatent


def _problem(inputs: _Inputs) -> EditProblem:
    """Everything that the method works on."""
    frames, keyframes, model = inputs.material.frames, inputs.material.keyframes, inputs.model
    settings, source = inputs.settings, inputs.source
    shape = clip_shape(frames, model)
    own = [Keyframe(keyframe.index, frames[keyframe.index]) for keyframe in keyframes]
    shown = inputs.material.guess if settings.fill == "guess" else None
    target_velocity, after_step = _velocity(model, shape, keyframes, settings, shown, of="target")
    source_velocity, sigmas = target_velocity, sigma_grid(settings)
    warn_if_unstable(settings.gain, settings.beta, sigmas)
    if settings.method == "difference":
        source_velocity, _ = _velocity(model, shape, own, settings, of="source")
    return EditProblem(
        source=source,
        keys=inputs.keys,
        source_keys=_source_keys(model, own, frames, source, settings),
        slots=tuple(keyframe.slot for keyframe in keyframes),
        noise=draw_noise(source, settings.seed, inputs.given),
        sigmas=sigmas,
        gain=settings.gain,
        beta=settings.beta,
        v_target=target_velocity,
        v_source=source_velocity,
        after_step=_held(after_step, inputs),
    )


def clip_shape(frames: Video, model: VideoModel) -> ClipShape:
    """The clip's size, if the model can take it."""
    check_frames(frames)
    num_frames, height, width = frames.shape[:3]
    slot_count(num_frames)
    check_size(height, width, model.size_multiple)
    return ClipShape(num_frames=num_frames, height=height, width=width)


def sigma_grid(settings: EditSettings) -> tuple[float, ...]:
    """Noise levels: `difference` leaves out the first steps of a whole grid, `coupled` bends a shorter one."""
    if settings.method == "difference":
        whole = wan_sigmas(settings.steps, shift=settings.shift)
        return whole[skip_steps(settings.steps, settings.strength) :]
    return wan_sigmas(settings.steps, strength=settings.strength, shift=settings.shift)


def _velocity(
    model: VideoModel,
    shape: ClipShape,
    keyframes: Sequence[Keyframe],
    settings: EditSettings,
    guessed: Guess | None = None,
    *,
    of: str,
) -> tuple[PairVelocity, AfterStep]:
    """Velocities under one prompt and one set of keyframes, and the model's hook after a step.

    The guess, where there is one, is shown between the keyframes.
    """
    is_source = of == "source"
    guidance = settings.source_guidance if is_source and settings.source_guidance is not None else settings.guidance
    sees_images = settings.conditioning in ("i2v", "both")
    sees_tokens = settings.conditioning in ("tokens", "both") and len(keyframes) > 0
    slots = tuple(keyframe.slot for keyframe in keyframes)
    condition = Condition(
        shape=shape,
        prompt=(settings.source_prompt or settings.prompt) if is_source else settings.prompt,
        negative_prompt=settings.negative_prompt,
        guidance=guidance,
        images={keyframe.index: keyframe.image for keyframe in keyframes} if sees_images else {},
        guess=None if guessed is None else guessed.frames,
        trust=None if guessed is None else guessed.trust,
        key_slots=slots if sees_tokens else (),
    )
    prepared = model.prepare(condition)
    positions = POSITIONS[settings.positions](slot_count(shape.num_frames), slots)
    make = joint_velocity if sees_tokens else main_velocity
    return make(model, prepared, positions), lambda latents, sigma: model.after_step(latents, sigma, prepared)


def _held(after_step: AfterStep, inputs: _Inputs) -> AfterStep:
    """The hook after a step, which also puts the source back wherever the mask says so."""
    if inputs.given.mask is None:
        return after_step
    source, noise = inputs.source, draw_noise(inputs.source, inputs.settings.seed, inputs.given)
    cells = torch.as_tensor(latent_mask(inputs.given.mask, *source.shape[-2:])).to(source)

    def held(latents: Latent, sigma: float) -> Latent:
        # `coupled` carries noisy latents, `difference` the clean ones of the edit.
        kept = interpolate(source, noise, sigma) if inputs.settings.method == "coupled" else source
        return kept + cells * (after_step(latents, sigma) - kept)

    return held


def _source_keys(
    model: VideoModel, own: Sequence[Keyframe], frames: Video, source: Latent, settings: EditSettings
) -> KeyLatent:
    """The source's own frames at the slots, encoded as the keyframes are; only `difference` reads them.

    By `delta` they are the source's own latents: a change of style that is none needs no encoding.
    """
    if settings.method == "difference" and settings.keyframe_encoding != "delta":
        return encode_keyframes(model, own, frames, source, settings.keyframe_encoding)
    return source[:, :, [keyframe.slot for keyframe in own]]


def _guess(frames: Video, keyframes: Sequence[Keyframe], settings: EditSettings, given: Given) -> Guess | None:
    """The classical guess, where the settings show one to the model and there are keyframes."""
    if settings.fill != "guess" or (given.guess is None and not keyframes):
        return None
    if callable(given.guess):
        return given.guess()
    return given.guess or guess(frames, {keyframe.index: keyframe.image for keyframe in keyframes})


def draw_noise(source: Latent, seed: int, given: Given) -> Latent:
    """The run's noise, drawn on the CPU so that a seed gives one result on every device."""
    batch, channels, slots, *size = source.shape
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((batch, channels, given.slots or slots, *size), generator=generator, dtype=torch.float32)
    # A copy: a view would keep the whole clip's noise for as long as this edit lives.
    own = noise[:, :, given.first_slot : given.first_slot + slots]
    return own.to(source.device, source.dtype, copy=True)
