"""Where an edit's keyframes come from: images, a folder that `flowedit style` left, or a style painted on the spot."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowedit.agent.result import StyleResult

STYLED = "keyframes.json"
STYLE_FOLDER = "style"


@dataclass(frozen=True, kw_only=True)
class KeyframeChoice:
    """Keyframes for an edit, with the window that they belong to.

    Attributes:
        files: clip index and image file of each keyframe.
        start: first source frame of the window.
        num_frames: frames of the window; None lets the editor choose.
        prompt: what the styler says of the clip; empty where nobody said anything.
    """

    files: list[tuple[int, Path]]
    start: int
    num_frames: int | None
    prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class StyleWish:
    """A style asked for on the command line; all None when keyframes are given."""

    style: str | None = None
    image: Path | None = None
    words: str | None = None

    def __bool__(self) -> bool:
        """Whether a style was asked for."""
        return any(part is not None for part in (self.style, self.image, self.words))


def given_keyframes(sources: list[Path], at: list[int] | None, *, start: int, num_frames: int | None) -> KeyframeChoice:
    """Keyframes from image files, or from a folder that `flowedit style` left, which brings its own window.

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
    return _of_result(result)


def painted_keyframes(
    video: Path, wish: StyleWish, output: Path, *, start: int, num_frames: int | None, window: int, replace: bool
) -> KeyframeChoice:
    """Keyframes painted by the agent for the window that the editor will take, in a folder of the run.

    An edit that is run again, after a kill or with other settings, takes the keyframes that are there already;
    `replace` allows those of another style to be removed.

    Raises:
        AgentError, SettingError, VideoFileError: what styling refuses.
    """
    from flowedit.agent.run import style_or_reuse
    from flowedit.agent.settings import StyleSettings
    from flowedit.job import video_window

    chosen = video_window(video, start=start, num_frames=num_frames, window=window)
    settings = StyleSettings(
        style=wish.style,
        style_image=wish.image,
        describe=wish.words,
        start=chosen.start,
        num_frames=chosen.num_frames,
    )
    return _of_result(style_or_reuse(video, settings, output / STYLE_FOLDER, replace=replace))


def _of_result(result: "StyleResult") -> KeyframeChoice:
    manifest = result.metadata
    return KeyframeChoice(
        files=[(int(row["index"]), result.folder / row["file"]) for row in manifest["keyframes"]],
        start=int(manifest["start"]),
        num_frames=int(manifest["num_frames"]),
        prompt=result.prompt,
    )
