"""Advice after an edit: each sentence comes with its trigger, only with it, and says what is true of the run."""

import html
import math
from dataclasses import replace

import numpy as np
import pytest
from small_tiny import random_pipeline
from test_cli import run

from flowedit.edit.result import EditResult
from flowedit.keyframes import Keyframe
from flowedit.media.clip import write_image, write_video
from flowedit.run import editing
from flowedit.run.advice import advise
from flowedit.settings import EditSettings
from flowedit.trace import FIELDS, StepTrace, Trace
from flowedit.wan.adapter import Trained, WanVideo


def edited(*gaps, clip=None, images=None, at=None, settings=None):
    """An edit of five frames, grey if none are given, whose keyframes were reached up to these gaps."""
    clip = np.full((5, 16, 16, 3), 90, np.uint8) if clip is None else clip
    at = at or (0, 4)
    images = [clip[i] for i in at] if images is None else images
    readings = {**dict.fromkeys(FIELDS, (0.1, 0.1)), "gap_norm": gaps}
    step = StepTrace(step=0, sigma=1.0, sigma_next=0.0, kappa=0.5, **readings)
    return EditResult(
        frames=clip,
        source=clip,
        keyframes=tuple(Keyframe(i, image) for i, image in zip(at, images, strict=bool(images))),
        settings=settings or EditSettings(),
        model="tiny",
        trace=Trace(keyframes=at, slots=tuple(range(len(at))), steps=[step] if gaps else []),
    )


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ((0.5, 0.1), "Keyframe 0 was not reached: 50%"),
        ((math.nan, 0.4), "Keyframe 4 was not reached: 40%"),
        ((1.3, 0.1), "all of the style change, or more, is missing"),
        ((math.nan, 0.1), None),
        ((math.nan, math.nan), None),
        ((0.1, 0.2), None),
    ],
)
def test_the_keyframe_that_was_missed_is_named(gaps, said):
    """Catches NaN, which counts as the largest, taken for the worst gap, and a share of 130 %."""
    found = [sentence for sentence in advise(edited(*gaps)) if "was not reached" in sentence]
    assert len(found) == (said is not None)
    assert not found or (said in found[0] and "130" not in found[0])


@pytest.mark.parametrize(
    ("changes", "told", "untold"),
    [
        ({"alpha": 4.0, "strength": 0.6}, ("Raise alpha (now 4)", "raise strength (now 0.6)"), ("kappa",)),
        ({"kappa": 0.3}, ("Raise kappa (now 0.3)",), ("alpha",)),
        ({"kappa": 1.0}, ("Raise strength (now 0.8)",), ("alpha", "kappa")),
        ({"kappa": 1.0, "strength": 1.0, "method": "difference"}, ("there. Add a keyframe",), ("aise",)),
    ],
)
def test_a_high_gap_names_the_settings_that_were_read_and_can_be_raised(changes, told, untold):
    """Catches alpha named where kappa replaced it, and a strength of 1 to be raised."""
    (said,) = [s for s in advise(edited(0.5, 0.1, settings=EditSettings.of(**changes))) if "was not reached" in s]
    assert all(words in said for words in (*told, "dd a keyframe near it."))
    assert not [words for words in untold if words in said]


def test_nothing_is_said_of_gaps_where_the_method_reads_none():
    refined = edited(at=(0, 4), settings=EditSettings(method="refine"))
    step = StepTrace(step=0, sigma=1.0, sigma_next=0.0, kappa=0.0, **dict.fromkeys(FIELDS, ()))
    assert advise(replace(refined, trace=Trace(keyframes=(), slots=(), steps=[step]))) == advise(refined)


def scene(*brightness, size=32):
    """Five frames of one random texture; the last may be lit otherwise."""
    texture = np.random.default_rng(0).integers(20, 120, (size, size, 3))
    lit = brightness or (1.0, 1.0)
    return np.stack([np.rint(texture * lit[0 if i < 4 else 1]) for i in range(5)]).astype(np.uint8)


def drifting(clip, *images, at=None):
    return [s for s in advise(edited(0.1, 0.1, clip=clip, images=images, at=at)) if "different colours" in s]


def test_keyframes_that_ask_for_different_colours_are_named():
    clip = scene()
    (said,) = drifting(clip, clip[0], clip[2] + np.uint8(4), clip[4] + np.uint8(60), at=(0, 2, 4))
    assert "Keyframes 2 and 4 " in said
    assert "apart by 56 of 255 levels" in said


def test_keyframes_of_one_style_do_not_drift_and_a_lone_one_cannot():
    """Catches the change of the scene's own light taken for a change of style: a dark frame turns brighter inverted."""
    clip = scene(0.5, 1.8)
    assert abs(clip[0].mean() - clip[4].mean()) > 60
    assert not drifting(clip, 255 - clip[0], 255 - clip[4])
    assert not drifting(clip, clip[0], clip[4] + np.uint8(8))
    assert not drifting(clip, clip[0] + np.uint8(60), at=(0,))


def test_advice_reaches_the_terminal_and_the_report(tmp_path, monkeypatch, capsys):
    """Catches advice that is figured and shown nowhere."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(
        editing, "load_model", lambda name, **_: WanVideo(random_pipeline(0), name=name, trained=Trained(refines=True))
    )
    clip = scene(size=8).repeat(8, axis=1).repeat(8, axis=2)
    write_video(tmp_path / "clip.mp4", clip, 25, lossless=True)
    keys = []
    for index in (0, 4):
        write_image(tmp_path / f"key-{index}.png", clip[index] + np.uint8(15 * index))
        keys += ["-k", tmp_path / f"key-{index}.png"]
    assert run("edit", tmp_path / "clip.mp4", *keys, "--at", "0,4", "--size", "64x64", "-o", tmp_path / "out") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("advice: ")]
    (line,) = [line for line in lines if "ask for different colours" in line]
    assert html.escape(line.removeprefix("advice: ")) in (tmp_path / "out" / "report.html").read_text()
