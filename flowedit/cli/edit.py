"""`flowedit edit`: carry the style of keyframes through a video."""

import shutil
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.cli.keyframes import given_keyframes, painted_keyframes
from flowedit.cli.options import options_of, parse_indices, parse_swept, with_options
from flowedit.cli.progress import watching
from flowedit.correction import gain_from
from flowedit.environment import launched, leads
from flowedit.errors import KeyframeError, SettingError, UnusualSettingWarning
from flowedit.run.request import EditRequest
from flowedit.runfolder import REPORT, STATE
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.run.job import EditOutcome
    from flowedit.wan.lora import Lora

_GIVEN = ("video", "keyframes", "output", "settings", "spread", "styling")
"""Attributes of a request that are arguments, or found out."""
_GAIN = ("alpha", "kappa", "form")
_STYLE = ("style", "style_image", "describe", "backend")


@with_options(
    *options_of(StyleSettings, _STYLE),
    *options_of(GeminiSettings, ("max_usd",)),
    *options_of(EditRequest, but=_GIVEN, called={"num_frames": "frames", "loras": "lora"}),
    *options_of(gain_from, called={"form": "gain"}, unset=True),
    *options_of(
        EditSettings,
        but=("positions", "gain"),
        unset=True,
        called={"keyframe_encoding": "encoding", "guidance": "cfg", "source_guidance": "source-cfg"},
    ),
)
def edit(
    video: Annotated[Path, typer.Argument(help="The source video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    keyframes: Annotated[
        list[Path] | None, typer.Option("--keyframes", "-k", help="Styled images, one folder of them, or a styled run.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Frame of each keyframe, such as 0,16,32.")] = None,
    preset: Annotated[str, typer.Option(help="default, draft or method.")] = "default",
    sweep: Annotated[str | None, typer.Option(help="Several alphas, such as 2,5,10: one folder each.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several seeds, such as 0,1,2: one folder each.")] = None,
    fit: Annotated[str | None, typer.Option(hidden=True)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line a step.")] = False,
    **options: Any,  # noqa: ANN401 - what the dataclasses hold
) -> None:
    """Carry the style of a few keyframes to every frame of a video.

    Over several GPUs of one host: torchrun --nproc-per-node 2 -m flowedit edit ...
    """
    from flowedit.edit.sweep import combinations
    from flowedit.presets import preset_settings

    known = {*(one.name for one in fields(EditSettings)), *_GAIN}
    given = {name: options.pop(name) for name in known & options.keys()}
    given = {name: value for name, value in given.items() if value is not None}
    if "form" in given:
        given["gain"] = given.pop("form")
    alphas = parse_swept(sweep, "--sweep", float, "2,5,10")
    drawn = parse_swept(seeds, "--seeds", int, "0,1,2")
    _check_swept(given, sweep, seeds)
    style = {name: options.pop(name) for name in _STYLE}
    gemini = GeminiSettings(max_usd=options.pop("max_usd"))
    painted = any(style[name] is not None for name in ("style", "style_image", "describe"))
    if painted == bool(keyframes):
        raise KeyframeError("Give keyframes (--keyframes) or a style to paint them in (--style), one of the two.")
    if fit is not None:
        warnings.warn("--fit is called --placement now.", UnusualSettingWarning, stacklevel=1)
        options["placement"] = fit
    settings = preset_settings(options["model"], preset, **given)
    options["loras"] = _checked_loras(options["model"], options["loras"] or [], settings, given)
    window = {name: options.pop(name) for name in ("start", "num_frames")}
    if painted:
        asked = partial(StyleSettings, **style, gemini=gemini)
        chosen = _paint(video, output, asked, options, window)
    else:
        chosen = given_keyframes(video, keyframes or [], parse_indices(at) if at is not None else None, **window)
    if "styling" in chosen:
        said = {name: getattr(chosen["styling"], name) for name in ("prompt", "negative_prompt") if name not in given}
        settings = settings.with_(**said)
    request = EditRequest(video=video, output=output, settings=settings, **chosen, **options)
    run_shown(request, combinations(settings, alphas, drawn), verbose=verbose)


def _check_swept(given: Mapping[str, Any], sweep: str | None, seeds: str | None) -> None:
    """Refuse a setting on its own beside a sweep that gives every run another value of it."""
    for name, option, words in (("alpha", "--sweep", sweep), ("kappa", "--sweep", sweep), ("seed", "--seeds", seeds)):
        if words is not None and name in given:
            every = "a seed" if name == "seed" else "an alpha"
            raise SettingError(
                f"--{name} is {given[name]} beside {option} {words}, which gives each run {every} of its own. "
                f"Leave out --{name} or {option}."
            )


def _checked_loras(model: str, loras: Sequence[str], settings: EditSettings, given: Collection[str]) -> "list[Lora]":
    """LoRAs as they were given, refused here where they do not fit: before anything is painted or loaded."""
    from flowedit.models import check_loras
    from flowedit.run.advice import lora_advice

    checked = check_loras(model, loras, settings.method)
    advice = lora_advice(settings, given) if checked and leads() else None
    if advice is not None:
        typer.echo(f"advice: {advice}", err=True)
    return [each.lora for each in checked]


def _paint(
    video: Path, output: Path, asked: Callable[..., StyleSettings], options: Mapping[str, Any], window: dict[str, Any]
) -> dict[str, Any]:
    """Keyframes painted in a style, for the frames that the editor will take, in the claimed folder of the run."""
    from flowedit.presets import model_defaults
    from flowedit.run.inputs import choose_window
    from flowedit.runfolder import claimed

    if launched():
        raise SettingError(
            "--style paints its keyframes in one process and torchrun started several. "
            "Run `flowedit style` first and give its folder as --keyframes."
        )
    taken = choose_window(video, **window, window=model_defaults(options["model"]).window)
    settings = asked(start=taken.start, num_frames=taken.num_frames)
    with claimed(output, overwrite=options["overwrite"]) as folder:
        return painted_keyframes(video, settings, folder, replace=options["overwrite"])


def run_shown(request: EditRequest, runs: Sequence[tuple[str, EditSettings]], *, verbose: bool) -> "list[EditOutcome]":
    """Run a request with progress on the terminal, and say where the results are.

    Where `torchrun` started several processes, the first one shows and writes; the others do their share in silence.
    """
    if not launched():
        return _shown(request, runs, verbose=verbose)
    from flowedit.run.job import run_edits
    from flowedit.wan.parallel import together

    with together() as spread:
        request = replace(request, spread=spread)
        if spread.rank == 0:
            return _shown(request, runs, verbose=verbose)
        with TemporaryDirectory() as name:
            folder = Path(name) / "run"
            if request.resume and (request.output / STATE).is_file():
                folder.mkdir()
                shutil.copy(request.output / STATE, folder / STATE)
            return run_edits(replace(request, output=folder), runs)


def _shown(request: EditRequest, runs: Sequence[tuple[str, EditSettings]], *, verbose: bool) -> "list[EditOutcome]":
    from flowedit.run.inputs import read_inputs

    console = Console(stderr=True)
    announce = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    with watching(console, verbose=verbose) as watch:
        inputs = read_inputs(request)
        from flowedit.run.job import run_edits  # loads torch, after everything that can be refused without it

        outcomes = run_edits(request, runs, watch, announce, inputs)
    for outcome in outcomes:
        for line in outcome.advice:
            announce(f"advice: {line}")
        seconds, peak = outcome.manifest["seconds"]["total"], outcome.manifest["peak_memory_mb"]
        announce(f"{seconds:.1f} s, peak memory {peak:.0f} MB")
        typer.echo(outcome.folder / REPORT)
    return outcomes
