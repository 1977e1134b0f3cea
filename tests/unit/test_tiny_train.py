"""Training: the loss asks for the right field, the optimiser does what it says, both runs start and resume."""

import math

import pytest
import torch
from torch import nn

from flowedit.tiny import train_dit, train_vae
from flowedit.tiny.config import SMOKE
from flowedit.tiny.evaluate import reconstruct
from flowedit.tiny.feed import Feed, propagate
from flowedit.tiny.load import DIT_FILE, VAE_FILE, load_vae
from flowedit.tiny.model import build_dit
from flowedit.tiny.optim import Average, Muon, average_gradients, learning_rate, orthogonalise
from flowedit.tiny.run import Run
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.styles import sample, stylize
from flowedit.tiny.text import TinyTextEncoder, WordTokenizer
from flowedit.tiny.train import main
from flowedit.tiny.world import render, sample_scene


def rows(n=16):
    g = torch.Generator().manual_seed(0)
    z0, zc = torch.randn(n, 4, 3, 4, 4, generator=g), torch.randn(n, 4, 3, 4, 4, generator=g)
    return {"z0": z0, "zc": zc, "y": torch.zeros(n, 8, 3, 4, 4), "ids": WordTokenizer()(["red ball"] * n)}


def test_the_field_that_leads_straight_to_the_clip_has_no_loss(tmp_path):
    """Also from states between an imperfect clip and the right one: there too, v = (z - z0) / sigma."""
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


def test_propagated_keyframes_are_exact_at_keyframes_and_close_elsewhere():
    scene = sample_scene(generator(Split.TEST, 2), 2, 9)
    clip = render(scene, 48, 48)
    styled = stylize(clip, sample(torch.Generator().manual_seed(1), 2))
    guess = propagate(scene, clip, styled, [[0, 8], [4]], torch.Generator().manual_seed(2))
    torch.testing.assert_close(guess[0, [0, 8]], styled[0, [0, 8]], atol=1e-3, rtol=0)
    torch.testing.assert_close(guess[1, 4], styled[1, 4], atol=1e-3, rtol=0)
    error = (guess - styled).abs().mean()
    assert 1e-4 < error < (styled - styled[:, :1]).abs().mean()


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
    assert (tmp_path / DIT_FILE).read_bytes() != written
