"""Training: the loss asks for the right field, the optimiser does what it says, both runs start and resume."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.run import get_args_parser

from flowedit.tiny.config import SMOKE, SPATIAL
from flowedit.tiny.load import DIT_FILE, VAE_FILE, load_vae
from flowedit.tiny.model import build_dit, build_text_encoder
from flowedit.tiny.text import TinyTextEncoder, WordTokenizer
from training import dit as train_dit
from training import vae as train_vae
from training.__main__ import launch_arguments, main
from training.estimates import Guesses, make
from training.evaluate import reconstruct
from training.feed import STYLES, Feed
from training.forward import velocity
from training.keyframes import keyframe_mask
from training.optim import Average, Muon, average_gradients, learning_rate, orthogonalise
from training.repair import RepairEncoder, repair_errors
from training.run import Run


def rows(n=16):
    g = torch.Generator().manual_seed(0)
    z0, zs = torch.randn(n, 4, 3, 4, 4, generator=g), torch.randn(n, 4, 3, 4, 4, generator=g)
    ids, repair = WordTokenizer()(["red ball"] * n), torch.arange(n) % 2 == 0
    return {"z0": z0, "zs": zs, "y": torch.zeros(n, 8, 3, 4, 4), "repair": repair, "ids": ids}


def keys_of(styled):
    return {i: styled[0, i].mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy() for i in (0, 4)}


def test_the_field_that_leads_straight_to_the_clip_has_no_loss(tmp_path):
    """Also from states between the source and the right clip: there too, v = (z - z0) / sigma."""
    data = rows()
    model = train_dit.Trainee(build_dit(SMOKE), TinyTextEncoder(16))

    def ideal(_, noisy, sigma, __):
        return (noisy - data["z0"]) / sigma.view(-1, 1, 1, 1, 1)

    parts = train_dit.loss_parts(Run(tmp_path, 1.0), model, data, ideal)
    assert parts.shape == (16,)
    assert parts.max() < 1e-6


def test_the_plain_field_is_noise_minus_clip(monkeypatch, tmp_path):
    monkeypatch.setattr(train_dit, "BRIDGES", 0.0)
    data, seen = rows(), {}
    data["repair"][:] = False
    model = train_dit.Trainee(build_dit(SMOKE), TinyTextEncoder(16))

    def record(_, noisy, sigma, __):
        s = sigma.view(-1, 1, 1, 1, 1)
        seen["noise"] = (noisy - (1 - s) * data["z0"]) / s
        return seen["noise"] - data["z0"]

    assert train_dit.loss_parts(Run(tmp_path, 1.0), model, data, record).max() < 1e-6
    assert abs(float(seen["noise"].std()) - 1) < 0.05


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((2, 16, 48), (2, 48, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_gradients_are_clipped_and_bad_entries_dropped():
    p, q = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, math.nan, 4.0])
    norm = average_gradients([p, q], clip=1.0)
    assert float(norm) == pytest.approx(5.0)
    torch.testing.assert_close(p.grad, torch.tensor([0.6, 0.0, 0.8]), atol=1e-5, rtol=0)
    assert torch.equal(q.grad, torch.zeros(2))


def test_the_optimiser_and_its_average_bring_a_small_problem_down():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(64, 8)
    y = x[:, :1] * x[:, 1:2]
    optimiser, average = Muon(net.named_parameters()), Average(net, 0.9)
    first = float(((net(x) - y) ** 2).mean().detach())
    for step in range(150):
        ((net(x) - y) ** 2).mean().backward()
        optimiser.step(learning_rate(0.02, step / 150, step=step, warmup=10))
        average.update()
    net.load_state_dict(average.shadow)
    assert float(((net(x) - y) ** 2).mean().detach()) < 0.2 * first


def test_the_learning_rate_warms_up_holds_and_falls_to_nothing():
    assert learning_rate(1.0, 0.0, step=0, warmup=100) == pytest.approx(0.01)
    assert learning_rate(1.0, 0.4, step=500) == pytest.approx(1.0)
    assert learning_rate(1.0, 0.7, step=500) == pytest.approx(0.5)
    assert learning_rate(1.0, 1.0, step=500) == pytest.approx(0.0)


def test_a_lessons_guess_comes_with_a_mask_that_knows_the_keyframes():
    """Catches a mask laid out unlike the i2v route's."""
    order = Feed("cpu", 3).lesson(STYLES, 9, 32, 32, guesses=Guesses(0))
    assert order.ready
    lesson = order.deliver()
    assert lesson.guess.shape == lesson.target.shape
    assert lesson.trust.shape == (STYLES, 4, 3, 32 // SPATIAL, 32 // SPATIAL)
    assert 0 <= lesson.trust.min() < 1
    for row, keys in enumerate(order.keys):
        hard = keyframe_mask([keys], 9, 32 // SPATIAL, 32 // SPATIAL)[0]
        assert (lesson.trust[row][hard == 1] == 1).all()


def test_one_scene_is_shown_in_several_styles_with_the_same_source():
    """Catches a guess handed to another style of its scene, and a source of another scene."""
    lesson = Feed("cpu", 5).lesson(STYLES, 9, 32, 32, guesses=Guesses(0)).deliver()
    assert all(torch.equal(lesson.source[0], other) for other in lesson.source[1:])
    away = [[(t - g).abs().mean() for g in lesson.guess] for t in lesson.target]
    assert (torch.tensor(away).argmin(1) == torch.arange(STYLES)).all()
    assert (lesson.target[0] - lesson.target[1]).abs().mean() > 0.01


def test_other_processes_make_the_same_guesses():
    source, first, second = torch.rand(3, 1, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pool = Guesses(1)
    there = pool.order(source, torch.cat([first, second]), [[0, 4]])[0].result()
    pool.close()
    frames = source[0].mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for made, styled in zip(there, (first, second), strict=True):
        alone = make(frames, [keys_of(styled)])[0]
        assert all(np.all(a == b) for a, b in zip(made, alone, strict=True))


def test_options_of_several_processes_reach_the_training():
    """Catches PyTorch's launcher taking --start for the beginning of an option of its own."""
    told = launch_arguments(2, ["dit", "--start", "weights", "--devices", "2"])
    read = get_args_parser().parse_args(told)
    assert (read.training_script, read.nproc_per_node, read.module) == ("training.__main__", "2", True)
    assert read.training_script_args == ["dit", "--start", "weights", "--devices", "2"]


def test_examples_of_both_kinds_are_drawn_with_their_own_conditions(tmp_path):
    """Catches keyframes on grey where the guess belongs, and the other way round."""
    ring = train_dit.Ring(
        {
            "z0": torch.zeros(8, 4, 3, 4, 4),
            "zs": torch.zeros(8, 4, 3, 4, 4),
            "y": torch.full((8, 4, 3, 4, 4), 2.0),
            "zg": torch.full((8, 4, 3, 4, 4), 3.0),
            "mask": torch.zeros(8, 4, 3, 1, 1),
            "trust": torch.full((8, 4, 3, 4, 4), 0.5),
            "guessed": torch.arange(8) < 4,
            "ids": torch.zeros(8, 4, dtype=torch.int64),
        }
    )
    ring.filled = 8
    encoder = train_dit.Encoder.__new__(train_dit.Encoder)
    encoder.run, encoder.rings = Run(tmp_path, 1.0), {(9, 16, 16): ring}
    rows = encoder.batch((9, 16, 16), 64)
    assert 0 < rows["repair"].sum() < 40
    assert (rows["y"][rows["repair"], 4:] == 3).all()
    assert (rows["y"][rows["repair"], :4] == 0.5).all()
    assert (rows["y"][~rows["repair"], 4:] == 2).all()
    assert (rows["y"][~rows["repair"], :4] == 0).all()


def test_repairs_begin_at_the_source_and_pass_only_levels_below():
    repair = torch.arange(4000) % 2 == 0
    sigma, start = train_dit.draw_levels(repair)
    assert (sigma <= start).all()
    assert (sigma[repair] == start[repair]).float().mean() > 0.4
    assert start[repair].max() <= 0.65
    assert (start[~repair] == 1).float().mean() > 0.5


def test_a_feed_repeats_with_its_seed_and_no_other():
    first, again, other = (Feed("cpu", n).clips(4, 5, 32, 32) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05
    assert first.shape == (4, 3, 5, 32, 32)
    assert first.min() < -0.3
    assert first.max() > 0.3


def test_both_parts_train_write_weights_and_resume(tmp_path):
    out = ["--config", "smoke", "--out", str(tmp_path)]
    assert main(["vae", "--steps", "30", *out]) == 0
    clips = Feed("cpu", 5).clips(4, 5, 32, 32)
    trained = load_vae(tmp_path / VAE_FILE, SMOKE)
    torch.manual_seed(0)
    start = train_vae.build_vae(SMOKE).model
    train_vae.gentle_start(start)
    with torch.no_grad():
        before, after = ((reconstruct(m, clips) - clips).pow(2).mean() for m in (start, trained.model))
    assert after < 0.8 * before
    assert main(["dit", "--steps", "3", *out]) == 0
    written = (tmp_path / DIT_FILE).read_bytes()
    assert main(["dit", "--steps", "3", "--resume", str(tmp_path), "--seed", "1", *out]) == 0
    resumed = (tmp_path / DIT_FILE).read_bytes()
    assert resumed != written
    assert main(["repair", "--steps", "3", "--start", str(tmp_path), *out]) == 0
    assert (tmp_path / DIT_FILE).read_bytes() != resumed


def test_a_repair_is_judged_by_the_pixels_that_an_edit_would_end_with(tmp_path):
    """Catches errors taken from the decoded latents themselves, and repairs laid where none belongs."""
    encoder = RepairEncoder(
        Run(tmp_path, 1.0, config="smoke"), Feed("cpu", 5), train_vae.build_vae(SMOKE), [(5, 32, 32)]
    )
    encoder.fill(1)
    ring = encoder.rings[5, 32, 32]
    rows = {name: value[: ring.filled] for name, value in ring.data.items()}
    model = train_dit.Trainee(build_dit(SMOKE), TinyTextEncoder(16))

    def towards(wanted):
        return lambda _, noisy, sigma, __: (noisy - wanted.float()) / sigma.view(-1, 1, 1, 1, 1)

    before, after = repair_errors(encoder, model, rows, towards(rows["zg"]))
    torch.testing.assert_close(after, before, rtol=0.02, atol=1e-5)
    _, changed = repair_errors(encoder, model, rows, towards(rows["zg"] + 3))
    assert (changed / before).max() > 1.1
    nowhere = rows | {"share": torch.zeros_like(rows["share"])}
    before, after = repair_errors(encoder, model, nowhere, towards(rows["zg"] + 3))
    assert torch.equal(after, before)


def test_the_gradient_of_a_finished_repair_reaches_the_transformer(tmp_path):
    encoder = RepairEncoder(
        Run(tmp_path, 1.0, config="smoke"), Feed("cpu", 5), train_vae.build_vae(SMOKE), [(5, 32, 32)]
    )
    encoder.fill(1)
    model = train_dit.Trainee(build_dit(SMOKE), build_text_encoder(SMOKE))
    encoder.learn_more(model, (5, 32, 32), velocity)
    assert all(p.grad is None for p in encoder.model.parameters())
    assert model.dit.head.head.weight.grad.abs().max() > 0
    assert "dB" in encoder.reading()
