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
    """Name and settings of every combination, such as `alpha-5-seed-3`.

    Args:
        settings: of every run.
        alphas: rates of the correction, in place of the settings' own; empty leaves that.
        seeds: seeds of the noise, likewise.
    """
    rates = [(f"alpha-{alpha:g}", {"alpha": alpha}) for alpha in alphas] or [("", {})]
    draws = [(f"seed-{seed}", {"seed": seed}) for seed in seeds] or [("", {})]
    return [
        ("-".join(name for name in (one, two) if name), settings.with_(**alpha, **seed))
        for (one, alpha), (two, seed) in product(rates, draws)
    ]


def varied(prepared: "PreparedEdit", settings: EditSettings) -> "PreparedEdit":
    """A prepared edit under settings that differ in its noise or in how strongly it corrects, and in nothing else.

    Args:
        prepared: encoded under other settings; left as it is.
        settings: those of the new run.

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
    return replace(
        prepared,
        settings=settings,
        problem=problem,
        trace=replace(prepared.trace, alpha=settings.alpha, steps=[]),
        seconds=dict(prepared.seconds),
    )
