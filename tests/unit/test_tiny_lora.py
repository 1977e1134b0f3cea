"""The LoRA for joint keyframe tokens: trained on what edits give the model, loaded by the vendor, and switched off."""

from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flowedit.edit import edit_steps, prepare
from flowedit.encoding import encode_keyframes
from flowedit.errors import ModelError, SettingError
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape, Condition
from flowedit.settings import EditSettings
from flowedit.tiny import load
from flowedit.tiny.config import SHIPPED, SMOKE
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, random_pipeline
from flowedit.tiny.lora import LORA_FILE, attach, from_file, joint_source, joint_transformer, to_file
from flowedit.tiny.model import build_dit
from flowedit.tiny.text import WordTokenizer
from flowedit.wan import vendor
from flowedit.wan.adapter import Trained, WanVideo
from training import lora as train_lora
from training.__main__ import main
from training.feed import Feed, Lesson, Order
from training.forward import velocity
from training.keyframes import disagreement, keyframe_clip, keyframe_mask
from training.replay import KeyEncoder, at_slots, choose_slots
from training.run import Run, save_half

SHAPE = ClipShape(num_frames=9, height=32, width=48)
SLOTS = (0, 2)


def small_folder(folder):
    """Write the random pipeline's weights as training does, in the smoke size."""
    pipe = random_pipeline(0)
    latents = {"latent_mean": pipe.vae.mean, "latent_std": pipe.vae.std}
    save_half({**pipe.vae.model.state_dict(), **latents}, folder / VAE_FILE, {})
    parts = {"dit": pipe.dit, "text": pipe.text_encoder}
    state = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    save_half(state, folder / DIT_FILE, {})
    return pipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with smoke weights, after some steps of LoRA training through the command."""
    folder = tmp_path_factory.mktemp("lora")
    small_folder(folder)
    assert main(["lora", "--config", "smoke", "--steps", "8", "--out", str(folder)]) == 0
    return folder


def test_a_run_that_is_cut_off_leaves_what_it_has_learned(tmp_path, monkeypatch):
    """Catches: weights that are written at the end alone, and lost with the machine."""
    small_folder(tmp_path)
    clock = count(step=1.0)
    monkeypatch.setattr(train_lora, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def cut(run, step):
        if step == 6:
            raise KeyboardInterrupt
        return step / 8

    monkeypatch.setattr(Run, "progress", cut)
    with pytest.raises(KeyboardInterrupt):
        main(["lora", "--config", "smoke", "--steps", "8", "--out", str(tmp_path)])
    left = load_file(tmp_path / LORA_FILE)
    assert any(value.any() for name, value in left.items() if "lora_B" in name), "the half that starts at zero moved"


def pipeline(folder):
    dit, text = load.load_transformer(folder / DIT_FILE, SMOKE)
    vae = load.load_vae(folder / VAE_FILE, SMOKE)
    return load.assemble(dit, vae, text, device="cpu", dtype=torch.float32)


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
    pipe = pipeline(trained)
    bare, tuned = WanVideo(pipe), WanVideo(pipe, trained=Trained(joint=joint_source(pipe, trained)))
    change = (run(tuned) - run(bare)).abs()
    assert change[:, :, :3].mean() > 1e-5  # catches: a file that the loader skips silently
    assert change[:, :, 3:].mean() > 1e-5
    assert torch.equal(run(tuned, joint=False), run(bare, joint=False))  # catches: the LoRA fused into the model itself
    assert torch.equal(run(tuned.retiled(None)), run(tuned))


def test_it_leaves_the_models_own_weights_as_they_are(trained):
    pipe = pipeline(trained)
    before = {name: value.clone() for name, value in pipe.dit.state_dict().items()}
    bare = run(WanVideo(pipe))
    model = WanVideo(pipe, trained=Trained(joint=joint_source(pipe, trained)))
    assert not torch.equal(run(model), bare)
    for name, value in pipe.dit.state_dict().items():
        assert torch.equal(value, before[name])


def test_training_changes_every_layer_and_nothing_but_the_lora(trained):
    state = load_file(trained / LORA_FILE)
    assert len(state) == 2 * 6 * SMOKE.dit.num_layers
    assert {value.dtype for value in state.values()} == {torch.float16}
    for name, value in state.items():
        assert value.abs().max() > 0, name  # catches: a layer without a gradient
    dit = build_dit(SMOKE)
    frozen = {name: p.requires_grad for name, p in dit.named_parameters()}
    assert all(frozen.values())
    changes = attach(dit, rank=4)
    assert {id(p) for p in dit.parameters() if p.requires_grad} == {id(p) for p in changes.parameters()}


def test_a_fresh_lora_changes_nothing_and_the_file_computes_what_was_trained(tmp_path):
    pipe, size = random_pipeline(3), (3, 4, 6)
    latents, sigma, slots = joint_latents(), torch.tensor([0.6]), torch.tensor([SLOTS])
    conditions = draw(1, 5, 16, seed=1), draw(1, 8, 5, 4, 6, seed=2)
    tables = train_lora.joint_tables(pipe.dit, slots, size)
    bare = velocity(pipe.dit, latents, sigma, conditions, tables=tables)
    trainee = random_pipeline(3).dit
    changes = attach(trainee, rank=4)
    torch.testing.assert_close(velocity(trainee, latents, sigma, conditions, tables=tables), bare)
    for index, parameter in enumerate(changes.parameters()):
        parameter.data = (draw(*parameter.shape, seed=index) * 0.1).half().float()
    expected = velocity(trainee, latents, sigma, conditions, tables=tables)
    save_half(to_file(changes.state_dict()), tmp_path / LORA_FILE, {})
    tuned = joint_transformer(pipe, tmp_path / LORA_FILE)
    assert type(tuned) is vendor.WanModel
    found = velocity(tuned, latents, sigma, conditions, tables=tables)
    assert (expected - bare).abs().mean() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # catches: a scale or a transpose of its own
    again = from_file(load_file(tmp_path / LORA_FILE))
    assert again.keys() == changes.state_dict().keys()


@torch.no_grad()
def test_training_sees_the_joint_sequence_that_edits_run(tmp_path):
    # Catches: other positions, another y of the key tokens, zeros in place of the grey clip's latents.
    pipe = random_pipeline(3)
    model = WanVideo(pipe)
    encoder = KeyEncoder(Run(tmp_path, 1.0, config="smoke"), Feed("cpu", 1), pipe.vae, [(9, 32, 48)])
    prepared = model.prepare(Condition(shape=SHAPE, prompt="red ball", key_slots=SLOTS))
    torch.testing.assert_close(encoder.grey((9, 32, 48)), prepared.clip["y"], atol=1e-4, rtol=1e-4)
    images = {index: picture(index) for index in (0, 8)}
    for given in ({}, images):
        prepared = model.prepare(Condition(shape=SHAPE, prompt="red ball", key_slots=SLOTS, images=given))
        slots = torch.tensor([SLOTS])
        y = prepared.clip["y"]
        y = torch.cat([y, at_slots(y, slots)], dim=2)
        tables = train_lora.joint_tables(pipe.dit, slots, (3, 4, 6))
        ours = velocity(pipe.dit, joint_latents(), torch.tensor([0.6]), (prepared.positive, y), tables=tables)
        torch.testing.assert_close(ours, run(model, images=given), atol=1e-3, rtol=1e-3)


def test_rows_of_a_batch_may_have_different_slots():  # catches: positions of the first row used for all
    dit, size = random_pipeline(3).dit, (3, 4, 6)
    slots = torch.tensor([[0, 2], [1, 0]])
    latents, sigma = draw(2, 4, 5, 4, 6), torch.tensor([0.3, 0.8])
    conditions = draw(2, 5, 16, seed=1), draw(2, 8, 5, 4, 6, seed=2)
    both = velocity(dit, latents, sigma, conditions, tables=train_lora.joint_tables(dit, slots, size))
    for row in range(2):
        one = slice(row, row + 1)
        tables = train_lora.joint_tables(dit, slots[one], size)
        alone = velocity(dit, latents[one], sigma[one], tuple(c[one] for c in conditions), tables=tables)
        torch.testing.assert_close(both[one], alone, atol=1e-5, rtol=1e-4)


def test_the_field_that_leads_straight_to_clip_and_keyframes_has_no_loss(tmp_path):
    z0, slots = draw(16, 4, 3, 4, 6), torch.tensor([SLOTS]).expand(16, -1)
    key = draw(16, 4, 2, 4, 6, seed=2)
    ids = WordTokenizer()(["red ball"] * 16)
    rows = {"z0": z0, "zs": draw(*z0.shape, seed=1), "key": key, "slots": slots, "ids": ids}
    rows["y"] = draw(16, 8, 3, 4, 6, seed=3)
    model = train_lora.Trainee(build_dit(SMOKE), random_pipeline(0).text_encoder)
    seen = {}

    def ideal(_, noisy, sigma, conditions):
        seen.update(noisy=noisy, sigma=sigma, y=conditions[1])
        return (noisy - torch.cat([z0, key], dim=2)) / sigma.view(-1, 1, 1, 1, 1)

    parts = train_lora.loss_parts(Run(tmp_path, 1.0), model, rows, ideal)
    assert parts.max() < 1e-5
    assert torch.equal(seen["y"][:, :, 3:], rows["y"][:, :, list(SLOTS)])
    wrong_keys = torch.arange(5).view(1, 1, 5, 1, 1) >= 3
    away = train_lora.loss_parts(Run(tmp_path, 1.0), model, rows, lambda *given: ideal(*given) + wrong_keys)
    torch.testing.assert_close(away, torch.full((16,), train_lora.KEY_WEIGHT), atol=1e-3, rtol=0)


def test_keyframes_and_clip_share_noise_and_level(monkeypatch, tmp_path):
    monkeypatch.setattr(train_lora, "BRIDGES", 0.0)
    z0, slots = draw(8, 4, 3, 4, 6), torch.tensor([SLOTS]).expand(8, -1)
    rows = {"z0": z0, "zs": z0 + 1, "key": at_slots(z0, slots), "slots": slots, "y": torch.zeros(8, 8, 3, 4, 6)}
    rows["ids"] = WordTokenizer()(["red ball"] * 8)
    seen = {}

    def keep(_, noisy, sigma, __):
        seen["noisy"] = noisy
        return noisy

    model = train_lora.Trainee(build_dit(SMOKE), random_pipeline(0).text_encoder)
    train_lora.loss_parts(Run(tmp_path, 1.0), model, rows, keep)
    torch.testing.assert_close(seen["noisy"][:, :, 3:], seen["noisy"][:, :, list(SLOTS)])
    levels, starts = train_lora.draw_levels(1000, torch.device("cpu"))
    assert (starts == 1).all()
    monkeypatch.setattr(train_lora, "BRIDGES", 1.0)
    levels, starts = train_lora.draw_levels(1000, torch.device("cpu"))
    assert (starts >= levels).all()
    assert 0 < levels.min() < 0.1 < 0.9 < levels.max() < 1


def test_slots_of_keyframe_images_come_first_with_the_frame_that_is_marked():
    mask = keyframe_mask([[0, 6], [], [12]], 17, 1, 1)[..., 0, 0]
    for _ in range(5):
        slots, index = choose_slots(mask)
        assert slots.shape == (3, 5)
        assert all(len(set(row)) == 5 for row in slots.tolist())
        assert set(slots[0, :2].tolist()) == {0, 2}
        assert sorted(index[0, :2].tolist()) == [0, 6]
        assert (slots[2, 0], index[2, 0]) == (3, 12)
        assert torch.equal(index[1], 4 * slots[1])


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (32, 48, 3), np.uint8)


@torch.no_grad()
def test_held_keyframes_are_the_latents_that_an_edit_makes(monkeypatch, tmp_path):
    monkeypatch.setattr("training.replay.disagreement", partial(disagreement, share=0.0))
    pipe, shape = random_pipeline(3), (9, 32, 48)
    encoder = KeyEncoder(Run(tmp_path, 1.0, config="smoke"), Feed("cpu", 1), pipe.vae, [shape])
    frames = np.stack([picture(seed) for seed in range(9)])
    target = torch.from_numpy(frames).permute(3, 0, 1, 2).unsqueeze(0).float() * (2 / 255) - 1
    indices = [[0, 3]]
    lesson = Lesson(
        target=target,
        source=target * 0.5,
        keys=keyframe_clip(target, indices),
        mask=keyframe_mask(indices, 9, 1, 1),
        tokens=WordTokenizer()(["red ball"]),
    )
    encoder.write(shape, Order(lesson, [], []))
    model, ring = WanVideo(pipe), encoder.rings[shape].data
    slots = ring["slots"][0].tolist()
    assert set(slots) == {0, 1, 2}
    assert set(slots[:2]) == {0, 1}
    for position, slot in enumerate(slots):
        index = {0: 0, 1: 3, 2: 8}[slot]
        expected = encode_keyframes(model, [Keyframe(index, frames[index])], frames, draw(1, 4, 3, 4, 6), "hold")
        found = ring["held"][0, position].float()
        torch.testing.assert_close(found, expected[0, :, 0], atol=0.05, rtol=0.02)  # the ring keeps bfloat16


def test_only_edits_with_tokens_run_through_the_lora(trained):
    pipe = pipeline(trained)
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
    with pytest.raises(ModelError, match=f"No LoRA at {LORA_FILE}"):
        joint_transformer(random_pipeline(0), tmp_path / LORA_FILE)


def test_a_lora_of_another_architecture_is_refused(tmp_path):  # the vendor would load what fits and say nothing
    path, layer = tmp_path / LORA_FILE, "blocks.0.self_attn.q"
    pipe = random_pipeline(0)
    wrong = {
        "changes blocks.7.ffn.0": {f"blocks.7.ffn.0.lora_{x}.weight": torch.ones(4, 4) for x in "AB"},
        f"changes {layer}": {f"{layer}.lora_{x}.weight": torch.ones(s) for x, s in (("A", (2, 5)), ("B", (5, 2)))},
        "half a change of blocks.0.self_attn.q": {f"{layer}.lora_A.weight": torch.ones(2, 96)},
        "holds no LoRA": {},
    }  # fmt: skip
    for words, state in wrong.items():
        save_file(state, path)
        with pytest.raises(ModelError, match=words):
            joint_transformer(pipe, path)


def test_training_goes_on_from_weights_and_refuses_to_resume(trained, tmp_path):
    small_folder(tmp_path)
    command = ["lora", "--config", "smoke", "--steps", "1", "--out", str(tmp_path)]
    assert main([*command, "--start", str(trained)]) == 0
    before, after = (load_file(folder / LORA_FILE) for folder in (trained, tmp_path))
    name = "blocks.1.ffn.2.lora_B.weight"
    assert (before[name] - after[name]).abs().max() < 0.3 * before[name].abs().max()  # catches: a start from nothing
    with pytest.raises(SettingError, match="Use --start"):
        train_lora.train_lora(Run(tmp_path, 1.0, resume=tmp_path))


def test_the_shipped_size_keeps_all_weights_within_64_mb(tmp_path):
    with torch.device("meta"):
        dit = build_dit(SHIPPED)
    changes = attach(dit)
    state = {name: torch.zeros(value.shape) for name, value in to_file(changes.state_dict()).items()}
    save_half(state, tmp_path / LORA_FILE, {"format": "pt"})
    size = (tmp_path / LORA_FILE).stat().st_size
    assert size <= 3.7e6
    rest = [path for path in WEIGHTS.iterdir() if path.is_file() and path.name != LORA_FILE]
    assert size + sum(path.stat().st_size for path in rest) <= 64e6
    shipped = WEIGHTS / LORA_FILE
    assert not shipped.exists() or shipped.stat().st_size <= 3.7e6
