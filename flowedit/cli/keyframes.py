"""Where an edit's keyframes come from: images, a folder that `flowedit style` left, or a style painted on the spot.

Each gives the attributes of an `EditRequest` that it decides: keyframes, window, and what painted them.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flowedit.agent.settings import StyleSettings
from flowedit.cli.progress import show_cost, style_progress
from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.run.request import Styling

if TYPE_CHECKING:
    from flowedit.agent.result import StyleResult

STYLED = "keyframes.json"
STYLE_FOLDER = "style"


def given_keyframes(
    video: Path, sources: list[Path], at: list[int] | None, *, start: int, num_frames: int | None
) -> dict[str, Any]:
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
    from flowedit.run.inputs import pair_keyframes

    if len(sources) != 1 or not (sources[0] / STYLED).is_file():
        return {"keyframes": pair_keyframes(sources, at), "start": start, "num_frames": num_frames}
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


def painted_keyframes(video: Path, settings: StyleSettings, output: Path, *, replace: bool) -> dict[str, Any]:
    """Keyframes painted by the agent, in a folder of the run, with its notes and its cost said.

    An edit that is run again, after a kill or with other settings, takes the keyframes that are there already.

    Args:
        video: the source.
        settings: the style, and the window that the editor will take.
        output: folder of the run.
        replace: whether keyframes of another style may be removed.

    Raises:
        AgentError, SettingError, VideoFileError: what styling refuses.
    """
    from flowedit.agent.run import style_or_reuse

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

    styled = result.metadata.get("identity")
    if styled is not None and video.is_file() and file_identity(video) != styled:
        warnings.warn(
            f"The keyframes in {result.folder} were painted from another video ({result.metadata['video']}) than "
            f"{video}; if they do not fit its frames, style this one.",
            UnusualSettingWarning,
            stacklevel=2,
        )


def _of_result(result: "StyleResult") -> dict[str, Any]:
    manifest = result.metadata
    return {
        "keyframes": [(int(row["index"]), result.folder / row["file"]) for row in manifest["keyframes"]],
        "start": int(manifest["start"]),
        "num_frames": int(manifest["num_frames"]),
        "styling": Styling(
            prompt=result.prompt,
            negative_prompt=str(manifest.get("negative_prompt", "")),
            notes=result.notes,
            usage=result.usage.model_dump(),
        ),
    }
