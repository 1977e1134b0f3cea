"""`python -m benchmarks quality`: run rows on cases, resumably and in several processes."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.cases import (
    EXAM_SCENES,
    EXAM_STYLES,
    FRAMES,
    Case,
    Condition,
    World,
    exam_case,
    film_case,
    natural_case,
    own_case,
    under,
)
from benchmarks.memory import Remembering
from benchmarks.rows import ROWS
from benchmarks.score import figures_of
from benchmarks.table import Score
from flowedit.errors import SettingError
from flowedit.model import VideoModel
from flowedit.tiny.splits import Split

_MAKERS = {World.OWN: own_case, World.NATURAL: natural_case, World.FILM: film_case}
Known = Mapping[tuple[str, str, int, str], Score]
"""Scores that a store holds already, by row, world, scene and condition."""


@dataclass(frozen=True, kw_only=True)
class QualityPlan:
    """What to run.

    Attributes:
        rows: names of rows; see `benchmarks.rows.ROWS`.
        scenes: cases per world.
        first: number of the first scene, so that a run can be split over machines.
        worlds: which worlds.
        conditions: which keyframe conditions; rows are run under each.
        split: held-out test scenes, or the validation scenes on which defaults are chosen.
        exam: folder of the frozen reference world; needed for that world alone.
        weights: SHA-256 of each weight file of the model, so that a store knows whose scores it holds.
    """

    rows: tuple[str, ...]
    scenes: int = 24
    first: int = 0
    worlds: tuple[World, ...] = (World.OWN,)
    conditions: tuple[Condition, ...] = (Condition.EXACT, Condition.DISAGREEING)
    split: Split = Split.TEST
    exam: Path | None = None
    weights: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse rows that do not exist and an exam without its folder."""
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise SettingError(f"There is no row {unknown[0]!r}; rows: {', '.join(ROWS)}.")
        if self.scenes < 1:
            raise SettingError(f"scenes is {self.scenes}; a benchmark needs at least 1.")
        if World.EXAM in self.worlds and self.exam is None:
            raise SettingError("The exam world needs its folder; give it with --exam, or leave the world out.")

    def places(self) -> list[tuple[World, int]]:
        """World and number of every scene."""
        numbers = range(self.first, self.first + self.scenes)
        styles = range(0, EXAM_SCENES * len(EXAM_STYLES), EXAM_SCENES)
        exam = [style + number for style in styles for number in numbers if number < EXAM_SCENES]
        return [(world, number) for world in self.worlds for number in (exam if world is World.EXAM else numbers)]

    def cases(self, world: World, number: int) -> list[Case]:
        """A scene under every condition that is wanted."""
        if world is World.EXAM and self.exam is not None:
            exact = exam_case(self.exam, number)
        else:
            exact = _MAKERS[world](number, self.split)
        return [under(exact, condition) for condition in self.conditions]


def run_quality(
    plan: QualityPlan, load: Callable[[], VideoModel], *, store: Path | None = None, jobs: int = 1
) -> Iterator[Score]:
    """Every row on every case, those of the store first read and not run again.

    Rows share what they encode and decode, so only the first case tells their seconds, and only where nothing else
    runs beside it; the others have NaN there.

    Args:
        plan: what to run.
        load: gives the video model; each process calls its own.
        store: JSON-lines file of finished scores; a run that was stopped goes on from it. None keeps nothing.
        jobs: processes, each with a model of its own.

    Raises:
        SettingError: the store holds scores of another split or other weights.
    """
    if store:
        _claim(store, plan)
    known = {_key(score): score for score in load_scores(store)} if store else {}
    made = _in_turn(plan, load(), known) if jobs == 1 else _side_by_side(plan, load, known, jobs)
    for score in made:
        if store and _key(score) not in known:
            with store.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(score)) + "\n")
        yield score


def _claim(store: Path, plan: QualityPlan) -> None:
    """Write at the head of a new store what its scores are of; refuse a store of something else."""
    head = json.dumps({"of": {"split": str(plan.split), "weights": dict(plan.weights)}})
    if not store.exists() or not store.stat().st_size:
        store.write_text(head + "\n", encoding="utf-8")
        return
    with store.open(encoding="utf-8") as stream:
        first = stream.readline()
    if first.rstrip("\n") != head:
        raise SettingError(f"{store} holds scores of another split or other weights; give another --out or delete it.")


def load_scores(store: Path) -> list[Score]:
    """The scores of a store, without its head and an unfinished last line."""
    scores = []
    for line in store.read_text(encoding="utf-8").splitlines() if store.exists() else []:
        try:
            read = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "row" in read:
            scores.append(Score(**read))
    return scores


def _in_turn(plan: QualityPlan, model: VideoModel, known: Known) -> Iterator[Score]:
    remembering = Remembering(model)
    for number, place in enumerate(plan.places()):
        for first, case in enumerate(plan.cases(*place)):
            timed = number == first == 0
            yield from _scores(plan, case, model if timed else remembering, known, timed=timed)


def _side_by_side(plan: QualityPlan, load: Callable[[], VideoModel], known: Known, jobs: int) -> Iterator[Score]:
    context, threads = get_context("spawn"), max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _begin, (plan, load, threads)) as pool:
        waiting = [pool.submit(_place_scores, place, known) for place in plan.places()]
        try:
            for ready in as_completed(waiting):
                yield from ready.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_own: dict[str, Any] = {}
"""What a process of its own has loaded: the plan and the model."""


def _begin(plan: QualityPlan, load: Callable[[], VideoModel], threads: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    _own.update(plan=plan, model=Remembering(load()))


def _place_scores(place: tuple[World, int], known: Known) -> list[Score]:
    plan: QualityPlan = _own["plan"]
    return [score for case in plan.cases(*place) for score in _scores(plan, case, _own["model"], known)]


def _scores(plan: QualityPlan, case: Case, model: VideoModel, known: Known, *, timed: bool = False) -> Iterator[Score]:
    """Every row on one case, as far as it is not known."""
    for row in plan.rows:
        key = (row, str(case.world), case.scene, str(case.condition))
        yield known[key] if key in known else _score(plan, row, case, model, timed=timed)


def _score(plan: QualityPlan, row: str, case: Case, model: VideoModel, *, timed: bool) -> Score:
    begun = time.perf_counter()
    edited = ROWS[row](case, model)
    seconds = (time.perf_counter() - begun) / FRAMES
    return Score(
        split=str(plan.split),
        row=row,
        world=str(case.world),
        scene=case.scene,
        family=case.family,
        condition=str(case.condition),
        figures={**figures_of(case, edited), "seconds_per_frame": seconds if timed else math.nan},
    )


def _key(score: Score) -> tuple[str, str, int, str]:
    return score.row, score.world, score.scene, score.condition
