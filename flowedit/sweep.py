"""Many alphas or seeds of one edit: the model is loaded once; clip, keyframes and words are encoded once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, TypeVar

from flowedit.errors import SettingError
from flowedit.settings import EditSettings

Number = TypeVar("Number", int, float)

if TYPE_CHECKING:
    from flowedit.ahead import EditRequest
    from flowedit.model import VideoModel
    from flowedit.preparation import PreparedEdit
    from flowedit.run import EditOutcome, Watch


@dataclass
class Shared:
    """What the runs of a sweep have in common, once the first of them has made it.

    Attributes:
        model: the loaded model.
        prepared: the encoded edit, under the first run's settings.
    """

    model: "VideoModel | None" = None
    prepared: "PreparedEdit | None" = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What to go through, every combination; empty leaves the request's own.

    Attributes:
        alphas: rates of the correction.
        seeds: seeds of the noise.
    """

    alphas: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()

    def runs(self, settings: EditSettings) -> Iterator[tuple[str, EditSettings]]:
        """Name and settings of each run."""
        alphas = [(f"alpha-{alpha:g}", {"alpha": alpha, "kappa": None}) for alpha in self.alphas] or [("", {})]
        seeds = [(f"seed-{seed}", {"seed": seed}) for seed in self.seeds] or [("", {})]
        for (one, alpha), (two, seed) in product(alphas, seeds):
            yield "-".join(name for name in (one, two) if name), settings.with_(**alpha, **seed)


def parse_sweep(alphas: str | None, seeds: str | None) -> Sweep | None:
    """`2,5,10` and `0,1,2`, the command line's words, each number once; None where neither is given.

    Raises:
        SettingError: no numbers, or one twice.
    """
    if alphas is None and seeds is None:
        return None
    return Sweep(
        alphas=_numbers(alphas, "--sweep", float, "2,5,10") if alphas is not None else (),
        seeds=_numbers(seeds, "--seeds", int, "0,1,2") if seeds is not None else (),
    )


def check_sweep(alphas: str | None, seeds: str | None, given: Mapping[str, float | None]) -> None:
    """Refuse a setting on its own beside a sweep that gives every run another value of it.

    Args:
        alphas: the command line's words, as in `parse_sweep`.
        seeds: likewise.
        given: `alpha`, `kappa` and `seed` as the user gave them; None where not.

    Raises:
        SettingError: one of them is given and swept.
    """
    swept = [("alpha", "--sweep", alphas), ("kappa", "--sweep", alphas), ("seed", "--seeds", seeds)]
    for name, option, words in swept:
        value = given[name]
        if words is not None and value is not None:
            every = "a seed" if name == "seed" else "an alpha"
            raise SettingError(
                f"--{name} is {value} beside {option} {words}, which gives each run {every} of its own. "
                f"Leave out --{name} or {option}."
            )


def _numbers(text: str, option: str, kind: Callable[[str], Number], example: str) -> tuple[Number, ...]:
    try:
        numbers = tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or len(set(numbers)) < len(numbers):
        raise SettingError(f"{option} is {text!r}; give different numbers with commas, such as {example}.")
    return numbers


def varied(prepared: "PreparedEdit", settings: EditSettings) -> "PreparedEdit":
    """A prepared edit under settings that differ in its noise or in how strongly it corrects, and in nothing else.

    Args:
        prepared: encoded under other settings; left as it is.
        settings: those of the new run.

    Raises:
        SettingError: they differ in something that was encoded.
    """
    from flowedit.preparation import draw_noise

    ours = prepared.settings
    if settings.with_(gain=ours.gain, seed=ours.seed) != ours:
        raise SettingError(
            "A sweep shares everything but alpha, kappa, gain and seed; run other settings on their own."
        )
    problem = replace(prepared.problem, gain=settings.gain)
    if settings.seed != ours.seed:
        problem = replace(problem, noise=draw_noise(problem.source, settings.seed))
    return replace(
        prepared,
        settings=settings,
        problem=problem,
        trace=replace(prepared.trace, alpha=settings.alpha, steps=[]),
        seconds=dict(prepared.seconds),
    )


def run_sweep(
    request: "EditRequest", sweep: Sweep, watch: "Watch", announce: Callable[[str], object] = str
) -> "list[EditOutcome]":
    """Edit a video once per combination, each into a folder of its own (`alpha-5`, `seed-3`) inside the request's.

    Args:
        request: what to do; its alpha, kappa and seed are replaced by what is swept.
        sweep: what to go through.
        watch: as in `flowedit.run.run_edit`.
        announce: likewise.

    Raises:
        FlowEditError: as from `run_edit`; the runs before the one that failed are kept.
    """
    from flowedit.run import run_edit

    shared = Shared()
    return [
        run_edit(replace(request, settings=settings, output=request.output / name), watch, announce, shared)
        for name, settings in list(sweep.runs(request.settings))
    ]
