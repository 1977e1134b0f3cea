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

import cv2
import torch

from benchmarks.cases import Case, Condition, World, under
from benchmarks.rows import ROWS
from benchmarks.score import figures_of
from benchmarks.table import Score
from benchmarks.worlds import EXAM_SCENES, EXAM_STYLES, exam_cases, film_case, natural_case, own_case
from flowedit.errors import SettingError
from flowedit.model import VideoModel
from flowedit.tiny.load import build_pipeline
from flowedit.tiny.splits import Split
from flowedit.wan.adapter import Trained, WanVideo
from flowedit.wan.checkpoints import TINY

_MAKERS = {World.OWN: own_case, World.NATURAL: natural_case, World.FILM: film_case}
Known = Mapping[tuple[str, ...], Score]
"""Scores that a store holds already, by `Score.key`."""


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
        """World and number of every scene; the reference world has a limited number in each of its styles."""
        numbers = range(self.first, self.first + self.scenes)
        exam = [style * EXAM_SCENES + n for style in range(len(EXAM_STYLES)) for n in numbers if n < EXAM_SCENES]
        return [(world, number) for world in self.worlds for number in (exam if world is World.EXAM else numbers)]

    def cases(self, world: World, number: int) -> list[Case]:
        """A scene under every condition that is wanted."""
        if world is World.EXAM and self.exam is not None:
            exact = exam_cases(self.exam)[number]
        else:
            exact = _MAKERS[world](number, self.split)
        return [under(exact, condition) for condition in self.conditions]


def load_small(weights: Path) -> VideoModel:
    """The small model with the weights of a folder, on the GPU where there is one."""
    pipe = build_pipeline("cuda" if torch.cuda.is_available() else "cpu", weights=weights)
    return WanVideo(pipe, name=TINY, trained=Trained(refines=True))


def run_quality(
    plan: QualityPlan, load: Callable[[], VideoModel], *, store: Path | None = None, jobs: int = 1
) -> Iterator[Score]:
    """Every row on every case, those of the store not run again.

    Args:
        plan: what to run.
        load: gives the video model; each process calls its own.
        store: JSON-lines file of finished scores; a run that was stopped goes on from it. None keeps nothing.
        jobs: processes, each with a model of its own; seconds are known where there is one.

    Raises:
        SettingError: the store holds scores of another split or other weights.
    """
    known = {score.key: score for score in _claim(store, plan)} if store else {}
    for score in _in_turn(plan, load(), known) if jobs == 1 else _side_by_side(plan, load, known, jobs):
        if store and score.key not in known:
            with store.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(score)) + "\n")
        yield score


def _claim(store: Path, plan: QualityPlan) -> list[Score]:
    """The scores of a store of this split and these weights; a new one gets a head that says whose it is."""
    head = json.dumps({"of": {"split": str(plan.split), "weights": dict(plan.weights)}})
    if not store.exists() or not store.stat().st_size:
        store.write_text(head + "\n", encoding="utf-8")
    first, *lines = store.read_text(encoding="utf-8").splitlines(keepends=True)
    if first.rstrip("\n") != head:
        raise SettingError(f"{store} holds scores of another split or other weights; give another --out or delete it.")
    whole = [line for line in lines if line.endswith("\n")]  # the last one may have been cut off
    store.write_text("".join([first, *whole]), encoding="utf-8")
    return [Score(**json.loads(line)) for line in whole]


def _in_turn(plan: QualityPlan, model: VideoModel, known: Known) -> Iterator[Score]:
    for place in plan.places():
        yield from _scores(plan, place, model, known)


def _side_by_side(plan: QualityPlan, load: Callable[[], VideoModel], known: Known, jobs: int) -> Iterator[Score]:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (load, threads)) as pool:
        waiting = [pool.submit(_place_scores, plan, place, known) for place in plan.places()]
        try:
            for ready in as_completed(waiting):
                yield from ready.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_own: list[VideoModel] = []
"""The model of a process of its own."""


def _begin(load: Callable[[], VideoModel], threads: int) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    _own.append(load())


def _place_scores(plan: QualityPlan, place: tuple[World, int], known: Known) -> list[Score]:
    return list(_scores(plan, place, _own[0], known, timed=False))


def _scores(
    plan: QualityPlan, place: tuple[World, int], model: VideoModel, known: Known, *, timed: bool = True
) -> Iterator[Score]:
    """Every row on a scene, under each condition, as far as it is not known."""
    for case in plan.cases(*place):
        for row in plan.rows:
            score = Score(
                split=str(plan.split),
                row=row,
                world=str(case.world),
                scene=case.scene,
                family=case.family,
                condition=str(case.condition),
            )
            if score.key in known:
                yield known[score.key]
                continue
            begun = time.perf_counter()
            edited = ROWS[row](case, model)
            seconds = (time.perf_counter() - begun) / len(case.frames) if timed else math.nan
            score.figures.update(figures_of(case, edited), seconds_per_frame=seconds)
            yield score
