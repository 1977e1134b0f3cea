"""Training: lessons show what edits show, the loss asks for the right field, both trainings start and resume."""

import math
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from small_tiny import random_pipeline

from flowedit.errors import ModelError
from flowedit.keyframes import Keyframe
from flowedit.methods.encoding import encode_keyframes
from flowedit.tiny.config import DIT_FILE, SMOKE, SPATIAL, VAE_FILE
from flowedit.tiny.load import load_vae
from flowedit.tiny.model import build_dit, build_text_encoder, build_vae
from flowedit.wan.adapter import WanVideo
from flowedit.wan.routes import keyframe_mask
from training import dit, examples
from training import vae as train_vae
from training.__main__ import main
from training.estimates import Estimates, make
from training.keyframes import at_slots, lay_out
from training.lessons import STYLES, Lessons
from training.loop import Run
from training.natural import HELD_OUT, image_folder
from training.photographs import CARD, bundle, fetch, listed, load_photographs
from training.replay import Replay, Ring
from training.sequence import decode_sequence, encode_sequence

SHAPE = (5, 32, 32)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of two small photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("chelsea.png", "brick.png"):
        with Image.open(image_folder() / name) as image:
            image.convert("RGB").resize((200, 160)).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture(scope="module")
def replay(photographs, tmp_path_factory):
    """Rings with one lesson without an estimate and one with."""
    run = Run(tmp_path_factory.mktemp("run"), config="smoke")
    found = Replay(run, Lessons("cpu", 5, photographs), build_vae(SMOKE), [SHAPE])
    found.fill(1)
    while not found.written[True]:  # its estimates are made elsewhere, and taken in once they are there
        found.renew(lambda: SHAPE)
        time.sleep(0.01)
    return found


def rows_of(replay):
    filled = replay.latents[SHAPE].filled
    rows = {"row": torch.arange(filled), **{name: value[:filled] for name, value in replay.latents[SHAPE].data.items()}}
    return {name: value.float() if value.is_floating_point() else value for name, value in rows.items()}


def keys_of(styled):
    return {i: styled[0, i].mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy() for i in (0, 4)}


def steps_of(replay, monkeypatch, predict):
    """A step whose model is a function of state and level."""
    torch.manual_seed(0)
    model = dit.Trainee(build_dit(SMOKE), build_text_encoder(SMOKE))
    monkeypatch.setattr(dit.Replay, "fill", lambda self, each: None)
    steps = dit.Steps(replay.run, model, replay, {SHAPE: 1.0})
    steps.predict = lambda _, state, sigma, __, **more: predict(state, sigma.view(-1, 1, 1, 1, 1))
    return steps


def finished_steps(replay, monkeypatch, predict):
    """A step whose finished edits are the first ones that the ring holds."""
    ring = replay.finished[SHAPE]
    held = dict(ring.data)
    monkeypatch.setattr(ring, "draw", lambda n: {"row": torch.arange(n), **{k: v[:n] for k, v in held.items()}})
    return steps_of(replay, monkeypatch, predict)


def test_the_photographs_ask_for_no_more_than_a_name_and_none_is_held_out():
    """Catches share-alike and GPL pictures on the card, and a held-out picture that is trained on."""
    lines = [line.split(" | ") for line in CARD.read_text().splitlines() if line.startswith("- ")]
    free = ("CC0", "CC-BY-1", "CC-BY-2", "CC-BY-3", "CC-BY-4", "public", "no known restrictions")
    assert all(licence.startswith(free) and author for _, _, licence, author in lines)
    assert not set(HELD_OUT) & {path for paths in listed().values() for path in paths}


def test_the_photographs_of_a_card_are_fetched_and_one_that_is_gone_is_named(tmp_path):
    line = "- {}.jpg | scikit-image: {} | CC0 | x\n"
    (tmp_path / "card.md").write_text(line.format("cat", "chelsea.png") + line.format("stone", "brick.png"))
    fetch(tmp_path / "found", tmp_path / "card.md")
    assert load_photographs(tmp_path / "found", 64).shape == (2, 3, 64, 64)
    (tmp_path / "card.md").write_text(line.format("cat", "lost.png"))
    with pytest.raises(ModelError, match="scikit-image has no lost"):
        fetch(tmp_path / "found", tmp_path / "card.md")


def test_pictures_are_read_out_of_qts_bundles():
    """A bundle of one folder and two files, one of them compressed."""
    names = b"".join(len(n).to_bytes(2, "big") + bytes(4) + n.encode("utf-16-be") for n in ("src", "a.jpg", "b.jpg"))
    packed = zlib.compress(b"two")
    contents = (3).to_bytes(4, "big") + b"one" + (4 + len(packed)).to_bytes(4, "big") + bytes(4) + packed
    rows = [(0, 2, 1, 1), (0, 2, 2, 2), (12, 0, 0, 0), (28, 1, 0, 7)]  # the first number: where the name begins
    tree = b"".join(struct.pack(">IHII", *row) for row in rows)
    head = b"qres" + struct.pack(">4I", 1, 20, 20 + len(tree), 20 + len(tree) + len(contents))
    assert list(bundle(head + tree + contents + names)) == [("//src/a.jpg", b"one"), ("//src/b.jpg", b"two")]


@pytest.mark.parametrize("route", dit.ROUTES)
def test_the_field_that_leads_straight_to_the_clip_has_no_loss(replay, monkeypatch, route):
    """Off the line from noise to the clip, nearer at some slots, from a wrong answer: v = (z - z0) / sigma."""
    rows = rows_of(replay)

    def ideal(state, s):
        v = (state[:, :, : rows["z0"].shape[2]] - rows["z0"]) / s
        return torch.cat([v, torch.zeros_like(state[:, :, v.shape[2] :])], dim=2)

    errors, _, own = steps_of(replay, monkeypatch, ideal)._flow(rows, SHAPE, route)
    assert errors.shape == (len(rows["z0"]),)
    least = torch.where(own, dit.OWN_ERROR * math.log(dit.OWN_FLOOR), 0.0)
    torch.testing.assert_close(errors, least, atol=1e-4, rtol=0)
    kept = replay.latents[SHAPE].data["answer"][rows["row"]].float()
    torch.testing.assert_close(kept[own], rows["z0"][own], atol=0.02, rtol=0.02)  # the answer is what comes next


def on_the_way(rows, monkeypatch, **shares):
    """Examples of rows where training's shares of each kind are others, and their levels."""
    for name, value in shares.items():
        monkeypatch.setattr(examples, name, value)
    example = examples.on_the_way(rows, torch.zeros(len(rows["z0"]), dtype=torch.bool))
    return example, example.sigma.view(-1, 1, 1, 1, 1)


def test_the_plain_field_is_noise_minus_clip(replay, monkeypatch):
    rows = rows_of(replay)
    example, s = on_the_way(rows, monkeypatch, BRIDGES=0.0)
    torch.testing.assert_close(example.state, (1 - s) * rows["z0"] + s * example.noise)
    assert (example.weight == 1).all()


def test_an_example_of_the_models_own_answer_tells_nothing_of_the_right_one(replay, monkeypatch):
    """Catches a state that holds what an edit cannot know; at its start it is the noised source, whatever was said."""
    rows = rows_of(replay)
    rows["z0"], rows["zs"], rows["answer"] = (torch.full_like(rows["z0"], v) for v in (9.0, 1.0, 2.0))
    example, s = on_the_way(rows, monkeypatch, PULLED=0.0, BRIDGES=1.0, OWN=1.0)
    held = (example.state - s * example.noise).mean((1, 2, 3, 4)) / (1 - example.sigma)
    assert example.own.all()
    assert ((held > 0.99) & (held < 2.01)).all()


def test_a_pull_is_shown_at_marked_slots_alone(replay, monkeypatch):
    """Catches: examples near the answer where no keyframe is, which would tell the model that edits arrive there."""
    rows = rows_of(replay)
    rows["z0"], rows["zs"], rows["ze"] = (torch.full_like(rows["z0"], v) for v in (0.0, 1.0, 1.0))
    example, s = on_the_way(rows, monkeypatch, PULLED=1.0, BRIDGES=1.0, OWN=0.0)
    lean = (example.state - s * example.noise).mean((1, 3, 4))
    marked = rows["mask"].amax(1)[:, :, 0, 0] > 0
    most = lean.amax(1, keepdim=True).expand_as(lean)
    torch.testing.assert_close(lean[~marked], most[~marked], atol=1e-5, rtol=1e-4)
    assert (lean[marked] < most[marked] - 1e-4).any()


def test_examples_with_an_estimate_begin_at_the_source_and_pass_only_levels_below():
    estimated = torch.arange(4000) % 2 == 0
    sigma, lean, own = examples.draw_levels(4000, torch.device("cpu"), estimated)
    assert sigma[estimated].max() <= 0.65
    assert not own[estimated].any()
    assert (lean[estimated] > 0).all()
    # At its own start an edit is the noised source: the lean is all that is not noise.
    assert (lean[estimated] - (1 - sigma[estimated])).abs().lt(1e-5).float().mean() > 0.4
    assert 0.15 < (lean[~estimated] == 0).float().mean() < 0.35


def test_each_example_shows_what_its_route_says(replay):
    """Catches a source where the estimate belongs, keyframes that tokens alone shall tell, and the other ways round."""
    rows = rows_of(replay)
    marks = {"zs": 1.0, "keys": 3.0, "ze": 4.0}
    rows |= {name: torch.full_like(rows["z0"], value) for name, value in marks.items()}
    rows["confidence"] = torch.full_like(rows["confidence"], 0.5)
    estimated = rows["estimated"]
    for images, latent in ((True, 3), (False, 1)):
        shown = examples.shown_frames(rows, estimated, images=images)
        assert (shown[~estimated, 4:] == latent).all()
        assert (shown[estimated, 4:] == 4).all()
        assert (shown[estimated, :4] == 0.5).all()
        assert (shown[~estimated, :4].sum() > 0) == images


def test_keyframe_tokens_are_the_latents_that_edits_make(photographs, tmp_path):
    """Catches a held picture of another frame, and a change that is not added to the source's own latents."""
    pipe, draw = random_pipeline(3), np.random.default_rng(0)
    frames, other = (draw.integers(0, 255, (9, 32, 48, 3), np.uint8) for _ in range(2))
    source, styled = (torch.from_numpy(v).permute(3, 0, 1, 2)[None].float() * (2 / 255) - 1 for v in (frames, other))
    replay = Replay(Run(tmp_path, config="smoke"), Lessons("cpu", 1, photographs), pipe.vae, [(9, 32, 48)])
    rows = replay.encoded(lay_out(styled, source, styled, [[0, 3]], torch.zeros(1, 32, dtype=torch.int64)))
    slots = rows["slots"][0].tolist()
    assert set(slots) == {0, 1, 2}
    assert set(slots[:2]) == {0, 1}, "those of the keyframes first"
    model, z = WanVideo(pipe), rows["zs"].float()
    for position, slot in enumerate(slots):
        index = {0: 0, 1: 3, 2: 8}[slot]
        for encoding, found in (("hold", rows["held"]), ("delta", at_slots(z, rows["slots"]) + rows["change"])):
            expected = encode_keyframes(model, [Keyframe(index, other[index])], frames, z, encoding)
            torch.testing.assert_close(found[0, :, position].float(), expected[0, :, 0], atol=0.08, rtol=0.03)


def test_rows_of_a_batch_may_have_different_slots():
    """Catches: positions of the first row used for all."""
    model = build_dit(SMOKE)
    both = dit.joint_tables(model, torch.tensor([[0, 2], [1, 0]]), torch.Size((3, 4, 4)))
    for row, slots in enumerate(([[0, 2]], [[1, 0]])):
        alone = dit.joint_tables(model, torch.tensor(slots), torch.Size((3, 4, 4)))
        assert all(torch.equal(b[row], a[0]) for a, b in zip(alone, both, strict=True))
    assert not torch.equal(both[0][0], both[0][1])


def test_a_finished_edit_is_judged_by_its_pixels_and_teaches_the_transformer(replay, monkeypatch):
    """Catches errors taken from latents, changes laid where none belongs, and a gradient that is lost on the way."""
    ring = replay.finished[SHAPE].data
    steps = finished_steps(replay, monkeypatch, lambda state, s: (state - ring["ze"].float()[:2]) / s)
    steps._velocity = lambda state, sigma, ids, shown, tables: (
        (state - shown[:, 4:]) / sigma.view(-1, 1, 1, 1, 1)
    ).requires_grad_()
    assert abs(float(steps._finished(SHAPE))) < 0.1, "the estimate's own latents change nothing"
    del steps._velocity
    steps.predict = dit.velocity
    torch.nn.init.ones_(steps.model.dit.head.head.weight)
    for finished in (steps._finished, steps._finished_method):
        steps.model.dit.head.head.weight.grad = None
        finished(SHAPE)
        assert steps.model.dit.head.head.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in replay.model.parameters())


def test_a_finished_step_of_the_method_lays_its_change_on_the_source(replay, monkeypatch):
    """Catches the answer shown to both velocities, a change that is laid on the decoded source, and a swapped pair."""
    steps = finished_steps(replay, monkeypatch, None)
    rows = replay.finished[SHAPE].draw(2)
    source, truth = (rows[name].float() / 127.5 - 1 for name in ("source", "truth"))

    def found(target):
        def velocity(state, sigma, ids, shown, tables):
            clean = torch.cat([target.float(), rows["zs"].float()])
            assert torch.equal(shown[2:, 4:], rows["zs"].float())
            return ((state - clean) / sigma.view(-1, 1, 1, 1, 1)).requires_grad_()

        steps._velocity = velocity
        return float(steps._finished_method(SHAPE))

    unchanged = float(-dit._DECIBEL * dit._log_error(source, truth))
    assert found(rows["zs"]) == pytest.approx(unchanged, abs=0.2)
    there = source + replay.decode(rows["ze"].float()) - rows["seen"].float()
    assert found(rows["ze"]) == pytest.approx(float(-dit._DECIBEL * dit._log_error(there, truth)), abs=0.05)


def test_a_lessons_estimate_comes_with_a_mask_that_knows_the_keyframes(photographs):
    """Catches a mask laid out unlike the i2v route's, another style's estimate, and a source of another scene."""
    order = Lessons("cpu", 5, photographs).lesson(STYLES, 9, 32, 32, estimates=Estimates(0))
    lesson = order.deliver()
    assert lesson.confidence.shape == (STYLES, 4, 3, 32 // SPATIAL, 32 // SPATIAL)
    for row, keys in enumerate(order.keys):
        hard = keyframe_mask(keys, 9, 32 // SPATIAL, 32 // SPATIAL)
        assert (lesson.confidence[row][hard == 1] == 1).all()
    assert all(torch.equal(lesson.source[0], other) for other in lesson.source[1:])
    away = torch.tensor([[(t - e).abs().mean() for e in lesson.estimate] for t in lesson.target])
    apart = torch.tensor([[(t - u).abs().mean() for u in lesson.target] for t in lesson.target]) > 0.1
    assert apart.any()
    assert (away.diagonal()[:, None].expand_as(away) < away)[apart].all()


def test_other_processes_make_the_same_estimates():
    source, first, second = torch.rand(3, 1, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pool = Estimates(1)
    there = pool.order(source, torch.cat([first, second]), [[0, 4]])[0].result()
    pool.close()
    frames = source[0].mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for made, styled in zip(there, (first, second), strict=True):
        alone = make(frames, [keys_of(styled)])[0]
        # A level of 255: a process that computed other things before was seen to round another way.
        for a, b in zip(made, alone, strict=True):
            np.testing.assert_allclose(np.asarray(a, float), b, rtol=0, atol=1 if a is not made.confidence else 1e-5)
        assert made.agreement == pytest.approx(alone.agreement, abs=1e-4)


def test_the_oldest_rows_are_written_over():
    ring = Ring(room=4)
    for number in range(3):
        ring.write({"a": torch.full((2, 1), float(number))})
    assert ring.filled == 4
    assert ring.data["a"].flatten().tolist() == [2, 2, 1, 1]


def test_lessons_repeat_with_their_seed_and_no_other(photographs):
    first, again, other = (Lessons("cpu", n, photographs).clips(4, 5, 32, 32) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05
    assert first.shape == (4, 3, 5, 32, 32)


def test_both_parts_train_write_weights_and_resume(photographs, tmp_path):
    out = ["--config", "smoke", "--out", str(tmp_path), "--photographs", str(photographs)]
    assert main(["vae", "--steps", "30", *out]) == 0
    clips = Lessons("cpu", 5, photographs).clips(4, 5, 32, 32)
    trained = load_vae(tmp_path / VAE_FILE, SMOKE)
    torch.manual_seed(0)
    start = build_vae(SMOKE).model
    train_vae.gentle_start(start)
    with torch.no_grad():
        back = [decode_sequence(m, encode_sequence(m, clips)[0]).clamp(-1, 1) for m in (start, trained.model)]
    before, after = ((made - clips).pow(2).mean() for made in back)
    assert after < 0.8 * before
    assert main(["dit", "--steps", "3", *out]) == 0
    state = torch.load(tmp_path / "dit_state.pt", weights_only=True)
    assert state["done"][1] == 3
    torch.save({**state, "done": [1000.0, 3]}, tmp_path / "dit_state.pt")
    assert main(["dit", "--steps", "5", "--resume", *out]) == 0
    seconds, steps = torch.load(tmp_path / "dit_state.pt", weights_only=True)["done"]
    assert seconds > 1000  # catches: begun again from 0
    assert steps == 5
    assert (tmp_path / DIT_FILE).is_file()
