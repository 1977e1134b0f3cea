"""The LoRA for joint keyframe tokens: loaded by the vendor, used for tokens alone, refused where it does not fit."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_tiny import random_pipeline

from flowedit.edit.steps import edit_steps, prepare
from flowedit.errors import ModelError
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape, Condition
from flowedit.settings import EditSettings
from flowedit.tiny.config import LORA_FILE, WEIGHTS
from flowedit.tiny.load import joint_source
from flowedit.wan.adapter import Trained, WanVideo

SHAPE = ClipShape(num_frames=9, height=32, width=48)
SLOTS = (0, 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a LoRA of rank 4 for the random pipeline, on every linear layer of self-attention."""
    folder, state = tmp_path_factory.mktemp("lora"), {}
    for index, block in enumerate(random_pipeline(0).dit.blocks):
        for name in "qkvo":
            layer, of = f"blocks.{index}.self_attn.{name}", getattr(block.self_attn, name).weight.shape
            state[f"{layer}.lora_A.weight"] = draw(4, of[1], seed=index) / 10
            state[f"{layer}.lora_B.weight"] = draw(of[0], 4, seed=index + 9) / 10
    save_file(state, folder / LORA_FILE)
    return folder


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def joint_latents(n=2):
    return draw(1, 4, 3 + n, 4, 6)


@torch.inference_mode()
def run(model, *, joint=True, images=None):
    slots = SLOTS if joint else ()
    prepared = model.prepare(Condition(shape=SHAPE, prompt="red ball", key_slots=slots, images=images or {}))
    return model.velocity(joint_latents(len(slots)), 0.6, prepared, (0, 1, 2, *slots))


def test_the_trained_file_loads_through_the_vendor_and_changes_joint_velocities_alone(trained):
    pipe = random_pipeline(0)
    bare, tuned = WanVideo(pipe), WanVideo(pipe, trained=Trained(joint=joint_source(pipe, trained)))
    change = (run(tuned) - run(bare)).abs()
    assert change[:, :, :3].mean() > 1e-5  # catches: a file that the loader skips silently
    assert change[:, :, 3:].mean() > 1e-5
    assert torch.equal(run(tuned, joint=False), run(bare, joint=False))  # catches: the LoRA fused into the model itself
    assert torch.equal(run(tuned.retiled(None)), run(tuned))


def test_it_leaves_the_models_own_weights_as_they_are(trained):
    pipe = random_pipeline(0)
    before = {name: value.clone() for name, value in pipe.dit.state_dict().items()}
    bare = run(WanVideo(pipe))
    model = WanVideo(pipe, trained=Trained(joint=joint_source(pipe, trained)))
    assert not torch.equal(run(model), bare)
    for name, value in pipe.dit.state_dict().items():
        assert torch.equal(value, before[name])


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (32, 48, 3), np.uint8)


def test_only_edits_with_tokens_run_through_the_lora(trained):
    pipe = random_pipeline(0)
    model = WanVideo(pipe, trained=Trained(joint=joint_source(pipe, trained)))
    clip = np.stack([picture(seed) for seed in range(9)])
    keyframes = [Keyframe(0, picture(20)), Keyframe(8, picture(21))]

    def edit(which, **changes):
        settings = EditSettings.of(steps=4, strength=0.6, **changes)
        return [step.latents for step in edit_steps(prepare(clip, keyframes, which, settings))][-1]

    for conditioning in ("tokens", "both"):
        bare = edit(WanVideo(pipe), conditioning=conditioning)
        assert not torch.equal(edit(model, conditioning=conditioning), bare)
    assert torch.equal(edit(model, conditioning="i2v"), edit(WanVideo(pipe), conditioning="i2v"))


def test_without_a_file_tokens_are_zero_shot(tmp_path):
    assert joint_source(random_pipeline(0), tmp_path) is None


def test_a_lora_of_another_architecture_is_refused(tmp_path):  # the vendor would load what fits and say nothing
    layer = "blocks.7.ffn.0"
    save_file({f"{layer}.lora_{half}.weight": torch.ones(4, 4) for half in "AB"}, tmp_path / LORA_FILE)
    with pytest.raises(ModelError, match=f"that tiny does not have, such as {layer}"):
        joint_source(random_pipeline(0), tmp_path)()


def test_all_weights_keep_within_64_mb():
    sizes = {path.name: path.stat().st_size for path in WEIGHTS.iterdir() if path.is_file()}
    assert sum(sizes.values()) <= 64e6
    assert sizes[LORA_FILE] <= 3.7e6
