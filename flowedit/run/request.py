"""What a run asks for: a video, styled keyframes, settings and a folder; and what painted the keyframes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.agent.result import StyleResult
    from flowedit.wan.lora import Lora
    from flowedit.wan.parallel import Spread

CALLED = {
    "num_frames": "frames",
    "loras": "lora",
    "form": "gain",
    "keyframe_encoding": "encoding",
    "guidance": "cfg",
    "source_guidance": "source-cfg",
}
"""Attribute -> what users call it, at the command line and in a manifest, where that is not its own name."""
FOUND_OUT = ("keyframes", "output", "settings", "overwrite", "resume", "spread", "styling")
"""Attributes of a request that a batch finds out."""
STYLE = ("style", "style_image", "describe", "backend")
"""What a line of a manifest says of keyframes that are to be painted."""


@dataclass(frozen=True, kw_only=True)
class Styling:
    """What the run that painted an edit's keyframes left for it.

    The clip in its style in words, what the editor should avoid, what did not go as planned in a sentence each, and
    calls to a model, tokens and estimated US dollars by name.
    """

    prompt: str = ""
    negative_prompt: str = ""
    notes: tuple[str, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """A run as a user asks for it; the command line makes its options from these attributes.

    Attributes:
        video: the source video.
        keyframes: clip index and image file of each keyframe.
        output: folder for the results.
        settings: the settings of the edit.
        model: `tiny`, `1.3B`, `14B`, a checkpoint's name or a path.
        size: height x width that the model works at, such as 480x832; its own area unless given. The result has the
            source's own, at which methods without a model work.
        num_frames: frames to edit, 4n + 1; the longest window of the model unless given.
        start: first source frame of the window.
        every: edit every N-th frame of the source and leave out the others; keyframes count the source's frames.
        crop: take the middle of keyframes of another shape than the video's, painted with borders around.
        pad: lay keyframes of another shape, painted with the borders cut off, in the middle of their source frames.
        overwrite: replace an earlier run in the folder.
        audio: the sound track to carry over, from 1; auto for the file's default one, none for none.
        fps: frames a second in place of the video's own; its sound is left out then.
        frames_out: write the frames as pictures too: png, a folder frames; gif, apng or webp, an animation.
        lossless: keep every pixel of the result exactly.
        mask: picture or video of where to edit, white = edit.
        placement: where a checkpoint's weights rest between uses: resident, offload, fp8, disk or cpu; auto for the
            fastest way that fits, and one level lower if memory runs out.
        pace: how fast the model runs: auto, plain or fast; lazy changes the result a little.
        resume: go on with the state that a stopped run of the same edit left in the folder.
        loras: LoRA: FILE, FILE:0.8 at strength 0.8; high=FILE, low=FILE for an expert. Repeatable.
        spread: the processes that share each forward; None for this one alone.
        styling: what painted the keyframes; None where they came as pictures.
    """

    video: Path
    keyframes: Sequence[tuple[int, Path]]
    output: Path
    settings: EditSettings
    model: str = "tiny"
    size: tuple[int, int] | None = None
    num_frames: int | None = None
    start: int = 0
    every: int = 1
    crop: bool = False
    pad: bool = False
    overwrite: bool = False
    audio: str = "auto"
    fps: float | None = None
    frames_out: Literal["png", "gif", "apng", "webp"] | None = None
    lossless: bool = False
    mask: Path | None = None
    placement: str = "auto"
    pace: str = "auto"
    resume: bool = False
    loras: "Sequence[Lora]" = ()
    spread: "Spread | None" = None
    styling: Styling | None = None


def styled(result: "StyleResult") -> dict[str, Any]:
    """The attributes of an `EditRequest` that a styling run decides: keyframes, window, and what painted them."""
    made, usage = result.metadata, result.usage.model_dump()
    words = {"prompt": result.prompt, "negative_prompt": str(made.get("negative_prompt", ""))}
    keyframes = [(int(row["index"]), result.folder / row["file"]) for row in made["keyframes"]]
    window = {name: int(made[name]) for name in ("start", "num_frames", "every")}
    return {"keyframes": keyframes, **window, "styling": Styling(**words, notes=result.notes, usage=usage)}
