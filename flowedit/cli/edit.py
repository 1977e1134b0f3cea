"""`flowedit edit`: carry the style of keyframes through a video."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flowedit.cli.keyframes import StyleWish, given_keyframes, painted_keyframes
from flowedit.cli.progress import watching
from flowedit.cli.together import run_together

if TYPE_CHECKING:
    from flowedit.run import EditOutcome
    from flowedit.settings import EditSettings
    from flowedit.sweep import Sweep
    from flowedit.wan.lora import Lora


def edit(
    video: Annotated[Path, typer.Argument(help="The source video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    keyframes: Annotated[
        list[Path] | None, typer.Option("--keyframes", "-k", help="Styled images, one folder of them, or a styled run.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Frame of each keyframe, such as 0,16,32.")] = None,
    style: Annotated[str | None, typer.Option(help="Paint the keyframes in this look first.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="Paint them in the style of this picture.")] = None,
    describe: Annotated[str | None, typer.Option(help="Paint them in a style given in words.")] = None,
    backend: Annotated[str, typer.Option(help="auto (Gemini where a key is found), offline or gemini.")] = "auto",
    max_usd: Annotated[float, typer.Option(help="Most that Gemini may cost, in US dollars.")] = 2.0,
    prompt: Annotated[str | None, typer.Option(help="The edited clip in words, style included.")] = None,
    source_prompt: Annotated[str | None, typer.Option(help="The source in words; the prompt unless given.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What guidance moves away from.")] = None,
    model: Annotated[str, typer.Option(help="tiny, 1.3B, 14B, a checkpoint's name or a path.")] = "tiny",
    preset: Annotated[str, typer.Option(help="default, draft or method.")] = "default",
    method: Annotated[
        str | None, typer.Option(help="refine, coupled, difference, colour-map, propagation, estimate.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="still, hold or delta.")] = None,
    conditioning: Annotated[str | None, typer.Option(help="tokens, i2v, both or none.")] = None,
    detail: Annotated[str | None, typer.Option(help="plain, residual or guided.")] = None,
    scale: Annotated[float | None, typer.Option(help="Side the model works at, such as 0.5 for a draft.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Rate of the correction.")] = None,
    kappa: Annotated[float | None, typer.Option(help="Fixed share per step, instead of alpha.")] = None,
    beta: Annotated[float | None, typer.Option(help="How far the keyframes yield, 0 to 1.")] = None,
    gain: Annotated[str | None, typer.Option(help="exact, or the literal euler.")] = None,
    strength: Annotated[float | None, typer.Option(help="How strong the edit is, above 0 to 1.")] = None,
    steps: Annotated[int | None, typer.Option(help="Euler steps.")] = None,
    cfg: Annotated[float | None, typer.Option(help="Guidance of the target; 1 is off.")] = None,
    source_cfg: Annotated[float | None, typer.Option(help="Guidance of the source (difference).")] = None,
    shift: Annotated[float | None, typer.Option(help="Bend of the sigma grid.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise; 0 unless given.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames to edit, 4n + 1.")] = None,
    start: Annotated[int, typer.Option(help="First frame of the window.")] = 0,
    size: Annotated[str | None, typer.Option(help="Height x width to edit at, such as 480x832.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep every pixel of the result exactly.")] = False,
    mask: Annotated[Path | None, typer.Option(help="Picture or video of where to edit, white = edit.")] = None,
    sweep: Annotated[str | None, typer.Option(help="Several alphas, such as 2,5,10: one folder each.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several seeds, such as 0,1,2: one folder each.")] = None,
    fit: Annotated[str, typer.Option(help="auto, resident, offload, fp8, disk or cpu: where weights rest.")] = "auto",
    pace: Annotated[str, typer.Option(help="auto, plain, fast, or lazy, which changes the result.")] = "auto",
    lora: Annotated[
        list[str] | None,
        typer.Option(help="LoRA: FILE, FILE:0.8 at strength 0.8; high=FILE, low=FILE for an expert. Repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run of the same edit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line a step.")] = False,
) -> None:
    """Carry the style of a few keyframes to every frame of a video.

    Over several GPUs of one host: torchrun --nproc-per-node 2 -m flowedit edit ...
    """
    from flowedit.ahead import EditRequest
    from flowedit.environment import launched, leads
    from flowedit.errors import FlowEditError, KeyframeError, SettingError
    from flowedit.job import parse_indices, parse_size, video_window
    from flowedit.presets import model_defaults, preset_settings
    from flowedit.runfolder import RunFolder
    from flowedit.sweep import check_sweep, parse_sweep

    check_sweep(sweep, seeds, {"alpha": alpha, "kappa": kappa, "seed": seed})
    several = parse_sweep(sweep, seeds)
    wish = StyleWish(style=style, image=style_image, words=describe, backend=backend, max_usd=max_usd)
    if bool(wish) == bool(keyframes):
        raise KeyframeError("Give keyframes (--keyframes) or a style to paint them in (--style), one of the two.")
    if wish and launched():
        raise SettingError(
            "--style paints its keyframes in one process and torchrun started several. "
            "Run `flowedit style` first and give its folder as --keyframes."
        )
    given = {
        **{"prompt": prompt, "source_prompt": source_prompt, "negative_prompt": negative_prompt, "method": method},
        **{"keyframe_encoding": encoding, "conditioning": conditioning},
        **{"detail": detail, "alpha": alpha, "kappa": kappa, "beta": beta, "gain": gain, "strength": strength},
        **{"steps": steps, "guidance": cfg, "source_guidance": source_cfg, "shift": shift, "seed": seed},
        **{"scale": scale},
    }
    given = {name: value for name, value in given.items() if value is not None}
    planned = preset_settings(model, preset, **given)
    loras = _checked_loras(model, lora or [], planned.method)
    if loras and leads():
        _advise(planned, given)
    window = {"start": start, "num_frames": frames}
    if wish:
        taken = video_window(video, **window, window=model_defaults(model).window)
        folder = RunFolder(output, overwrite=overwrite)
        try:
            choice = painted_keyframes(video, wish, output, taken, replace=overwrite)
        except FlowEditError:
            folder.abandon()
            raise
    else:
        choice = given_keyframes(video, keyframes or [], parse_indices(at) if at is not None else None, **window)
    request = EditRequest(
        video=video,
        keyframes=choice.files,
        output=output,
        settings=preset_settings(model, preset, **{**choice.prompts(), **given}),
        model=model,
        size=parse_size(size) if size is not None else None,
        num_frames=choice.num_frames,
        start=choice.start,
        overwrite=overwrite,
        lossless=lossless,
        fit=fit,
        pace=pace,
        resume=resume,
        mask=mask,
        styling=choice.styling,
        loras=loras,
    )
    if several is None:
        run_together(request, partial(show_run, verbose=verbose))
    else:
        _show_sweep(request, several, verbose=verbose)


def _checked_loras(model: str, given: list[str], method: str) -> "list[Lora]":
    """LoRAs as they were given, refused here where they do not fit: before anything is painted or loaded."""
    from flowedit.models import check_loras

    return [checked.lora for checked in check_loras(model, given, method)]


def _advise(settings: "EditSettings", given: dict[str, Any]) -> None:
    """Say what a distilled LoRA wants and the user did not give, while it can still be given."""
    from flowedit.advice import lora_advice

    line = lora_advice(settings, given)
    if line is not None:
        typer.echo(f"advice: {line}", err=True)


def _show_sweep(request: Any, several: "Sweep", *, verbose: bool) -> None:  # noqa: ANN401 - an EditRequest
    """Run a request once per combination, then say where each result is."""
    from flowedit.sweep import run_sweep

    console = Console(stderr=True)
    with watching(console, verbose=verbose) as watch:
        outcomes = run_sweep(request, several, watch, announce=lambda line: console.print(line, highlight=False))
    for outcome in outcomes:
        typer.echo(outcome.folder / "report.html")


def show_run(request: Any, *, verbose: bool) -> "EditOutcome":  # noqa: ANN401 - an EditRequest, imported when run
    """Run a request with progress on the terminal, then say where the results are."""
    from flowedit.ahead import Ahead
    from flowedit.errors import FlowEditError
    from flowedit.runfolder import RunFolder

    console = Console(stderr=True)
    with watching(console, verbose=verbose) as watch:
        watch("reading", 0, 0, None)
        ahead = Ahead(request)
        folder = RunFolder(request.output, overwrite=request.overwrite)
        # This import loads torch, while the process that `ahead` started makes the estimate.
        from flowedit.run import run_edit

        announce = partial(console.print, highlight=False, markup=False, soft_wrap=True)
        try:
            outcome = run_edit(request, watch, announce, ahead=ahead)
        except FlowEditError:
            folder.abandon()
            raise
    for line in outcome.advice:
        announce(f"advice: {line}")
    seconds = outcome.manifest["seconds"]["total"]
    console.print(f"{seconds:.1f} s, peak memory {outcome.manifest['peak_memory_mb']:.0f} MB", highlight=False)
    typer.echo(outcome.folder / "report.html")
    return outcome
