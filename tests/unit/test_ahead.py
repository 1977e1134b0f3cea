"""Reading and guessing before torch is there: bad input is answered at once, and the edit is the same as without."""

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import flowedit
from flowedit import ahead
from flowedit import run as runner
from flowedit.ahead import Ahead, EditRequest
from flowedit.errors import KeyframeError
from flowedit.estimate import estimate
from flowedit.media.clip import write_image, write_video
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.tiny.load import random_pipeline
from flowedit.wan.adapter import Trained, WanVideo


@pytest.fixture
def request_of(tmp_path):
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
    write_video(tmp_path / "clip.mp4", frames, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - frames[0])

    def make(settings=None, index=0, **changes):
        return EditRequest(
            video=tmp_path / "clip.mp4",
            keyframes=[(index, tmp_path / "key.png")],
            output=tmp_path / "out",
            settings=settings or preset_settings("tiny"),
            **{"size": (64, 64), **changes},
        )

    return make


SCRIPT = """
import sys
from flowedit.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*(name for name in ("torch", "diffsynth") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "64"], "frame 64"),
        (["--at", "0", "--frames", "8"], "4n + 1"),
        (["--at", "0", "--size", "65x64"], "65"),
        (["--at", "0", "--steps", "0"], "steps"),
        (["--at", "0", "--method", "magic"], "magic"),
        (["--at", "0", "-o", "clip.mp4"], "clip.mp4"),
    ],
)
def test_bad_input_is_answered_without_torch(request_of, tmp_path, arguments, words):
    request_of()
    given = ["edit", "clip.mp4", "-k", "key.png", *arguments, *([] if "-o" in arguments else ["-o", "out"])]
    root = Path(flowedit.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert words in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert run.stdout.split() == []


def test_the_guess_made_ahead_is_the_editors(request_of):
    request = request_of()
    made = Ahead(request).estimate()
    job = ahead.read_job(request)
    here = estimate(job.frames, {keyframe.index: keyframe.image for keyframe in job.keyframes})
    assert np.array_equal(made.frames, here.frames)


@pytest.mark.parametrize(
    "settings",
    [EditSettings(method="colour-map"), EditSettings(method="difference")],
    ids=["classical", "source"],
)
def test_no_guess_is_made_that_nobody_wants(request_of, monkeypatch, settings):
    monkeypatch.setattr(ahead, "_started", lambda: pytest.fail("a guess was begun"))
    assert Ahead(request_of(settings)).estimate is None


def test_several_windows_make_their_own_guess(request_of, monkeypatch):
    monkeypatch.setattr(ahead, "model_defaults", lambda name: replace(runner.model_defaults(name), window=5))
    assert Ahead(request_of(num_frames=9)).estimate is None


def test_the_process_ends_with_a_request_that_is_refused(request_of, monkeypatch):
    started, make = [], ahead._started
    monkeypatch.setattr(ahead, "_started", lambda: started.append(make()) or started[-1])
    with pytest.raises(KeyframeError):
        Ahead(request_of(index=64))
    gc.collect()
    assert started[0].wait(20) == -9


def test_a_process_that_fails_is_made_up_for(request_of, monkeypatch):
    monkeypatch.setattr(ahead.sys, "executable", "/bin/false")
    request = request_of()
    job = ahead.read_job(request)
    here = estimate(job.frames, {keyframe.index: keyframe.image for keyframe in job.keyframes})
    assert np.array_equal(Ahead(request).estimate().frames, here.frames)


def test_an_error_of_the_guess_is_seen_where_it_is_wanted(request_of, monkeypatch):
    monkeypatch.setattr(ahead.sys, "executable", "/bin/false")
    monkeypatch.setattr(ahead, "estimate", lambda *_: (_ for _ in ()).throw(KeyframeError("no guess.")))
    begun = Ahead(request_of())
    with pytest.raises(KeyframeError, match="no guess"):
        begun.estimate()


def test_a_run_from_what_was_made_ahead_is_the_same(request_of, monkeypatch):
    monkeypatch.setattr(
        runner, "load_model", lambda name: WanVideo(random_pipeline(0), name=name, trained=Trained(repairs=True))
    )
    whole = runner.run_edit(request_of())
    begun = Ahead(request_of(overwrite=True))
    asked = []
    take = begun.estimate
    begun.estimate = lambda: asked.append(True) or take()
    monkeypatch.setattr("flowedit.preparation.estimate_of", lambda *_: pytest.fail("it was made twice"))
    ours = runner.run_edit(request_of(overwrite=True), ahead=begun)
    assert asked == [True]
    assert np.array_equal(ours.result.frames, whole.result.frames)
    assert ours.result.seconds["total"] > 0
