"""The names that users of keyframe editing on Wan already know, on top of this package's own.

Three plain functions on tensors, `WanVideoEditorPipeline` (a call that takes pictures and gives pictures), and
`IntegratedVideoEditor` (from a video file and a style to an edited file, keyframe agent included). The documented
ranges are advice: outside them a call warns.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from flowedit.correction import Exact
from flowedit.edit.result import EditResult
from flowedit.edit.steps import edit_video
from flowedit.edit.windows import edit_long_video
from flowedit.errors import ModelError, SettingError, VideoShapeError
from flowedit.files import write_json, write_text
from flowedit.frames import check_num_frames, fit_size, longest_legal
from flowedit.media.clip import probe, read_video, write_video
from flowedit.media.images import resize_video
from flowedit.methods.latentops import compute_velocity_correction, construct_rope_ids, prepare_coupled_noise
from flowedit.models import TINY, load_model
from flowedit.pictures import Pictures, clip_of, keyframes_of, stack_pictures, warn_unusual
from flowedit.presets import KNOWN, model_defaults, preset_settings
from flowedit.runfolder import EDITED, MANIFEST, TRACE, claimed, replacing
from flowedit.settings import EditSettings
from flowedit.wan.adapter import WanVideo

if TYPE_CHECKING:
    from flowedit.wan import vendor

__all__ = [
    "IntegratedVideoEditor",
    "WanVideoEditorPipeline",
    "compute_velocity_correction",
    "construct_rope_ids",
    "prepare_coupled_noise",
]

UNNAMED = "wan"
"""Name of a pipeline that was loaded elsewhere, unless its owner gives one."""
USUAL = "Wan2.1-T2V-1.3B"
"""Whose clip and presets a model has that was loaded elsewhere: Wan's at 480p."""
WINDOW = 81
"""Frames of the window that agent and editor share where the caller names none."""
FEW_STEPS, USUAL_STEPS = 20, 100


class WanVideoEditorPipeline:
    """Keyframe editing as one call: pictures in, pictures out; `result` is the last edit, None before the first."""

    def __init__(self, model: WanVideo) -> None:
        self.model = model
        self.result: EditResult | None = None
        self._known_as = model.name if model.name in KNOWN else USUAL  # whose defaults it has

    @classmethod
    def from_pretrained(cls, name: str | Path = "1.3B", **options: Any) -> "WanVideoEditorPipeline":  # noqa: ANN401 - load_model's options
        """Load `tiny`, `1.3B`, `14B`, a checkpoint's name, a folder or a file, as `load_model` does."""
        return cls(load_model(name, **options))

    @classmethod
    def from_model_manager(cls, pipe: "vendor.WanVideoPipeline", *, name: str = UNNAMED) -> "WanVideoEditorPipeline":
        """Wrap a diffsynth `WanVideoPipeline` that is loaded already.

        Size and length of its clips follow from the checkpoint's official `name`; by any other they are Wan's at 480p.
        """
        return cls(WanVideo(pipe, name=name))

    def enable_vram_management(self) -> None:
        """Stream weights between GPU and host from here on; nothing to do for a small or CPU model, or if it is on.

        The vendor decides this while it loads, so a checkpoint that is whole on the GPU is loaded anew: one that was
        loaded elsewhere is refused, since only its owner can.
        """
        pipe = self.model.pipe
        if self.model.name == TINY or pipe.vram_management_enabled or torch.device(pipe.device).type == "cpu":
            return
        if self.model.name == UNNAMED:
            raise ModelError(
                "The pipeline was loaded elsewhere, without memory management; load it with from_pretrained, or pass "
                "a vram_limit to diffsynth's own loader."
            )
        self.model = load_model(self.model.name, level="offload", loras=self.model.loras)

    def __call__(
        self,
        prompt: str = "",
        source_video: str | Path | Pictures = (),
        edited_keyframes: Pictures = (),
        keyframe_indices: Sequence[int] = (),
        alpha: float = 10.0,
        beta: float = 0.0,
        cfg_scale: float | None = None,
        num_inference_steps: int | None = None,
        tiled: bool | None = None,
        num_frames: int | None = None,
        size: tuple[int, int] | None = None,
        **settings: Any,  # noqa: ANN401 - settings by name
    ) -> list[Image.Image]:
        """Carry the style of keyframes through a clip.

        Args:
            prompt: what the edited clip shows.
            source_video: a file, pictures, or uint8 (F, H, W, 3).
            edited_keyframes: styled pictures in the source's shape, one per index.
            keyframe_indices: their pixel frames in the clip, increasing.
            alpha: rate of the correction, usually 1 to 20.
            beta: how far the keyframes yield, 0 to 1.
            cfg_scale: guidance, usually 1 to 10; None takes the model's own (5 for the real models).
            num_inference_steps: Euler steps, usually 20 to 100; None takes the model's own (50 for the real models).
            tiled: whether the autoencoder works in tiles; None leaves it as the model was loaded.
            num_frames: frames to edit, `4n + 1`; None takes the longest legal number.
            size: (height, width) to edit at; None takes the model's own area at the source's aspect.
            settings: any other setting of `EditSettings`, such as `seed` or `negative_prompt`; `kappa` takes the place
                of `alpha`, which then stays as it is by default.

        Returns:
            One picture per frame; the whole record is in `result`.

        Raises:
            FlowEditError: inputs that do not fit; the message names the value, the rule and the cure.
        """
        frames = clip_of(source_video, num_frames)
        given = {"guidance": cfg_scale, "steps": num_inference_steps, **settings}
        chosen = self._settings(prompt=prompt, alpha=alpha, beta=beta, **given)
        defaults = model_defaults(self._known_as)
        target = size or fit_size(*frames.shape[1:3], area=defaults.area, multiple=self.model.size_multiple)
        keyframes = keyframes_of(edited_keyframes, keyframe_indices, frames.shape[1:3], target)
        if frames.shape[1:3] != target:
            warn_unusual(f"The clip is {frames.shape[1]}x{frames.shape[2]} (height x width) and is edited at "
                 f"{target[0]}x{target[1]}; give size to choose.")  # fmt: skip
        clip = resize_video(frames, target)
        model = self.model if tiled is None else self.model.retiled({} if tiled else None)
        edit = edit_video if chosen.classical else partial(edit_long_video, window=defaults.window)
        self.result = edit(clip, keyframes, model, chosen)
        return [Image.fromarray(frame) for frame in self.result.frames]

    def _settings(self, **given: Any) -> EditSettings:  # noqa: ANN401
        """The model's own defaults with what was given; a model without a route for images sees tokens."""
        if not self.model.takes_images:
            given = {"conditioning": "tokens", **given}
        if given.get("kappa") is not None and given["alpha"] == Exact.rate:
            given = {**given, "alpha": None}  # the signature's own, not the caller's
        # The small model's default refines an estimate, which takes training, and corrects nothing.
        corrects = given["alpha"] != Exact.rate or any(given.get(name) for name in ("beta", "kappa", "gain"))
        preset = "method" if self.model.name == TINY and (corrects or not self.model.trained.refines) else "default"
        if self.model.name == TINY and corrects and "method" not in given:
            warn_unusual(
                "The small model's default corrects nothing: what steers a correction chooses its preset method."
            )
        given = {name: value for name, value in given.items() if value is not None}
        settings = preset_settings(self._known_as, preset, **given)
        if "steps" in given and 4 <= settings.steps < FEW_STEPS:
            warn_unusual(f"num_inference_steps is {settings.steps}; {FEW_STEPS} to {USUAL_STEPS} usually works.")
        return settings


class IntegratedVideoEditor:
    """From a video file and a style to an edited file, in the five calls that notebooks use.

    Agent and editor share one window of the file (first frame, number of frames), and indices count from its first
    frame, so the same calls work on a file of any length. `pipe` is the editor, once `load_wan_pipeline` was called.
    """

    def __init__(self, wan_model_size: str = "1.3B") -> None:
        self.wan_model_size = wan_model_size
        self.pipe: WanVideoEditorPipeline | None = None
        self._start = 0
        self._num_frames: int | None = None
        self._fps, self._times = Fraction(16), ()
        self._sound: dict[str, Any] = {}

    @property
    def result(self) -> EditResult | None:
        """The last edit with its trace and settings."""
        return None if self.pipe is None else self.pipe.result

    async def generate_styled_keyframes(
        self,
        video_path: str | Path,
        style_reference: dict[str, str | None],
        output_dir: str | Path,
        max_frames: int = 10,
        target_fps: float = 1.0,
        *,
        start: int = 0,
        num_frames: int = WINDOW,
        **settings: Any,  # noqa: ANN401 - settings of the agent by name
    ) -> tuple[list[Image.Image], list[int], dict[str, Any]]:
        """Choose keyframes of a window and style them, without blocking a running event loop.

        Args:
            video_path: the file.
            style_reference: `image_path` and `description`, either or both.
            output_dir: a new or empty folder, or that of the same unfinished run.
            max_frames: most keyframes.
            target_fps: keyframes a second to aim for.
            start: frame of the file that is frame 0 of the window.
            num_frames: frames of the window, `4n + 1`; fewer where the file ends before.
            settings: any other setting of `flowedit.agent.settings.StyleSettings`, such as `style` or `backend`.

        Returns:
            Styled pictures, their frames in the window, and the agent's manifest.
        """
        from flowedit.agent.run import style_video_async
        from flowedit.agent.settings import StyleSettings

        unknown = sorted(set(style_reference) - {"image_path", "description"})
        if unknown:
            raise SettingError(f"style_reference has {unknown[0]!r}; it takes image_path and description.")
        self._choose(video_path, start, num_frames)
        image, words = style_reference.get("image_path"), style_reference.get("description")
        chosen = StyleSettings(
            style_image=None if image is None else Path(image), describe=words, start=start,
            num_frames=self._num_frames, max_frames=max_frames, target_fps=target_fps, **settings,
        )  # fmt: skip
        made = await style_video_async(video_path, chosen, output_dir)
        return [Image.fromarray(image) for image in made.images], list(made.indices), dict(made.metadata)

    def load_wan_pipeline(self) -> WanVideoEditorPipeline:
        """Load the model; a second call gives the one that is loaded."""
        self.pipe = self.pipe or WanVideoEditorPipeline.from_pretrained(self.wan_model_size)
        return self.pipe

    def load_source_video(self, path: str | Path, num_frames: int = WINDOW) -> list[Image.Image]:
        """The window's frames, or with a warning those that the file has, from the agent's first frame on."""
        self._choose(path, self._start, num_frames)
        clip = read_video(path, start=self._start, num_frames=self._num_frames)
        self._fps, self._times = clip.fps, clip.times
        self._sound = {"audio_from": clip.path, "audio_start_s": clip.start_s} if clip.has_audio else {}
        return [Image.fromarray(frame) for frame in clip.frames]

    def run_video_editing(
        self,
        source_frames: Pictures,
        styled_keyframes: Pictures,
        keyframe_indices: Sequence[int],
        prompt: str,
        alpha: float = 10.0,
        **options: Any,  # noqa: ANN401 - options of the pipeline's call
    ) -> list[Image.Image]:
        """Edit the window; other options as in `WanVideoEditorPipeline`'s call."""
        pipe = self.load_wan_pipeline()
        return pipe(prompt, source_frames, styled_keyframes, keyframe_indices, alpha=alpha, **options)

    def save_results(self, frames: Pictures, output_dir: str | Path, *, overwrite: bool = False) -> Path:
        """Write `edited.mp4` (the source's fps and sound), and the last run's `trace.csv` and `run.json`.

        The folder is made if need be; `overwrite` replaces an earlier run in it, and leaves other files.

        Raises:
            OutputError: it cannot be written, or holds a run already.
        """
        with claimed(Path(output_dir), overwrite=overwrite) as folder, replacing(folder) as new:
            made = stack_pictures(frames)
            timing = self._times if len(self._times) == len(made) + 1 else self._fps
            write_video(new / EDITED, made, timing, **self._sound)
            if self.result is not None:
                write_text(new / TRACE, self.result.trace.to_csv())
                write_json(new / MANIFEST, self.result.manifest())
        return folder

    def _choose(self, path: str | Path, start: int, num_frames: int) -> None:
        """Set the window, shortened with a warning where the file ends before it does."""
        check_num_frames(num_frames)
        left = probe(path).num_frames - start
        if left < 1:
            raise VideoShapeError(f"The window starts at frame {start} and the file has {left + start}; start earlier.")
        if num_frames > left:
            warn_unusual(
                f"{Path(path).name} has {left} frames from frame {start}; {longest_legal(left)} of them are used."
            )
        self._start, self._num_frames = start, min(num_frames, longest_legal(left))
