"""`prepare`: check the inputs of an edit against each other, and encode everything once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from flowedit.correction import warn_if_unstable
from flowedit.edit.masks import latent_mask
from flowedit.errors import SettingError
from flowedit.estimate import Estimate
from flowedit.estimate import estimate as estimate_of
from flowedit.frames import ClipShape, Video, check_num_frames, check_size, slot_count
from flowedit.keyframes import Keyframe, check_frames, check_keyframes
from flowedit.methods import METHODS
from flowedit.methods.branches import POSITIONS, EditProblem, Velocity, model_velocity
from flowedit.methods.detail import Reference
from flowedit.methods.encoding import encode_keyframes
from flowedit.methods.refine import EstimateReference
from flowedit.model import Condition, Latent, VideoModel, to_pixels
from flowedit.schedule import skip_steps, wan_sigmas
from flowedit.settings import EditSettings
from flowedit.trace import Trace

Hook = Callable[[Latent, float], Latent]


@dataclass(kw_only=True)
class PreparedEdit:
    """A clip, uint8 (F, H, W, 3), its keyframes and a model, encoded and ready to run.

    `reference` is what the decoded change is laid on, `problem` what the method works on; the readings in `trace` and
    the wall-clock seconds of each stage grow as it runs.
    """

    model: VideoModel
    settings: EditSettings
    frames: np.ndarray
    keyframes: tuple[Keyframe, ...]
    reference: Reference
    problem: EditProblem
    trace: Trace
    seconds: dict[str, float] = field(default_factory=dict[str, float])


@torch.inference_mode()
def prepare(
    frames: Video,
    keyframes: Sequence[Keyframe],
    model: VideoModel,
    settings: EditSettings,
    mask: np.ndarray | None = None,
    estimate: Estimate | None = None,
) -> PreparedEdit:
    """Check the inputs, as `edit_video` takes them, against each other and encode clip, keyframes and words once.

    `mask` is where the edit may change the clip, float32 (F, H, W) in [0, 1], None for everywhere; `estimate` is of
    these frames, for the method `refine`, which makes it where it is None.

    Raises:
        SettingError: the method has no steps because it is a classical one.
        VideoShapeError, KeyframeError, ModelError: the inputs do not fit each other.
    """
    clock = time.perf_counter()
    if settings.classical:
        raise SettingError(f"method {settings.method!r} has no steps; call edit_video, or use {' or '.join(METHODS)}.")
    check_keyframes(keyframes, clip_shape(frames, model.size_multiple))
    clip = _Clip(frames, keyframes, model, settings)
    if settings.method == "refine":
        made = estimate or estimate_of(frames, {keyframe.index: keyframe.image for keyframe in keyframes})
        problem, reference = clip.to_refine(made, mask)
    else:
        problem, reference = clip.to_correct(), Reference(frames=frames, latents=clip.source)
    if mask is not None:
        cells = latent_mask(mask, *clip.source.shape[-2:])
        problem = replace(problem, free=torch.as_tensor(cells).to(clip.source))
    # `refine` corrects nothing at the keyframes, and so reads nothing there.
    read = () if settings.method == "refine" else tuple(keyframe.index for keyframe in keyframes)
    trace = Trace(keyframes=read, slots=problem.slots, method=settings.method, alpha=settings.alpha, beta=settings.beta)
    return PreparedEdit(
        model=model,
        settings=settings,
        frames=frames,
        keyframes=tuple(keyframes),
        reference=reference,
        problem=problem,
        trace=trace,
        seconds={"prepare": time.perf_counter() - clock},
    )


class _Clip:
    """A clip and its keyframes, the clip encoded."""

    def __init__(self, frames: Video, keyframes: Sequence[Keyframe], model: VideoModel, settings: EditSettings) -> None:
        self.frames, self.keyframes, self.model, self.settings = frames, keyframes, model, settings
        self.source = model.encode(to_pixels(frames))

    def to_correct(self) -> EditProblem:
        """The problem of `coupled` and `difference`: two branches, and of the second method two velocities."""
        settings, source, slots = self.settings, self.source, tuple(keyframe.slot for keyframe in self.keyframes)
        keys = encode_keyframes(self.model, self.keyframes, self.frames, source, settings.keyframe_encoding)
        v_target, hook = self._velocity(self.keyframes, settings.prompt, settings.guidance)
        # By `delta` the source's own frames at the slots are its latents: a change of style that is none.
        v_source, source_keys = v_target, source[:, :, list(slots)]
        if settings.method == "difference":
            own = [Keyframe(keyframe.index, self.frames[keyframe.index]) for keyframe in self.keyframes]
            guidance = settings.guidance if settings.source_guidance is None else settings.source_guidance
            v_source, _ = self._velocity(own, settings.source_prompt or settings.prompt, guidance)
            if settings.keyframe_encoding != "delta":
                source_keys = encode_keyframes(self.model, own, self.frames, source, settings.keyframe_encoding)
        one = self._problem(v_target, hook)
        return replace(one, keys=keys, source_keys=source_keys, slots=slots, v_source=v_source)

    def to_refine(self, estimate: Estimate, mask: np.ndarray | None) -> tuple[EditProblem, Reference]:
        """The problem of `refine`, one branch of which the model sees the estimate, and what its change is laid on."""
        settings, latents = self.settings, self.model.encode(to_pixels(estimate.frames))
        problem = self._problem(*self._velocity(self.keyframes, settings.prompt, settings.guidance, estimate))
        need, agreement = estimate.need(), estimate.agreement
        return problem, EstimateReference(
            frames=estimate.frames, latents=latents, need=need, agreement=agreement, mask=mask
        )

    def _problem(self, v_target: Velocity, hook: Hook) -> EditProblem:
        """The problem of this clip with one branch."""
        settings, none, sigmas = self.settings, self.source[:, :, :0], sigma_grid(self.settings)
        warn_if_unstable(settings.gain, settings.beta, sigmas)
        return EditProblem(
            source=self.source,
            keys=none,
            source_keys=none,
            slots=(),
            noise=draw_noise(self.source, settings.seed),
            sigmas=sigmas,
            gain=settings.gain,
            beta=settings.beta,
            v_target=v_target,
            v_source=v_target,
            hook=hook,
        )

    def _velocity(
        self, keyframes: Sequence[Keyframe], prompt: str, guidance: float, estimate: Estimate | None = None
    ) -> tuple[Velocity, Hook]:
        """Velocity under a prompt and what is shown of keyframes, and the model's hook after a step."""
        settings, model, shape = self.settings, self.model, clip_shape(self.frames)
        place, num_slots = POSITIONS[settings.positions], slot_count(shape.num_frames)
        at = tuple(keyframe.slot for keyframe in keyframes)
        slots = at if settings.conditioning in ("tokens", "both") else ()
        shown = keyframes if settings.conditioning in ("i2v", "both") else ()
        prepared = model.prepare(
            Condition(
                shape=shape,
                prompt=prompt,
                negative_prompt=settings.negative_prompt,
                guidance=guidance,
                images={keyframe.index: keyframe.image for keyframe in shown},
                image_positions=place(num_slots, at)[num_slots:] if shown else (),
                source=self.frames,
                estimate=None if estimate is None else estimate.frames,
                confidence=None if estimate is None else estimate.confidence,
                key_slots=slots,
            )
        )
        velocity = model_velocity(model, prepared, place(num_slots, slots))
        return velocity, lambda latents, sigma: model.after_step(latents, sigma, prepared)


def clip_shape(frames: Video, multiple: int = 1) -> ClipShape:
    """The clip's size, if it is a clip of `4n + 1` frames whose sides are multiples of what the model divides by."""
    check_frames(frames)
    num_frames, height, width = frames.shape[:3]
    check_num_frames(num_frames)
    check_size(height, width, multiple)
    return ClipShape(num_frames=num_frames, height=height, width=width)


def sigma_grid(settings: EditSettings) -> tuple[float, ...]:
    """Noise levels: `difference` leaves out the first steps of a whole grid, the other methods bend a shorter one."""
    if settings.method == "difference":
        whole = wan_sigmas(settings.steps, shift=settings.shift)
        return whole[skip_steps(settings.steps, settings.strength) :]
    return wan_sigmas(settings.steps, strength=settings.strength, shift=settings.shift)


def draw_noise(like: Latent, seed: int, *, first: int = 0, slots: int | None = None) -> Latent:
    """A seed's noise for latents `like`, drawn on the CPU so that it gives one result on every device.

    For a window that begins at slot `first` of a clip of `slots`, it is that part of the whole clip's noise.
    """
    batch, channels, own, *size = like.shape
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((batch, channels, slots or own, *size), generator=generator, dtype=torch.float32)
    # A copy: a view would keep the whole clip's noise for as long as this edit lives.
    return noise[:, :, first : first + own].to(like.device, like.dtype, copy=True)
