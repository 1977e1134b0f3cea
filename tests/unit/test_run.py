"""A run from files to files: placed one level lower when memory runs out, and stopped anywhere without harm."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from lora_files import placement_on_cpu
from oracles import Curved
from small_tiny import random_pipeline

from flowedit import models
from flowedit.edit import windows
from flowedit.edit.sweep import combinations
from flowedit.errors import FlowEditError, ModelError, NumericalError, SettingError
from flowedit.media.clip import probe, read_video, resize_image, resize_video, write_image, write_video
from flowedit.presets import model_defaults
from flowedit.run import classical, editing, inputs, outputs
from flowedit.run import job as runner
from flowedit.run.classical import laid_on
from flowedit.runfolder import ANIMATIONS, RUN_FILES
from flowedit.settings import EditSettings
from flowedit.tiny.config import WEIGHTS
from flowedit.wan import encodings, loading

WRITTEN = {"edited.mp4", "comparison.mp4", "contact-sheet.png", "trace.csv", "run.json", "report.html"}
SETTINGS = EditSettings(method="difference", steps=4, strength=1.0)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """A model that is a formula, in place of the small one: it is not the subject."""
    made = Curved()
    made.name = "tiny"
    monkeypatch.setattr(editing, "load_at", lambda placement, request: (made, "pace plain"))
    return made


@pytest.fixture
def clip(tmp_path):
    """21 frames of 64x64 at 30000/1001, and two keyframes."""
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (21, 8, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
    write_video(tmp_path / "clip.mp4", frames, Fraction(30000, 1001))
    for index in (0, 16):
        write_image(tmp_path / f"key-{index}.png", 255 - frames[index])
    return tmp_path / "clip.mp4"


def request(clip, out="out", **changes):
    given = {"settings": SETTINGS, "size": (64, 64), "output": clip.with_name(out), **changes}
    keyframes = [(index, clip.with_name(f"key-{index}.png")) for index in (0, 16)]
    return runner.EditRequest(video=clip, keyframes=keyframes, **given)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_leaves_every_file_whole(clip):
    """Catches a file left out, a rate or size that is not the source's, and a manifest of another run."""
    outcome = runner.run_edit(request(clip))
    folder = outcome.folder
    assert names(folder) == WRITTEN
    info = probe(folder / "edited.mp4")
    assert (info.num_frames, info.fps, info.height, info.width) == (21, Fraction(30000, 1001), 64, 64)
    rows = list(csv.DictReader((folder / "trace.csv").open()))
    assert [(row["step"], row["keyframe"]) for row in rows[:4]] == [("0", "0"), ("0", "16"), ("1", "0"), ("1", "16")]
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["settings"]["method"] == "difference"
    assert manifest["frame_map"][16] == {"source_frame": 16, "clip_frame": 16, "latent_slot": 4, "seconds": 0.533867}
    assert len(manifest["source"]["sha256"]) == 64
    assert set(manifest["checkpoints"]) == {path.name for path in WEIGHTS.glob("*.safetensors")}
    assert manifest["peak_memory_mb"] > 100
    assert manifest["seconds"]["total"] > manifest["seconds"]["decode"] > 0


def test_a_sweep_loads_and_prepares_once_and_fills_a_folder_per_alpha(clip, monkeypatch, model):
    calls = []
    monkeypatch.setattr(editing, "load_at", lambda *_: calls.append("load") or (model, "pace plain"))
    inner = editing.prepare
    monkeypatch.setattr(editing, "prepare", lambda *given: calls.append("prepare") or inner(*given))
    asked = request(clip)
    outcomes = runner.run_edits(asked, combinations(asked.settings, (2.0, 5.5)))
    assert calls == ["load", "prepare"]
    assert [outcome.folder.name for outcome in outcomes] == ["alpha-2", "alpha-5.5"]
    assert [outcome.manifest["settings"]["alpha"] for outcome in outcomes] == [2.0, 5.5]
    assert all(names(outcome.folder) == WRITTEN for outcome in outcomes)
    first, second = (read_video(outcome.folder / "edited.mp4").frames for outcome in outcomes)
    assert not np.array_equal(first, second)


NOT_FINITE = NumericalError("values that are not finite")


def stop_in(monkeypatch, module, name, error=KeyboardInterrupt):
    """Stop the run as it calls a function; a generator of steps after its first step."""
    function = getattr(module, name)

    def stopped(*given, **named):
        if name != "edit_steps":
            raise error
        return one_step(function(*given, **named))

    def one_step(steps):
        yield next(steps)
        raise error

    monkeypatch.setattr(module, name, stopped)


STAGES = [
    (editing, "edit_steps", 1, NOT_FINITE),
    (editing, "finish", 4, KeyboardInterrupt),
    *((outputs, name, 4, KeyboardInterrupt) for name in ("write_video", "contact_sheet", "render_report")),
]


@pytest.mark.parametrize(("module", "name", "steps", "error"), STAGES, ids=[name for _, name, *_ in STAGES])
def test_a_run_that_is_stopped_keeps_its_trace_and_an_earlier_run_whole(clip, monkeypatch, module, name, steps, error):
    """Catches the trace of one run beside the manifest, the report and the video of another, at every stage."""
    folder = clip.with_name("out")
    with monkeypatch.context() as patch:
        stop_in(patch, module, name, error)
        with pytest.raises((KeyboardInterrupt, NumericalError)):
            runner.run_edit(request(clip))
        assert names(folder) == {"trace.csv", "stopped.json"}
        assert len((folder / "trace.csv").read_text().splitlines()) == 1 + 2 * steps
        stopped = json.loads((folder / "stopped.json").read_text())
        assert stopped["steps_done"] == steps
        assert stopped["reason"] == (str(NOT_FINITE) if error is NOT_FINITE else "interrupted")
    runner.run_edit(request(clip))
    assert names(folder) == WRITTEN, "a finished run does not say that it stopped"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        stop_in(patch, module, name, error)
        with pytest.raises((KeyboardInterrupt, NumericalError)):
            runner.run_edit(request(clip, overwrite=True, settings=SETTINGS.with_(seed=5)))
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after.pop(name) for name in before} == before
    assert set(after) == {"stopped.json", "stopped-trace.csv"}


@pytest.fixture
def windowed(monkeypatch):
    """A clip of 21 frames takes several windows."""
    monkeypatch.setattr(editing, "model_defaults", lambda name: replace(model_defaults(name), window=13))


def test_a_long_clip_runs_in_windows_and_keeps_its_trace_when_interrupted(clip, windowed, monkeypatch):
    """Catches readings lost with the loop, and a resumption that begins somewhere else."""
    assert probe(runner.run_edit(request(clip, "whole")).folder / "edited.mp4").num_frames == 21
    with pytest.raises(SettingError, match="--resume goes on with clips of up to 13 frames"):
        runner.run_edit(request(clip, resume=True))
    stop_in(monkeypatch, windows, "edit_steps")
    with pytest.raises(KeyboardInterrupt):
        runner.run_edit(request(clip))
    assert names(clip.with_name("out")) == {"trace.csv", "stopped.json"}
    assert json.loads(clip.with_name("out").joinpath("stopped.json").read_text())["steps_done"] == 1


@pytest.mark.parametrize("several", [False, True], ids=["in one", "in windows"])
def test_outside_the_mask_the_source_is_kept_to_the_last_bit(clip, request, several):
    """Catches a mask that is read and not applied, or applied before the decode alone."""
    if several:
        request.getfixturevalue("windowed")
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[:, 40:] = 255
    write_image(clip.with_name("mask.png"), mask)
    asked = globals()["request"](clip, mask=clip.with_name("mask.png"), lossless=True)
    edited, source = read_video(runner.run_edit(asked).folder / "edited.mp4").frames, read_video(clip).frames
    np.testing.assert_array_equal(edited[:, :, :40], source[:, :, :40])
    assert (edited[:, :, 40:] != source[:, :, 40:]).mean() > 0.2


def test_latents_outside_the_mask_stay_the_sources(clip, monkeypatch):
    """Catches a mask that only hides the edit, so that what lies outside still leads it astray."""
    write_image(clip.with_name("mask.png"), np.zeros((64, 64, 3), np.uint8))
    ends, finish = [], editing.finish
    monkeypatch.setattr(editing, "finish", lambda edit, latents: ends.append((edit, latents)) or finish(edit, latents))
    runner.run_edit(request(clip, mask=clip.with_name("mask.png")))
    ((prepared, latents),) = ends
    np.testing.assert_allclose(latents, prepared.problem.source, atol=1e-5)


def test_the_source_has_its_own_size_back_and_the_manifest_holds_all_that_was_asked_for(clip):
    write_image(clip.with_name("mask.png"), np.full((64, 64, 3), 255, np.uint8))
    outcome = runner.run_edit(request(clip, size=(32, 32), mask=clip.with_name("mask.png"), pace="plain"))
    info, made = probe(outcome.folder / "edited.mp4"), outcome.manifest
    assert (info.height, info.width) == (made["output"]["height"], made["output"]["width"]) == (64, 64)
    assert (made["height"], made["width"]) == (32, 32)
    assert made["request"]["mask"]["name"] == "mask.png"
    assert len(made["request"]["mask"]["sha256"]) == 64
    asked = {name: made["request"][name] for name in ("lossless", "pace", "placement", "size")}
    assert asked == {"lossless": False, "pace": "plain", "placement": "auto", "size": [32, 32]}


def test_a_change_of_a_smaller_copy_is_laid_on_the_reference_and_nothing_else():
    """Catches a blurred reference where nothing was changed, and a change laid at half its strength."""
    reference = np.random.default_rng(0).integers(20, 200, (2, 48, 80, 3), dtype=np.uint8)
    small = resize_video(reference, (24, 40))
    edited = small.copy()
    edited[1, 4:12, 4:12] += 30
    made = laid_on(reference.copy(), small, edited)
    assert np.array_equal(made[0], reference[0])
    assert np.array_equal(made[1, 30:], reference[1, 30:])
    assert (made[1, 12:20, 12:20].astype(int) - reference[1, 12:20, 12:20] == 30).all()
    assert laid_on(reference, reference, made) is made


def test_runs_of_a_sweep_are_laid_on_the_same_reference(clip):  # catches: a run laid on the run before it
    asked = request(clip, size=(32, 32), lossless=True)
    swept = runner.run_edits(asked, combinations(asked.settings, seeds=(0, 1)))
    alone = runner.run_edit(replace(asked, settings=asked.settings.with_(seed=1), output=clip.with_name("alone")))
    second, only = (read_video(run.folder / "edited.mp4").frames for run in (swept[1], alone))
    assert np.array_equal(second, only)


@pytest.mark.parametrize("method", ["colour-map", "propagation", "estimate", "refine"])
def test_an_edit_is_painted_over_the_source_where_nothing_reads_it_again(clip, monkeypatch, method):
    """Catches two full-size videos in memory, and a mask, or what is shown of the source, that reads the edit."""
    held = []

    def write_outputs(request, taken, result, *_):
        held.append((taken, result))
        return outputs.EditOutcome(folder=request.output, manifest={})

    for module in (classical, editing):
        monkeypatch.setattr(module, "write_outputs", write_outputs)
    write_image(clip.with_name("mask.png"), np.zeros((64, 64, 3), np.uint8))
    asked = request(clip, size=(32, 32), settings=EditSettings(method=method, steps=4))
    for side, mask in ((32, None), (64, None), (32, clip.with_name("mask.png"))):
        monkeypatch.setattr(inputs, "SHOWN", side)
        runner.run_edit(replace(asked, mask=mask))
    assert [np.shares_memory(taken.clip.frames, result.frames) for taken, result in held] == [True, False, False]
    source = read_video(clip, num_frames=21).frames
    assert all(np.array_equal(taken.shown, resize_video(source, taken.shown.shape[1:3])) for taken, _ in held)
    assert np.array_equal(held[0][1].frames, held[1][1].frames)
    assert np.array_equal(held[2][1].frames, source)


@pytest.mark.parametrize("size", [(65, 47), (90, 64)], ids=["odd", "upright"])
def test_the_draft_takes_no_torch_and_shows_agreeing_keyframes_as_painted(tmp_path, size):
    """In a process of its own; catches a module that loads torch on the way, and odd sizes cut."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (size[0] // 4, size[1] // 4, 3), dtype=np.uint8)
    frames = np.repeat(resize_image(small, size)[None], 9, axis=0)
    write_video(tmp_path / "clip.mkv", frames, 25, lossless=True)
    for index in (0, 8):
        write_image(tmp_path / f"key-{index}.png", 255 - frames[index])
    words = ["edit", tmp_path / "clip.mkv", "-k", tmp_path / "key-0.png", "-k", tmp_path / "key-8.png", "--lossless"]
    call = [*map(str, words), "--frames", "9", "--preset", "draft", "-o", str(tmp_path / "out")]
    code = f"""import sys
from flowedit.cli.main import main
sys.argv[1:] = {call!r}
try:
    main()
finally:
    sys.exit("torch" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
    made = read_video(tmp_path / "out" / "edited.mp4").frames
    assert made.shape == frames.shape
    assert np.array_equal(made[[0, 8]], 255 - frames[[0, 8]])


def test_refused_input_leaves_no_folder(clip):
    wrong = {"model": "2B"}, {"mask": clip.with_name("none.png")}, {"placement": "half"}, {"size": (60, 64)}
    for changes in wrong:
        with pytest.raises(FlowEditError):
            runner.run_edit(request(clip, **changes))
        assert not clip.with_name("out").exists()


def test_every_file_of_a_run_is_one_that_the_next_run_replaces():  # catches: a stale file beside a new run
    asked = {"frames", *ANIMATIONS.values()}
    assert WRITTEN | asked | {"stopped.json", "stopped-trace.csv", "state.safetensors", "unfinished"} == set(RUN_FILES)


@pytest.fixture
def placed(monkeypatch, model):
    """Two levels that fit, and loads that are recorded; `failing` names the levels that run out of memory."""
    seen = SimpleNamespace(loads=[], asked=None, failing=set())

    def placements(name, **asked):
        seen.asked = asked
        return [placement_on_cpu("resident"), placement_on_cpu("offload")]

    def loaded(at, request):
        seen.loads.append(at.level)
        if at.level in seen.failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return model, f"{at}; pace plain"

    monkeypatch.setattr(editing, "placements", placements)
    monkeypatch.setattr(editing, "load_at", loaded)
    monkeypatch.setattr(outputs, "checkpoint_files", lambda name: [])
    return seen


LARGE = {"model": "1.3B", "size": (32, 48)}


def test_out_of_memory_is_tried_once_more_one_level_lower_and_said_at_the_last(clip, placed):
    placed.failing.update(("resident", "offload"))
    with pytest.raises(ModelError, match=r"Out of memory at level offload.*--placement fp8"):
        runner.run_edit(request(clip, **LARGE))
    assert not clip.with_name("out").exists()
    placed.loads.clear()
    placed.failing.remove("offload")
    said = []
    outcome = runner.run_edit(request(clip, **LARGE), announce=said.append)
    assert placed.loads == ["resident", "offload"]
    assert any("trying once more at level offload" in line for line in said)
    assert outcome.manifest["ran"] == said[-1] == "level offload on cpu in float32; pace plain"


def test_what_was_laid_on_the_clip_is_not_edited_again(clip, placed, monkeypatch):
    """Catches: memory that runs out after an edit was painted over its source, and a second edit of painted frames."""
    monkeypatch.setattr(classical, "masked", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        runner.run_edit(request(clip, **LARGE))
    assert placed.loads == ["resident"]


def test_another_error_is_not_tried_again_and_the_placement_knows_the_clip_and_the_tokens(clip, placed, monkeypatch):
    monkeypatch.setattr(editing, "prepare", lambda *_: 1 / 0)
    settings = EditSettings(steps=4, conditioning="tokens")
    with pytest.raises(ZeroDivisionError):
        runner.run_edit(request(clip, **LARGE, settings=settings, placement="offload"))
    assert placed.loads == ["resident"]
    assert (placed.asked["level"], placed.asked["keyframes"]) == ("offload", 2)
    assert (placed.asked["shape"].num_frames, placed.asked["shape"].height) == (21, 32)


def test_the_loader_knows_the_words_and_the_place(clip, monkeypatch):
    monkeypatch.undo()
    seen = {}
    monkeypatch.setattr(editing, "load_model", lambda name, **asked: seen.update(asked) or Curved())
    monkeypatch.setattr("flowedit.wan.pace.set_pace", lambda *_, **__: "pace plain")
    at = placement_on_cpu("offload")
    _, ran = editing.load_at(at, request(clip, settings=EditSettings(prompt="a", source_prompt="b")))
    assert ran == "level offload on cpu in float32; pace plain"  # catches: a choice that nobody is told of
    assert (set(seen["prompts"]), seen["level"]) == ({"a", "b", ""}, at)


@pytest.mark.parametrize(
    ("name", "level", "words"), [("tiny", "offload", "fits everywhere"), ("1.3B", "half", "placement is 'half'")]
)
def test_a_placement_that_makes_no_sense_is_refused(name, level, words):
    with pytest.raises(SettingError, match=words):
        models.placements(name, level=level)


def test_words_are_encoded_before_the_transformer_is_loaded_and_without_it(monkeypatch):
    order = []
    entry = loading.resolve("Wan2.2-I2V-A14B")

    def load(name, place, **options):
        order.append(options["roles"])
        pipe = random_pipeline()
        pipe.text_encoder = None
        return loading.Loaded(pipe, entry)

    def encode(name, prompts, place):
        order.append(tuple(prompts))
        return [torch.full((1, 4, 16), float(len(prompt))) for prompt in prompts]

    monkeypatch.setattr(loading, "locate", lambda name: SimpleNamespace(checkpoint=entry, files={}))
    monkeypatch.setattr(loading, "load_pipeline", load)
    monkeypatch.setattr(encodings, "encode_prompts", encode)
    model = models.load_model("Wan2.2-I2V-A14B", level=placement_on_cpu("cpu"), prompts=("cat", "horse"))
    assert order == [("cat", "horse"), ("dit", "vae", "image")]
    assert model._context("horse").flatten()[0] == 5
    assert model.retiled(None)._context("cat").flatten()[0] == 3
    assert order[2:] == []
    assert model._context("mouse!").flatten()[0] == 6  # catches: words not foreseen left without an encoder
    assert order[2:] == [("mouse!",)]
