"""A LoRA changes what the vendor's own loader lets it, wherever the weights rest; what does not fit is one line."""

from pathlib import Path

import pytest
import torch
from lora_files import bring, layers_of, loaded, pairs_for, placement_on_cpu, small_checkpoint, write_pairs
from safetensors.torch import save_file
from small_wan import forward

from flowedit.errors import ModelError, SettingError
from flowedit.models import check_loras, load_model
from flowedit.wan import loading
from flowedit.wan.checkpoints import CHECKPOINTS
from flowedit.wan.lora import Lora, checkpoint_layers, parse_lora
from flowedit.wan.pace import set_pace

FAMILIES = ("t2v", "i2v", "i2v-a14b")


@pytest.fixture(params=FAMILIES)
def every(request, tmp_path, monkeypatch):
    """A small checkpoint of each family, and a LoRA of all its layers: with an alpha, or named as peft names them."""
    how = {"style": "peft"} if request.param == "t2v" else {"alpha": 2}
    with small_checkpoint(request.param, tmp_path, monkeypatch) as name:
        yield name, write_pairs(tmp_path / "turbo.safetensors", layers_of(request.param), **how)


@pytest.fixture
def t2v(tmp_path, monkeypatch):
    with small_checkpoint("t2v", tmp_path, monkeypatch) as name:
        yield name


def velocity(pipe, dit=None):
    return forward(dit or pipe.dit, dtype=pipe.torch_dtype)


def plain_velocity(name, kind=torch.float32, **given):
    return velocity(loading.load_pipeline(name, dtype=kind, **given).pipe)


@pytest.mark.filterwarnings("ignore:Alpha detected")
def test_every_forward_is_the_vendors_with_the_lora_it_loaded_itself(every):
    # catches: a strength that is lost, an expert left out, an alpha read otherwise
    name, path = every
    theirs = loading.load_pipeline(name, dtype=torch.float32).pipe
    for dit in (theirs.dit, theirs.dit2):
        if dit is not None:
            theirs.load_lora(dit, str(path), alpha=0.7)
    model = loaded(name, Lora(path=path, strength=0.7))
    assert (model.pipe.dit2 is None) == (theirs.dit2 is None)
    for ours, other in ((model.pipe.dit, theirs.dit), (model.pipe.dit2, theirs.dit2)):
        if other is not None:
            assert torch.equal(velocity(model.pipe, ours), velocity(theirs, other))


def test_strength_is_how_far_it_changes_and_none_at_all_is_no_lora(every):
    name, path = every
    plain = plain_velocity(name)
    changed = [velocity(loaded(name, Lora(path=path, strength=s)).pipe) for s in (0.0, 0.5, 1.0)]
    assert torch.equal(changed[0], plain)
    near, far = (float((v - plain).norm()) for v in changed[1:])
    assert 0.01 * float(plain.norm()) < near < far
    both = loaded(name, Lora(path=path, strength=0.5), Lora(path=path, strength=0.5)).pipe
    torch.testing.assert_close(velocity(both), changed[2], atol=1e-5, rtol=1e-4)  # two LoRAs add up


def test_an_experts_lora_leaves_the_other_expert_alone(tmp_path, monkeypatch):  # catches: high and low exchanged
    with small_checkpoint("i2v-a14b", tmp_path, monkeypatch) as name:
        path = write_pairs(tmp_path / "turbo.safetensors", layers_of("i2v-a14b"))
        plain = loading.load_pipeline(name, dtype=torch.float32).pipe
        assert not torch.equal(velocity(plain), velocity(plain, plain.dit2))
        for expert, touched, other in (("high", "dit", "dit2"), ("low", "dit2", "dit")):
            pipe = loaded(name, parse_lora(f"{expert}={path}")).pipe
            assert torch.equal(velocity(pipe, getattr(pipe, other)), velocity(plain, getattr(plain, other)))
            assert not torch.equal(velocity(pipe, getattr(pipe, touched)), velocity(plain, getattr(plain, touched)))


@pytest.mark.parametrize(
    ("level", "dtype", "tolerance"),
    [("offload", "float32", 1e-5), ("fp8", "bfloat16", 0.15), ("disk", "bfloat16", 0.15)],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_level_adds_the_same_change(family, level, dtype, tolerance, tmp_path, monkeypatch):
    # catches: the layers of img_emb and head, which the vendor's hot loading passes over in silence
    layers = layers_of(family)
    inside = {layer: size for layer, size in layers.items() if layer.startswith(("img_emb", "head"))}
    blocks = {layer: size for layer, size in layers.items() if layer not in inside}
    with small_checkpoint(family, tmp_path, monkeypatch) as name:
        for part in (blocks, inside)[: 1 if level == "disk" else 2]:
            path = write_pairs(tmp_path / "turbo.safetensors", part, alpha=3, gain=3.0)
            lora = Lora(path=path, strength=0.8)
            kind = getattr(torch, dtype)
            without, plain = plain_velocity(name, kind), plain_velocity(name, kind, loras=[lora])
            pipe = loading.load_pipeline(name, placement_on_cpu(level, dtype), loras=[lora]).pipe
            assert pipe.dit.vram_management_enabled
            bring(pipe)
            change = (plain - without).float().norm()
            assert change > 0.2 * plain.float().norm()
            error = (velocity(pipe) - plain).float().norm() / plain.float().norm()
            assert error <= tolerance


def test_what_the_disk_level_cannot_add_is_refused(tmp_path, monkeypatch):
    with small_checkpoint("i2v", tmp_path, monkeypatch) as name:
        lora = Lora(path=write_pairs(tmp_path / "turbo.safetensors", layers_of("i2v")))
        with pytest.raises(ModelError, match=r"changes .*, which the level disk reads .* Use --placement fp8") as said:
            loading.load_pipeline(name, placement_on_cpu("disk", "bfloat16"), loras=[lora])
        assert "\n" not in str(said.value)


@pytest.mark.parametrize("pace", ["fast", "lazy"])
def test_every_pace_runs_the_changed_weights(t2v, tmp_path, pace):  # catches: blocks taken over before the LoRA
    path = write_pairs(tmp_path / "turbo.safetensors", layers_of("t2v"))
    theirs = loading.load_pipeline(t2v, dtype=torch.float32).pipe
    theirs.load_lora(theirs.dit, str(path))
    plain = velocity(theirs)
    model = loaded(t2v, path)
    set_pace(model, pace)
    torch.testing.assert_close(velocity(model.pipe), plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("text", "path", "strength", "expert"),
    [
        ("turbo.safetensors", "turbo.safetensors", 1.0, None),
        ("turbo.safetensors:0.8", "turbo.safetensors", 0.8, None),
        ("turbo.safetensors:-1", "turbo.safetensors", -1.0, None),
        ("high=turbo.safetensors:0.5", "turbo.safetensors", 0.5, "high"),
        ("low=d/turbo.safetensors", "d/turbo.safetensors", 1.0, "low"),
        ("./low=turbo.safetensors", "low=turbo.safetensors", 1.0, None),
        ("C:/loras/turbo.safetensors", "C:/loras/turbo.safetensors", 1.0, None),
        ("d:1/turbo.safetensors", "d:1/turbo.safetensors", 1.0, None),
        ("C:\\loras\\turbo.safetensors:0.3", "C:\\loras\\turbo.safetensors", 0.3, None),
    ],
)
def test_the_command_lines_words(text, path, strength, expert):  # catches: a colon of a path taken for a strength's
    assert parse_lora(text) == Lora(path=Path(path), strength=strength, expert=expert)


def test_a_file_whose_own_name_ends_like_a_strength_is_that_file(tmp_path):
    (tmp_path / "turbo:4").write_bytes(b"")
    assert parse_lora(f"{tmp_path}/turbo:4") == Lora(path=tmp_path / "turbo:4")
    assert parse_lora(f"{tmp_path}/turbo:4:0.5") == Lora(path=tmp_path / "turbo:4", strength=0.5)


@pytest.mark.parametrize("strength", ["nan", "inf", "-inf"])
def test_a_strength_that_is_no_number_is_refused(strength):
    with pytest.raises(SettingError, match=r"The strength of turbo.safetensors is .*; it must be finite"):
        parse_lora(f"turbo.safetensors:{strength}")


BLOCK = "blocks.0.self_attn.q"


def _wrong_files(folder):
    """A file of each kind that is no LoRA of the small text-to-video transformer, and what is said of it."""
    layers = layers_of("t2v")
    one = {BLOCK: layers[BLOCK]}
    save_file({f"{BLOCK}.weight": torch.zeros(48, 48)}, folder / "whole.safetensors")
    for name, lost in (("half", "down"), ("other", "up")):
        pair = pairs_for({**one, "blocks.1.ffn.0": (64, 48)})
        pair.pop(f"diffusion_model.{BLOCK}.lora_{lost}.weight")
        save_file(pair, folder / f"{name}.safetensors")
    write_pairs(folder / "wide.safetensors", {BLOCK: (96, 96)})
    write_pairs(folder / "image.safetensors", {"blocks.0.cross_attn.k_img": (48, 48), **one})
    write_pairs(folder / "conv.safetensors", {"patch_embedding": (48, 64)})
    write_pairs(folder / "dora.safetensors", one, {f"diffusion_model.{BLOCK}.dora_scale": torch.zeros(48)})
    torch.save(pairs_for(one), folder / "turbo.pth")
    (folder / "cut.safetensors").write_bytes((folder / "wide.safetensors").read_bytes()[:-40])


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none.safetensors", r"There is no LoRA file .*none\.safetensors\. Check the path"),
        ("turbo.pth", r"turbo\.pth is no \.safetensors file, .* could run code"),
        ("cut.safetensors", r"cut\.safetensors was cut, or is not a safetensors file"),
        ("whole.safetensors", r"whole\.safetensors holds 1 tensors and no LoRA pair"),
        ("half.safetensors", r"half\.safetensors holds .*lora_up.weight without its other half"),
        ("other.safetensors", r"other\.safetensors holds .*lora_down.weight without its other half"),
        ("wide.safetensors", r"changes blocks.0.self_attn.q by \[96, 4\] times \[4, 96\], and .* is \[48, 48\]"),
        ("image.safetensors", r"changes 1 layers that small-t2v does not have, such as blocks.0.cross_attn.k_img"),
        ("conv.safetensors", r"does not have, such as patch_embedding\. Use a LoRA"),
        ("dora.safetensors", r"also holds .*dora_scale, which diffsynth does not read"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line_before_anything_loads(t2v, tmp_path, monkeypatch, file, words):
    _wrong_files(tmp_path)
    monkeypatch.setattr(loading, "locate", lambda *_: pytest.fail("the checkpoint was looked for first"))
    with pytest.raises(ModelError, match=words) as said:
        load_model(t2v, device="cpu", loras=[tmp_path / file])
    assert "\n" not in str(said.value)


def test_a_lora_of_14b_is_refused_by_1_3b_and_one_for_an_expert_by_a_single_transformer(tmp_path):
    layers = checkpoint_layers(CHECKPOINTS["Wan2.1-T2V-14B"])
    assert len(layers) == 406
    path = write_pairs(tmp_path / "big.safetensors", {BLOCK: layers[BLOCK]}, rank=1)
    with pytest.raises(ModelError, match=r"\[5120, 1\] times \[1, 5120\], and that layer of .*1.3B.* \[1536, 1536\]"):
        check_loras("1.3B", [path])
    for name in ("14B", "Wan2.1-VACE-14B", "Wan2.2-I2V-A14B"):  # attention has one size in all of them
        assert check_loras(name, [path])[0].layers == 1
    assert check_loras("Wan2.2-I2V-A14B", [f"low={path}"])[0].lora.expert == "low"
    with pytest.raises(ModelError, match=r"is for the expert 'high', and Wan2.1-I2V-14B-480P has one transformer"):
        check_loras("14B", [f"high={path}"])


def test_the_summary_counts_what_is_reached_and_what_is_left_out(t2v, tmp_path):
    extra = {f"diffusion_model.blocks.0.{name}": torch.zeros(48) for name in ("norm3.diff", "ffn.2.diff_b", "diff_m")}
    path = write_pairs(tmp_path / "turbo.safetensors", {BLOCK: (48, 48)}, extra)
    checked = check_loras(t2v, [f"{path}:0.5"])[0]
    total = len(layers_of("t2v"))
    assert checked.summary() == (
        f"LoRA turbo.safetensors at strength 0.5 changes 1 of {total} linear layers; "
        "3 differences of biases and norms in it are left out."
    )
