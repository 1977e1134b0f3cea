"""Where an edit's keyframes come from: images, a folder that `flowedit style` left, or a style painted on the spot.

Each gives the attributes of an `EditRequest` that it decides: keyframes, window, and what painted them.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.cli.progress import StyleProgress, show_cost
from flowedit.environment import launched
from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.presets import model_defaults
from flowedit.run.request import styled
from flowedit.runfolder import claimed


def given_keyframes(
    video: Path, sources: Sequence[Path], at: Sequence[int], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Keyframes from image files at the frames `at`, or from a folder that `flowedit style` left.

    Such a folder brings its own window; one that was styled from another file is taken with a warning.
    """
    from flowedit.run.inputs import pair_keyframes

    if len(sources) != 1 or not (sources[0] / "keyframes.json").is_file():
        return {"keyframes": pair_keyframes(sources, at or None, request["every"])}
    from flowedit.agent.result import read_result
    from flowedit.agent.sample import file_identity

    made_before = read_result(sources[0])
    made = made_before.metadata
    start, num_frames, every = (request[name] for name in ("start", "num_frames", "every"))
    own = start in (0, made["start"]) and num_frames in (None, made["num_frames"]) and every in (1, made["every"])
    if at or not own:
        raise SettingError(
            f"{sources[0]} was styled for {made['num_frames']} frames from frame {made['start']}; "
            "leave out --at, --start, --every and --frames, or style the window you want."
        )
    # A run on frames in memory does not know of a file.
    if (identity := made.get("identity")) and video.is_file() and file_identity(video) != identity:
        warnings.warn(
            f"The keyframes in {made_before.folder} were painted from another video ({made['video']}) than {video}; "
            "if they do not fit its frames, style this one.",
            UnusualSettingWarning,
            stacklevel=2,
        )
    return styled(made_before)


def painted_keyframes(video: Path, output: Path, look: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Keyframes painted in a style, for the frames that the editor will take, in the claimed folder of the run.

    An edit that is run again, after a kill or with other settings, takes the keyframes that are there already.
    """
    if launched():
        raise SettingError(
            "--style paints its keyframes in one process and torchrun started several. "
            "Run `flowedit style` first and give its folder as --keyframes."
        )
    from flowedit.agent.run import style_or_reuse
    from flowedit.media.clip import probe
    from flowedit.run.inputs import choose_window

    gemini, overwrite = GeminiSettings(max_usd=look.pop("max_usd")), request["overwrite"]
    window = model_defaults(request["model"]).window
    total = probe(video).num_frames
    taken = choose_window(total, request["start"], request["num_frames"], window, request["every"])
    settings = StyleSettings(**look, start=taken.start, every=taken.step, num_frames=len(taken), gemini=gemini)
    shown, folder = StyleProgress(), output / "style"
    with claimed(output, overwrite=overwrite), shown.bar:
        result = style_or_reuse(video, settings, folder, replace=overwrite, watch=shown.watch)
    show_cost(result)
    if not shown.watched:
        typer.echo(f"note: These keyframes are an earlier run's; delete {folder} to have them painted again.", err=True)
    return styled(result)
