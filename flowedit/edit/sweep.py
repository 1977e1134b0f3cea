"""Many alphas or seeds of one edit: settings that differ in nothing else, and one encoding for all of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from flowedit.errors import SettingError
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.edit.preparation import PreparedEdit


def combinations(
    settings: EditSettings, alphas: Sequence[float] = (), seeds: Sequence[int] = ()
) -> list[tuple[str, EditSettings]]:
    """Name, such as `alpha-5-seed-3`, and settings of every combination; without alphas or seeds, the settings' own."""
    rates = [(f"alpha-{alpha:g}", {"alpha": alpha}) for alpha in alphas] or [("", {})]
    draws = [(f"seed-{seed}", {"seed": seed}) for seed in seeds] or [("", {})]
    return [
        ("-".join(name for name in (one, two) if name), settings.with_(**alpha, **seed))
        for (one, alpha), (two, seed) in product(rates, draws)
    ]


def varied(prepared: "PreparedEdit", settings: EditSettings) -> "PreparedEdit":
    """A prepared edit, which stays as it is, under settings that differ in their seed or gain and in nothing else.

    Raises:
        SettingError: they differ in something that was encoded.
    """
    from flowedit.edit.preparation import draw_noise

    ours = prepared.settings
    if settings.with_(gain=ours.gain, seed=ours.seed) != ours:
        raise SettingError(
            "A sweep shares everything but alpha, kappa, gain and seed; run other settings on their own."
        )
    problem = replace(prepared.problem, gain=settings.gain)
    if settings.seed != ours.seed:
        problem = replace(problem, noise=draw_noise(problem.source, settings.seed))
    trace = replace(prepared.trace, alpha=settings.alpha, steps=[])
    return replace(prepared, settings=settings, problem=problem, trace=trace, seconds=dict(prepared.seconds))
