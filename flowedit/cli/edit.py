"""`flowedit edit`: carry the style of keyframes through a video."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.cli.keyframes import given_keyframes, painted_keyframes
from flowedit.cli.options import options_of, parse_numbers, with_options
from flowedit.cli.progress import printable, watching
from flowedit.correction import gain_from
from flowedit.edit.sweep import combinations
from flowedit.environment import launched, leads
from flowedit.errors import KeyframeError, SettingError, UnusualSettingWarning
from flowedit.models import check_loras
from flowedit.presets import preset_settings
from flowedit.run.request import CALLED, EditRequest
from flowedit.runfolder import REPORT
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.run.job import EditOutcome
    from flowedit.wan.lora import Lora

_FOUND_OUT = ("video", "keyframes", "output", "settings", "spread", "styling")
"""Attributes of a request that are arguments, or follow from other options."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command takes beside settings, style and request."""

    keyframes: Annotated[
        list[Path] | None, typer.Option("--keyframes", "-k", help="Styled images, one folder of them, or a styled run.")
    ] = None
    at: Annotated[str | None, typer.Option(help="Frame of each keyframe, such as 0,16,32.")] = None
    preset: Annotated[str, typer.Option(help="default, draft or method.")] = "default"
    sweep: Annotated[str | None, typer.Option(help="Several alphas, such as 2,5,10: one folder each.")] = None
    seeds: Annotated[str | None, typer.Option(help="Several seeds, such as 0,1,2: one folder each.")] = None
    fit: Annotated[str | None, typer.Option(hidden=True)] = None
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line a step.")] = False


@with_options(
    asked=options_of(Asked),
    look=[
        *options_of(StyleSettings, ("style", "style_image", "describe", "backend")),
        *options_of(GeminiSettings, ("max_usd",)),
    ],
    request=options_of(EditRequest, but=_FOUND_OUT, called=CALLED),
    given=[
        *options_of(gain_from, called=CALLED, unset=True),
        *options_of(EditSettings, but=("gain",), called=CALLED, unset=True),
    ],
)
def edit(
    video: Annotated[Path, typer.Argument(help="The source video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    asked: Mapping[str, Any],
    look: dict[str, Any],
    request: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Carry the style of a few keyframes to every frame of a video.

    Over several GPUs of one host: torchrun --nproc-per-node 2 -m flowedit edit ...
    """
    own, given = Asked(**asked), {name: value for name, value in given.items() if value is not None}
    if "form" in given:
        given["gain"] = given.pop("form")
    alphas = parse_numbers(own.sweep, "--sweep", float, "2,5,10")
    seeds = parse_numbers(own.seeds, "--seeds", int, "0,1,2")
    at = parse_numbers(own.at, "--at", int, "0,16,32")
    _check_swept(given, own)
    painted = any(look[name] is not None for name in ("style", "style_image", "describe"))
    if painted == bool(own.keyframes):
        raise KeyframeError("Give keyframes (--keyframes) or a style to paint them in (--style), one of the two.")
    if own.fit is not None:
        warnings.warn("--fit is called --placement now.", UnusualSettingWarning, stacklevel=1)
        request["placement"] = own.fit
    settings = preset_settings(request["model"], own.preset, **given)
    request["loras"] = _checked_loras(request["model"], request["loras"] or [], settings, given)
    if painted:
        request |= painted_keyframes(video, output, look, request)
    else:
        request |= given_keyframes(video, own.keyframes or [], at, request)
    if "styling" in request:
        said = {name: getattr(request["styling"], name) for name in ("prompt", "negative_prompt") if name not in given}
        settings = settings.with_(**said)
    whole = EditRequest(video=video, output=output, settings=settings, **request)
    run_shown(whole, combinations(settings, alphas, seeds), verbose=own.verbose)


def _check_swept(given: Mapping[str, Any], own: Asked) -> None:
    """Refuse a setting on its own beside a sweep that gives every run another value of it."""
    swept = ("alpha", "sweep", "an alpha"), ("kappa", "sweep", "an alpha"), ("seed", "seeds", "a seed")
    for name, option, every in swept:
        if (words := getattr(own, option)) is not None and name in given:
            raise SettingError(
                f"--{name} is {given[name]} beside --{option} {words}, which gives each run {every} of its own. "
                f"Leave out --{name} or --{option}."
            )


def _checked_loras(model: str, loras: Sequence[str], settings: EditSettings, given: Collection[str]) -> "list[Lora]":
    """LoRAs as they were given, refused here where they do not fit: before anything is painted or loaded."""
    from flowedit.run.advice import lora_advice

    checked = check_loras(model, loras, settings.method)
    if checked and leads() and (advice := lora_advice(settings, given)):
        typer.echo(f"advice: {advice}", err=True)
    return [each.lora for each in checked]


def run_shown(request: EditRequest, runs: Sequence[tuple[str, EditSettings]], *, verbose: bool) -> "list[EditOutcome]":
    """Run a request with progress on the terminal, and say where the results are.

    Where `torchrun` started several processes, the first one shows and writes; the others do their share in silence.
    """
    if not launched():
        return _shown(request, runs, verbose=verbose)
    from flowedit.run.job import run_edits
    from flowedit.run.outputs import following
    from flowedit.wan.parallel import together

    with together() as spread:
        request = replace(request, spread=spread)
        if spread.rank == 0:
            return _shown(request, runs, verbose=verbose)
        with following(request) as share:
            return run_edits(share, runs)


def _shown(request: EditRequest, runs: Sequence[tuple[str, EditSettings]], *, verbose: bool) -> "list[EditOutcome]":
    from flowedit.run.job import run_edits

    console = Console(stderr=True)

    def announce(line: str) -> None:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    with watching(console, verbose=verbose) as watch:
        outcomes = run_edits(request, runs, watch, announce)
    for outcome in outcomes:
        for line in outcome.manifest["advice"]:
            announce(f"advice: {line}")
        seconds, peak = outcome.manifest["seconds"]["total"], outcome.manifest["peak_memory_mb"]
        announce(f"{seconds:.1f} s, peak memory {peak:.0f} MB")
        typer.echo(outcome.folder / REPORT)
    return outcomes
