"""Many alphas of one edit: the model is loaded once, and the clip, the keyframes and the words are encoded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowedit.config import EditSettings
from flowedit.errors import SettingError
from flowedit.preparation import PreparedEdit, gain_of

if TYPE_CHECKING:
    from flowedit.model import VideoModel
    from flowedit.runner import EditOutcome, EditRequest, Watch


@dataclass
class Shared:
    """What the runs of a sweep have in common, once the first of them has made it.

    Attributes:
        model: the loaded model.
        prepared: the encoded edit, with the first run's alpha.
    """

    model: "VideoModel | None" = None
    prepared: PreparedEdit | None = None


def parse_alphas(text: str) -> list[float]:
    """`2,5,10` as numbers, each once.

    Raises:
        SettingError: no numbers, or one twice.
    """
    try:
        alphas = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        alphas = []
    if not alphas or len(set(alphas)) < len(alphas):
        raise SettingError(f"--sweep is {text!r}; give different numbers with commas, such as 2,5,10.")
    return alphas


def with_alpha(prepared: PreparedEdit, settings: EditSettings) -> PreparedEdit:
    """A prepared edit under settings that differ in how strongly it corrects, and in nothing else.

    Args:
        prepared: encoded under other settings; left as it is.
        settings: those of the new run.

    Raises:
        SettingError: they differ in something that was encoded.
    """
    ours = prepared.settings
    if settings.with_(alpha=ours.alpha, kappa=ours.kappa, gain=ours.gain) != ours:
        raise SettingError("A sweep shares everything but alpha, kappa and gain; run other settings on their own.")
    return replace(
        prepared,
        settings=settings,
        problem=replace(prepared.problem, gain=gain_of(settings)),
        trace=replace(prepared.trace, alpha=settings.alpha if settings.kappa is None else None, steps=[]),
        seconds=dict(prepared.seconds),
    )


def run_sweep(
    request: "EditRequest", alphas: Sequence[float], watch: "Watch", announce: Callable[[str], object] = str
) -> "list[EditOutcome]":
    """Edit a video once per alpha, each into a folder of its own (`alpha-5`) inside the request's.

    Args:
        request: what to do; its alpha is replaced, and so is a kappa.
        alphas: rates of the correction.
        watch: as in `flowedit.runner.run_edit`.
        announce: likewise.

    Raises:
        FlowEditError: as from `run_edit`; the runs before the one that failed are kept.
    """
    from flowedit.runner import run_edit

    shared = Shared()
    runs = [(alpha, request.settings.with_(alpha=alpha, kappa=None)) for alpha in alphas]
    return [
        run_edit(
            replace(request, settings=settings, output=request.output / f"alpha-{alpha:g}"), watch, announce, shared
        )
        for alpha, settings in runs
    ]
