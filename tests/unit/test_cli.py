"""The command line end to end: what it writes, what it refuses, and what an interruption leaves."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import typer

from flowedit import run as runner
from flowedit import windows
from flowedit.cli.main import main
from flowedit.media.clip import probe, read_image, read_video, write_image, write_video
from flowedit.presets import model_defaults
from flowedit.tiny.load import WEIGHTS, random_pipeline
from flowedit.wan.adapter import Trained, WanVideo

WRITTEN = {"edited.mp4", "comparison.mp4", "contact-sheet.png", "trace.csv", "run.json", "report.html"}


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """The same architecture with random weights and four channels: a run takes seconds."""
    monkeypatch.setattr(
        runner, "load_model", lambda name: WanVideo(random_pipeline(0), name=name, trained=Trained(repairs=True))
    )


@pytest.fixture
def job(tmp_path):
    """A clip of 21 frames at 30000/1001, and two keyframes."""
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (21, 8, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
    write_video(tmp_path / "clip.mp4", frames, Fraction(30000, 1001))
    for index in (0, 16):
        write_image(tmp_path / f"key-{index:04d}.png", 255 - frames[index])
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


def edit(job, *more, out="out", at="0,16", keys=("key-0000.png", "key-0016.png")):
    given = [part for key in keys for part in ("-k", job / key)]
    return run("edit", job / "clip.mp4", *given, "--at", at, "-o", job / out, "--steps", 2, "--size", "64x64", *more)


def test_a_run_leaves_every_file_whole(job):
    assert edit(job, "--method", "difference", "--strength", "1") == 0
    folder = job / "out"
    assert {path.name for path in folder.iterdir()} == WRITTEN
    info = probe(folder / "edited.mp4")
    assert (info.num_frames, info.fps, info.height, info.width) == (21, Fraction(30000, 1001), 64, 64)
    rows = list(csv.DictReader((folder / "trace.csv").open()))
    assert [(row["step"], row["keyframe"]) for row in rows] == [("0", "0"), ("0", "16"), ("1", "0"), ("1", "16")]
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["settings"]["method"] == "difference"
    assert manifest["frame_map"][16] == {"source_frame": 16, "clip_frame": 16, "latent_slot": 4}
    assert len(manifest["source"]["sha256"]) == 64
    assert set(manifest["checkpoints"]) == {path.name for path in WEIGHTS.glob("*.safetensors")}
    assert manifest["peak_memory_mb"] > 100


def test_the_report_needs_no_other_file_and_no_network(job):
    assert edit(job) == 0
    page = (job / "out" / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert '<svg role="img"' in page
    assert not [word for word in ("http://", "https://", 'src="edited', "@import") if word in page]


def test_a_later_window_takes_its_own_frames(job):
    assert edit(job, "--start", 4, "--frames", 17, "--method", "propagation", "--lossless") == 0
    edited = read_video(job / "out" / "edited.mp4").frames
    assert len(edited) == 17
    np.testing.assert_array_equal(edited[0], read_image(job / "key-0000.png"), err_msg="keyframe 0 is not at clip 0")
    assert json.loads((job / "out" / "run.json").read_text())["frame_map"][0]["source_frame"] == 4


def test_two_runs_with_one_seed_agree_and_another_seed_differs(job):
    settings = ("--method", "coupled", "--lossless", "--detail", "plain")
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert edit(job, *settings, "--seed", seed, out=name) == 0
        runs[name] = read_video(job / name / "edited.mp4").frames
    np.testing.assert_array_equal(runs["a"], runs["b"])
    assert (runs["a"] != runs["c"]).mean() > 0.05


def test_sound_comes_along(job):
    with av.open(job / "sound.mp4", "w") as file:
        picture = file.add_stream("libx264", rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = file.add_stream("aac", rate=8000)
        for index in range(21):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index * 10, np.uint8))
            file.mux(picture.encode(frame))
        tone = (np.sin(np.arange(16800) * 0.3) * 8000).astype(np.int16)[None]
        samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        samples.rate = 8000
        file.mux([*picture.encode(None), *sound.encode(samples), *sound.encode(None)])
    (job / "clip.mp4").unlink()
    (job / "sound.mp4").rename(job / "clip.mp4")
    assert edit(job, "--start", 4, "--method", "propagation") == 0
    info = probe(job / "out" / "edited.mp4")
    assert info.has_audio
    assert info.num_frames == 17


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--alpha", "-1"), "alpha is -1.0; it must be at least 0"),
        (("--steps", "0"), "steps is 0; it must be"),
        (("--strength", "1.5"), "strength is 1.5; it must be in (0, 1]"),
        (("--beta", "2"), "beta is 2.0; it must be in [0, 1]"),
        (("--frames", "20"), "got 20. Use 17 or 21"),
        (("--frames", "33"), "33 frames from frame 0 reach past the video's 21; use at most 21"),
        (("--size", "60x64"), "got 60x64"),
        (("--method", "magic"), "method is 'magic'; use one of coupled"),
        (("--preset", "best"), "preset is 'best'; use one of default"),
        (("--style", "anime"), "one of the two"),
        (("--alpha", "5", "--kappa", "0.3"), "alpha is 5.0 and kappa is 0.3; a share per step takes the place of the"),
        (("--alpha", "10", "--kappa", "0.3"), "alpha is 10.0 and kappa is 0.3; "),
        (("--model", "2B"), "There is no checkpoint '2B'"),
    ],
)
def test_nonsense_is_one_line_with_status_2_and_writes_nothing(job, capsys, arguments, message):
    assert edit(job, *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert not (job / "out").exists()


def test_a_share_alone_takes_the_place_of_the_presets_rate(job):  # catches: a refusal that nobody can heed
    assert edit(job, "--kappa", "0.3") == 0
    chosen = json.loads((job / "out" / "run.json").read_text())["settings"]
    assert (chosen["kappa"], chosen["alpha"]) == (0.3, None)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("edit", "clip.mp4", "-o", "x", "--steps", "abc"),
            "--steps is 'abc'; it must be a whole number. See flowedit edit --help.",
        ),
        (
            ("edit", "clip.mp4", "-o", "x", "--alpha", "much"),
            "--alpha is 'much'; it must be a number. See flowedit edit --help.",
        ),
        (
            ("style", "clip.mp4", "-o", "x", "--max-frames", "1.5"),
            "--max-frames is '1.5'; it must be a whole number. See flowedit style --help.",
        ),
        (
            ("doctor", "--keyframes", "-1"),
            "--keyframes is '-1'; it must be greater than or equal to 0. See flowedit doctor --help.",
        ),
        (
            ("edit", "c.mp4", "-o", "o", "--steps", "x"),
            "--steps is 'x'; it must be a whole number. See flowedit edit --help.",
        ),
        (("edit", "clip.mp4"), "Missing option '--output' / '-o'. See flowedit edit --help."),
        (("models", "show"), "Missing argument 'name'. See flowedit models show --help."),
        (
            ("edit", "clip.mp4", "--stepz", "3"),
            "No such option: --stepz (Possible options: --steps, --style, --sweep). See flowedit edit --help.",
        ),
        (("edit", "clip.mp4", "-o", "x", "--steps"), "Option '--steps' requires an argument. See flowedit --help."),
        (("improve",), "No such command 'improve'. See flowedit --help."),
        (("doctor", "now"), "Got unexpected extra argument(s) (now). See flowedit doctor --help."),
    ],
)
def test_a_wrong_command_line_is_one_line_with_status_2(capsys, arguments, line):  # catches: usage and a box around it
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"flowedit: {line}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--sweep", "2,10", "--alpha", "5"),
            "--alpha is 5.0 beside --sweep 2,10, which gives each run an alpha of its own. "
            "Leave out --alpha or --sweep.",
        ),
        (
            ("--sweep", "2,10", "--kappa", "0.5"),
            "--kappa is 0.5 beside --sweep 2,10, which gives each run an alpha of its own. "
            "Leave out --kappa or --sweep.",
        ),
        (
            ("--seeds", "1,2", "--seed", "0"),
            "--seed is 0 beside --seeds 1,2, which gives each run a seed of its own. Leave out --seed or --seeds.",
        ),
    ],
)
def test_a_setting_that_is_swept_is_not_also_given(job, capsys, arguments, line):  # catches: a wish silently dropped
    assert edit(job, *arguments) == 2
    assert capsys.readouterr().err == f"flowedit: {line}\n"
    assert not (job / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 2), (("models",), 2), (("--help",), 0), (("edit", "--help"), 0)]
)
def test_help_stays_help(capsys, arguments, status):  # catches: a page of help pressed into a line
    assert run(*arguments) == status
    said = "".join(capsys.readouterr())
    assert "Options:\n" in said
    assert said.startswith("Usage: flowedit")


def test_a_question_without_an_answer_is_one_line_with_status_1(capsys, monkeypatch):
    monkeypatch.setattr("flowedit.cli.main.app", lambda **_: (_ for _ in ()).throw(typer.Abort()))
    assert run("style") == 1
    assert capsys.readouterr().err == "flowedit: a question was left without an answer; nothing was done.\n"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("0,21", "Keyframe 21 is outside the clip; its frames are 0 to 20"),
        ("16,0", "give the indices in increasing order"),
        ("3,4", "Keyframes 3 and 4 lie in one latent slot"),
        ("0,0", "Keyframe 0 is given twice"),
        ("0", "2 keyframe images came with 1 indices"),
    ],
)
def test_keyframes_that_do_not_fit_are_named(job, capsys, at, message):
    assert edit(job, at=at) == 2
    assert message in capsys.readouterr().err
    assert not (job / "out").exists()


def test_unreadable_video_is_named(job, capsys):
    (job / "clip.mp4").write_bytes(b"not a video")
    assert edit(job) == 2
    assert "clip.mp4" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_with_a_run_is_kept_unless_told(job, capsys):
    assert edit(job, "--method", "propagation") == 0
    before = (job / "out" / "run.json").read_bytes()
    assert edit(job, "--method", "colour-map") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (job / "out" / "run.json").read_bytes() == before
    assert edit(job, "--method", "colour-map", "--overwrite") == 0
    assert (job / "out" / "run.json").read_bytes() != before


def test_interruption_keeps_the_trace_and_leaves_no_video(job, monkeypatch, capsys):
    steps = runner.edit_steps

    def interrupted(*given):
        yield next(steps(*given))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "edit_steps", interrupted)
    assert edit(job) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "flowedit: interrupted"
    assert {path.name for path in (job / "out").iterdir()} == {"trace.csv", "stopped.json"}
    assert len((job / "out" / "trace.csv").read_text().splitlines()) == 3
    assert json.loads((job / "out" / "stopped.json").read_text())["steps_done"] == 1


@pytest.mark.parametrize("stop", ["edit_steps", "finish", "write_video", "contact_sheet", "render_report", "nan"])
def test_a_stopped_run_leaves_an_earlier_one_whole(job, monkeypatch, stop):
    """Catches the trace of one run beside the manifest, the report and the video of another, at every stage."""
    assert edit(job) == 0
    before = {path.name: path.read_bytes() for path in (job / "out").iterdir()}
    with monkeypatch.context() as patch:
        if stop == "nan":
            velocity = WanVideo.velocity
            patch.setattr(WanVideo, "velocity", lambda *given: velocity(*given) * float("nan"))
        else:
            stop_in(patch, stop)
        assert edit(job, "--overwrite", "--seed", 5) == (2 if stop == "nan" else 130)
    after = {path.name: path.read_bytes() for path in (job / "out").iterdir()}
    assert {name: after.pop(name) for name in before} == before
    assert set(after) == {"stopped.json", "stopped-trace.csv"}
    assert edit(job, "--overwrite", "--seed", 5) == 0
    assert {path.name for path in (job / "out").iterdir()} == WRITTEN
    assert json.loads((job / "out" / "run.json").read_text())["settings"]["seed"] == 5


def test_values_that_are_not_finite_stop_the_run_and_name_the_step(job, monkeypatch, capsys):
    velocity = WanVideo.velocity

    def broken(self, latents, sigma, prepared, position_ids):
        return velocity(self, latents, sigma, prepared, position_ids) * (float("nan") if sigma < 0.6 else 1.0)

    monkeypatch.setattr(WanVideo, "velocity", broken)
    assert edit(job, "--strength", "0.5") == 2
    assert "Step 1" in capsys.readouterr().err
    assert not (job / "out" / "edited.mp4").exists()


def test_verbose_prints_a_line_a_step(job, capsys):
    assert edit(job, "-v") == 0
    err = capsys.readouterr().err
    assert "Step 0: r_k=" in err
    assert "Step 1: r_k=" in err


def test_a_long_clip_runs_in_windows(job):
    frames = np.repeat(read_video(job / "clip.mp4").frames[:1], 41, axis=0)
    write_video(job / "clip.mp4", frames, 25)
    assert edit(job, "--frames", 41) == 0
    assert probe(job / "out" / "edited.mp4").num_frames == 41


def test_an_interrupted_long_clip_keeps_its_trace(job, monkeypatch):  # catches: readings lost with the loop
    steps = windows.edit_steps

    def interrupted(*given):
        yield next(steps(*given))
        raise KeyboardInterrupt

    write_video(job / "clip.mp4", np.repeat(read_video(job / "clip.mp4").frames[:1], 41, axis=0), 25)
    monkeypatch.setattr(windows, "edit_steps", interrupted)
    assert edit(job, "--frames", 41) == 130
    assert {path.name for path in (job / "out").iterdir()} == {"trace.csv", "stopped.json"}
    assert json.loads((job / "out" / "stopped.json").read_text())["steps_done"] == 1


def test_outside_the_mask_the_source_is_kept_to_the_last_bit(job):
    """Catches a mask that is read and not applied, or applied before the decode alone."""
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[:, 40:] = 255
    write_image(job / "mask.png", mask)
    for name, more in {"in-one": (), "in-windows": ("--frames", 41)}.items():
        if more:
            write_video(job / "clip.mp4", np.repeat(read_video(job / "clip.mp4").frames[:1], 41, axis=0), 25)
        assert edit(job, "--mask", job / "mask.png", "--lossless", *more, out=name) == 0
        edited, source = (read_video(p).frames for p in (job / name / "edited.mp4", job / "clip.mp4"))
        source = source[: len(edited)]
        np.testing.assert_array_equal(edited[:, :, :40], source[:, :, :40])
        assert (edited[:, :, 40:] != source[:, :, 40:]).mean() > 0.2


def test_latents_outside_the_mask_stay_the_sources(job, monkeypatch):
    """Catches a mask that only hides the edit, so that what lies outside still leads it astray."""
    write_image(job / "mask.png", np.zeros((64, 64, 3), np.uint8))
    ends = []
    finish = runner.finish
    monkeypatch.setattr(runner, "finish", lambda edit, latents: ends.append((edit, latents)) or finish(edit, latents))
    for method in ("coupled", "difference"):
        assert edit(job, "--mask", job / "mask.png", "--method", method, out=method) == 0
        prepared, latents = ends.pop()
        np.testing.assert_allclose(latents, prepared.problem.source, atol=1e-5)


def test_guided_detail_gives_the_sources_own_size(job):
    assert edit(job, "--detail", "guided", "--size", "32x32") == 0
    info = probe(job / "out" / "edited.mp4")
    assert (info.height, info.width) == (64, 64)


def test_an_unusual_setting_is_one_line_beside_the_result(job, capsys):  # catches: a warning with a path in the code
    assert edit(job, "--method", "difference", "--alpha", "30") == 0
    said = capsys.readouterr().err
    assert "warning: alpha is 30.0; 1 to 20 usually works." in said.splitlines()
    assert "presets.py" not in said


ENDS = """
import atexit, sys
from flowedit.cli import main as cli
atexit.register(lambda: print("registered"))
def main():
    {body}
cli.main = main
cli.program()
"""


@pytest.mark.parametrize(
    ("body", "status", "out", "err"),
    [
        ("print('done')", 0, "done\nregistered\n", ""),
        ("sys.exit(3)", 3, "registered\n", ""),
        ("sys.exit('why')", 1, "registered\n", "why\n"),
    ],
)
def test_the_program_ends_at_once_with_its_status_and_all_it_said(body, status, out, err):
    run = subprocess.run(
        [sys.executable, "-c", ENDS.format(body=body)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (status, out, err)


def test_an_error_of_ours_is_not_swallowed():
    command = [sys.executable, "-c", ENDS.format(body="1 / 0")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stderr


def stop_in(monkeypatch, name, after=0):
    """Interrupt the run in its `after`th call of one of the runner's functions."""
    calls = []
    function = getattr(runner, name)

    def interrupted(*given, **named):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*given, **named)

    monkeypatch.setattr(runner, name, interrupted)


@pytest.mark.parametrize("name", ["finish", "write_video", "contact_sheet"])
def test_an_interruption_after_the_steps_keeps_the_trace_too(job, monkeypatch, name):
    stop_in(monkeypatch, name)
    assert edit(job) == 130
    assert len((job / "out" / "trace.csv").read_text().splitlines()) == 5
    assert not (job / "out" / "run.json").exists()


def test_an_interruption_in_a_later_window_keeps_the_trace_so_far(job, monkeypatch):
    monkeypatch.setattr(runner, "model_defaults", lambda name: replace(model_defaults(name), window=13))
    calls = []
    velocity = WanVideo.velocity

    def interrupted(self, *given):
        calls.append(1)
        if len(calls) > 2 * 1 + 1:
            raise KeyboardInterrupt
        return velocity(self, *given)

    monkeypatch.setattr(WanVideo, "velocity", interrupted)
    assert edit(job, "--method", "coupled", "--alpha", "5") == 130
    assert len((job / "out" / "trace.csv").read_text().splitlines()) > 2
    assert json.loads((job / "out" / "stopped.json").read_text())["reason"] == "interrupted"


def test_a_finished_run_does_not_say_that_it_stopped(job, monkeypatch):
    with monkeypatch.context() as patch:
        stop_in(patch, "finish")
        assert edit(job) == 130
    assert (job / "out" / "stopped.json").exists()
    assert edit(job) == 0
    assert not (job / "out" / "stopped.json").exists()


@pytest.mark.parametrize("more", [("--model", "2B"), ("--mask", "none.png"), ("--fit", "half"), ("--pace", "brisk")])
def test_refused_input_leaves_no_folder(job, more):
    assert edit(job, *more) == 2
    assert not (job / "out").exists()


def test_the_choice_of_frames_and_sizes_is_one_line(job, capsys, monkeypatch):
    (job / "clip.mp4").rename(job / "clip[final]-with-a-name-that-is-longer-than-eighty-columns-of-a-terminal.mp4")
    video = next(job.glob("clip*.mp4"))
    assert run("edit", video, "-k", job / "key-0000.png", "--at", 0, "-o", job / "out", "--steps", 1) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "frames 0 to" in line]
    made = json.loads((job / "out" / "run.json").read_text())
    assert line.startswith(video.name)
    assert f"edited at {made['width']}x{made['height']}" in line
    assert f"{made['num_frames']} frames" in line


def test_the_manifest_holds_all_that_was_asked_for(job):
    white = np.full((64, 64, 3), 255, np.uint8)
    write_image(job / "mask.png", white)
    assert edit(job, "--detail", "guided", "--mask", job / "mask.png", "--lossless", "--pace", "plain") == 0
    made = json.loads((job / "out" / "run.json").read_text())
    assert made["request"]["mask"]["name"] == "mask.png"
    assert len(made["request"]["mask"]["sha256"]) == 64
    assert (made["request"]["lossless"], made["request"]["pace"], made["request"]["size"]) == (True, "plain", [64, 64])
    assert (made["output"]["width"], made["output"]["height"]) == (64, 64)
