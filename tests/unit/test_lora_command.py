"""`flowedit edit --lora` end to end on the shipped model: what it prints, records, refuses, and will not go on with."""

import json
import sys

import numpy as np
import pytest
from lora_files import write_pairs
from test_cli import run

from flowedit.media.clip import read_video, write_image, write_video
from flowedit.models import load_model
from flowedit.run import editing
from flowedit.run.advice import lora_advice
from flowedit.run.inputs import sha256
from flowedit.runfolder import STATE
from flowedit.settings import EditSettings
from flowedit.wan.lora import linear_layers

QUICK = ("--preset", "method", "--steps", "6", "--cfg", "1", "--lossless")


@pytest.fixture(scope="module")
def layers():
    return linear_layers(load_model("tiny").pipe.dit)


@pytest.fixture
def job(tmp_path, layers):
    """A clip, a keyframe, a LoRA that fits the shipped model and one that does not."""
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8), np.ones((1, 16, 16, 1), np.uint8))
    write_video(tmp_path / "clip.mp4", frames, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - frames[0])
    blocks = {name: size for name, size in layers.items() if name.startswith("blocks.")}
    write_pairs(tmp_path / "turbo.safetensors", blocks, alpha=4)
    write_pairs(tmp_path / "big.safetensors", {"blocks.0.self_attn.q": (5120, 5120)}, rank=1)
    return tmp_path


def edit(job, *more, out="out", quick=QUICK):
    given = ["edit", job / "clip.mp4", "-k", job / "key.png", "--at", "0", "-o", job / out, "--size", "64x64"]
    return run(*given, *quick, *more)


def manifest(job, out="out"):
    return json.loads((job / out / "run.json").read_text())


def test_a_run_says_what_it_reaches_records_it_and_is_another_edit(job, capsys, layers):
    # catches: a LoRA that is checked, printed and never loaded; a warning of the vendor at each of its layers
    count = sum(name.startswith("blocks.") for name in layers)
    line = f"LoRA turbo.safetensors at strength 0.5 changes {count} of {len(layers)} linear layers."
    assert edit(job, "--lora", f"{job / 'turbo.safetensors'}:0.5") == 0
    said = capsys.readouterr().err
    assert said.count(line) == 1
    assert not any("Alpha" in advice for advice in manifest(job)["advice"])
    assert manifest(job)["loras"] == [
        {"name": "turbo.safetensors", "sha256": sha256(job / "turbo.safetensors"), "strength": 0.5, "expert": None,
         "layers": count, "left_out": 0}
    ]  # fmt: skip
    assert edit(job, out="without") == 0
    assert manifest(job, "without")["loras"] == []
    assert edit(job, "--lora", f"{job / 'turbo.safetensors'}:0", out="none") == 0
    edited, without, none = (read_video(job / out / "edited.mp4").frames for out in ("out", "without", "none"))
    assert np.array_equal(none, without)
    assert (edited != without).mean() > 0.05


def test_a_lora_of_another_model_is_one_line_with_status_2_and_writes_nothing(job, capsys):
    assert edit(job, "--lora", job / "big.safetensors") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "changes blocks.0.self_attn.q by [5120, 1] times [1, 5120], and that layer of tiny is" in lines[0]
    assert edit(job, "--lora", f"high={job / 'turbo.safetensors'}") == 2
    assert "tiny has one transformer" in capsys.readouterr().err
    assert not (job / "out").exists()


def test_nothing_is_painted_for_a_lora_that_does_not_fit(job, capsys, monkeypatch):  # catches: Gemini paid for nothing
    command = sys.modules["flowedit.cli.edit"]
    monkeypatch.setattr(command, "painted_keyframes", lambda *_, **__: pytest.fail("the keyframes were painted first"))
    style = "edit", job / "clip.mp4", "--style", "watercolour", "-o", job / "out"
    assert run(*style, "--lora", job / "big.safetensors") == 2
    assert "that layer of tiny is" in capsys.readouterr().err


@pytest.mark.parametrize("again", [(), ("turbo.safetensors:0.4",), ("turbo.safetensors:0.5", "turbo.safetensors:0.5")])
def test_a_stopped_run_goes_on_with_the_same_loras_only(job, capsys, monkeypatch, again):
    steps = editing.edit_steps

    def stopping(prepared, begun=None):
        for step in steps(prepared, begun):
            yield step
            if begun is None and step.trace.step == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(editing, "edit_steps", stopping)
    first = ("--lora", f"{job / 'turbo.safetensors'}:0.5", "--strength", "1")
    assert edit(job, *first) == 130
    assert (job / "out" / STATE).exists()
    others = [part for name in again for part in ("--lora", job / name)]
    assert edit(job, "--strength", "1", "--resume", *others) == 2
    assert "other settings, source, keyframes or LoRAs" in capsys.readouterr().err.replace("\n", " ")
    assert edit(job, *first, "--resume") == 0


def test_few_steps_and_no_guidance_are_advised_in_one_line_where_they_were_not_given():
    settings = EditSettings(steps=50, guidance=5.0)
    assert lora_advice(settings, {}) == (
        "A distilled LoRA is made for 4 to 8 steps without guidance, and this run takes 50 at guidance 5: "
        "set --steps 8 --cfg 1 if yours is one."
    )
    assert "set --cfg 1 if" in lora_advice(settings, {"steps": 50})
    assert "set --steps 8 if" in lora_advice(settings, {"guidance": 5.0})
    assert lora_advice(settings, {"steps": 50, "guidance": 5.0}) is None
    assert lora_advice(EditSettings(steps=8, guidance=1.0), {}) is None


def test_the_advice_is_given_before_anything_loads(job, capsys, monkeypatch):  # catches: 50 guided steps for nothing
    asked = []
    monkeypatch.setattr(sys.modules["flowedit.cli.edit"], "run_shown", lambda request, *_, **__: asked.append(request))
    path = write_pairs(job / "small.safetensors", {"blocks.0.self_attn.q": (1536, 1536)}, rank=1)
    assert edit(job, "--model", "1.3B", "--lora", f"{path}:0.5", quick=()) == 0
    assert "advice: A distilled LoRA is made for 4 to 8 steps" in capsys.readouterr().err
    assert [(lora.path, lora.strength) for lora in asked[0].loras] == [(path, 0.5)]
    monkeypatch.setenv("RANK", "1")  # the first of several processes has said it
    assert edit(job, "--model", "1.3B", "--lora", f"{path}:0.5", quick=()) == 0
    monkeypatch.delenv("RANK")
    assert edit(job, "--model", "1.3B", quick=()) == 0
    assert "distilled" not in capsys.readouterr().err


@pytest.mark.parametrize("method", ["estimate", "propagation", "colour-map"])
def test_a_method_without_a_transformer_refuses_one(job, capsys, method):
    """The run's record would name a LoRA that changed nothing."""
    assert edit(job, "--lora", job / "turbo.safetensors", quick=("--method", method)) == 2
    said = f"method is {method!r}, which runs no transformer that a LoRA could change. Leave out --lora.\n"
    assert capsys.readouterr().err.endswith(said)
    assert not (job / "out").exists()
