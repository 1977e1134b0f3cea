"""Where an edit's keyframes come from: images, a folder that `flowedit style` left, or a style painted on the spot."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowedit.cli.styling import show_cost, style_progress

if TYPE_CHECKING:
    from flowedit.agent.result import StyleResult
    from flowedit.ahead import Styling
    from flowedit.frames import FrameMap

STYLED = "keyframes.json"
STYLE_FOLDER = "style"


@dataclass(frozen=True, kw_only=True)
class KeyframeChoice:
    """Keyframes for an edit, with the window that they belong to.

    Attributes:
        files: clip index and image file of each keyframe.
        start: first source frame of the window.
        num_frames: frames of the window; None lets the editor choose.
        styling: what the styler says of the clip, and of its run; None where the keyframes came as pictures.
    """

    files: list[tuple[int, Path]]
    start: int
    num_frames: int | None
    styling: "Styling | None" = None

    def prompts(self) -> dict[str, str]:
        """Settings of the edit that the styler knows, by name; what the user gives goes before them."""
        if self.styling is None:
            return {}
        return {"prompt": self.styling.prompt, "negative_prompt": self.styling.negative_prompt}


@dataclass(frozen=True, kw_only=True)
class StyleWish:
    """A style asked for on the command line; the first three are None when keyframes are given.

    Attributes:
        style: name of a look.
        image: picture whose style to take.
        words: the style in words.
        backend: who paints, as `StyleSettings` takes it.
        max_usd: most that Gemini may cost, in US dollars.
    """

    style: str | None = None
    image: Path | None = None
    words: str | None = None
    backend: str = "auto"
    max_usd: float = 2.0

    def __bool__(self) -> bool:
        """Whether a style was asked for."""
        return any(part is not None for part in (self.style, self.image, self.words))


def given_keyframes(
    video: Path, sources: list[Path], at: list[int] | None, *, start: int, num_frames: int | None
) -> KeyframeChoice:
    """Keyframes from image files, or from a folder that `flowedit style` left, which brings its own window.

    A folder that was styled from another file is taken with a warning.

    Args:
        video: the source of the edit.
        sources: image files, or one folder.
        at: frame of each image.
        start: first frame of the window.
        num_frames: frames of the window; None lets folder or editor choose.

    Raises:
        KeyframeError: images and indices that do not fit each other.
        SettingError: a window other than the styled folder's.
        AgentError: a styled folder whose run is not finished.
    """
    from flowedit.errors import SettingError
    from flowedit.job import pair_keyframes

    if len(sources) != 1 or not (sources[0] / STYLED).is_file():
        return KeyframeChoice(files=pair_keyframes(sources, at), start=start, num_frames=num_frames)
    from flowedit.agent.result import read_result

    result = read_result(sources[0])
    window = result.metadata
    if at is not None or start not in (0, window["start"]) or num_frames not in (None, window["num_frames"]):
        raise SettingError(
            f"{sources[0]} was styled for {window['num_frames']} frames from frame {window['start']}; "
            "leave out --at, --start and --frames, or style the window you want."
        )
    _warn_of_another(video, result)
    return _of_result(result)


def painted_keyframes(
    video: Path, wish: StyleWish, output: Path, window: "FrameMap", *, replace: bool
) -> KeyframeChoice:
    """Keyframes painted by the agent, in a folder of the run, with its notes and its cost said.

    An edit that is run again, after a kill or with other settings, takes the keyframes that are there already.

    Args:
        video: the source.
        wish: the style.
        output: folder of the run.
        window: the frames that the editor will take.
        replace: whether keyframes of another style may be removed.

    Raises:
        AgentError, SettingError, VideoFileError: what styling refuses.
    """
    from flowedit.agent.run import style_or_reuse
    from flowedit.agent.settings import GeminiSettings, StyleSettings

    settings = StyleSettings(
        style=wish.style,
        style_image=wish.image,
        describe=wish.words,
        start=window.start,
        num_frames=window.num_frames,
        backend=wish.backend,
        gemini=GeminiSettings(max_usd=wish.max_usd),
    )
    folder = output / STYLE_FOLDER
    before = _written_at(folder / STYLED)
    with style_progress() as progress:
        result = style_or_reuse(video, settings, folder, replace=replace, watch=progress.watch)
    show_cost(result)
    if before is not None and before == _written_at(folder / STYLED):
        typer.echo(f"note: These keyframes are an earlier run's; delete {folder} to have them painted again.", err=True)
    return _of_result(result)


def _written_at(path: Path) -> int | None:
    """When a file was written, in nanoseconds; None where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else None


def _warn_of_another(video: Path, result: "StyleResult") -> None:
    """Say that keyframes were painted from another file than the edit's; a run of frames in memory does not know."""
    from flowedit.agent.sample import file_identity
    from flowedit.errors import UnusualSettingWarning

    styled = result.metadata.get("identity")
    if styled is not None and video.is_file() and file_identity(video) != styled:
        warnings.warn(
            f"The keyframes in {result.folder} were painted from another video ({result.metadata['video']}) than "
            f"{video}; if they do not fit its frames, style this one.",
            UnusualSettingWarning,
            stacklevel=2,
        )


def _of_result(result: "StyleResult") -> KeyframeChoice:
    from flowedit.ahead import Styling

    manifest = result.metadata
    return KeyframeChoice(
        files=[(int(row["index"]), result.folder / row["file"]) for row in manifest["keyframes"]],
        start=int(manifest["start"]),
        num_frames=int(manifest["num_frames"]),
        styling=Styling(
            prompt=result.prompt,
            negative_prompt=str(manifest.get("negative_prompt", "")),
            notes=result.notes,
            usage=result.usage.model_dump(),
        ),
    )
