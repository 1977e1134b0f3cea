"""`python -m benchmarks quality`: run rows on cases, resumably and in several processes."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.cases import Case, Condition, World, under
from benchmarks.measures import figures_of
from benchmarks.rows import CLASSICAL_ROWS, MODEL_ROWS, TELLING_ROWS
from benchmarks.table import KEYS, Score
from benchmarks.worlds import MAKERS
from flowedit.model import VideoModel
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, build_pipeline
from flowedit.tiny.splits import Split
from flowedit.wan.adapter import Trained, WanVideo
from flowedit.wan.checkpoints import TINY

Place = tuple[World, int]
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class QualityPlan:
    """What to run.

    Attributes:
        rows: names of rows; see `benchmarks.rows`.
        scenes: cases per world.
        worlds: which worlds.
        conditions: which keyframe conditions; rows are run under each.
        split: held-out test scenes, or the validation scenes on which defaults are chosen.
        weights: folder of the model's.
    """

    rows: tuple[str, ...] = TELLING_ROWS
    scenes: int = 12
    worlds: tuple[World, ...] = tuple(World)
    conditions: tuple[Condition, ...] = tuple(Condition)
    split: Split = Split.TEST
    weights: Path = WEIGHTS

    def places(self) -> list[Place]:
        """World and number of every scene."""
        return [(world, number) for number in range(self.scenes) for world in self.worlds]


def run_quality(plan: QualityPlan, known: Iterable[Score] = (), *, jobs: int = 1) -> Iterator[list[Score]]:
    """Every row on every case that is not among the known scores, scene by scene.

    Args:
        plan: what to run.
        known: scores of earlier runs; those of a model row count for the weights that they were made with.
        jobs: processes, each with a model of its own.
    """
    had = {_key(score) for score in known}
    if jobs == 1:
        yield from (scores_of(plan, place, had) for place in plan.places())
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (threads,)) as pool:
        waiting = [pool.submit(scores_of, plan, place, had) for place in plan.places()]
        try:
            yield from (ready.result() for ready in as_completed(waiting))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def scores_of(plan: QualityPlan, place: Place, had: Collection[Key] = ()) -> list[Score]:
    """Every row on a scene, under each condition, whose key is not there; the scene is made where one is missing."""
    world, scene = place
    of = {"split": str(plan.split), "world": str(world), "scene": scene}
    wanted = {row: "" if row in CLASSICAL_ROWS else weights_of(plan.weights) for row in plan.rows}
    rows = [{**of, "row": row, "weights": mark} for row, mark in wanted.items()]
    if all(_key({**row, "condition": str(kind), "draw": 0}) in had for row in rows for kind in plan.conditions):
        return []
    exact, scores = MAKERS[world](scene, plan.split), list[Score]()
    for case in (case for condition in plan.conditions for case in under(exact, condition)):
        for row in rows:
            score = {**row, "family": case.family, "condition": str(case.condition), "draw": case.draw}
            if _key(score) not in had:
                scores.append(score | figures_of(case, _edited(row, case, plan)))
    return scores


def _key(score: Score) -> Key:
    """What tells a score from all others; a scene has one family."""
    return tuple(str(score[name]) for name in KEYS if name != "family")


def _edited(row: Score, case: Case, plan: QualityPlan) -> np.ndarray:
    name = row["row"]
    return MODEL_ROWS[name](case, small_model(plan.weights)) if row["weights"] else CLASSICAL_ROWS[name](case)


@cache
def weights_of(folder: Path) -> str:
    """What tells a model's scores from those of other weights: the beginning of a hash."""
    files = b"".join((folder / name).read_bytes() for name in (VAE_FILE, DIT_FILE))
    return hashlib.sha256(files).hexdigest()[:8]


@cache
def small_model(weights: Path) -> VideoModel:
    """The small model with the weights of a folder, on the GPU where there is one."""
    pipe = build_pipeline("cuda" if torch.cuda.is_available() else "cpu", weights=weights)
    return WanVideo(pipe, name=TINY, trained=Trained(refines=True))
