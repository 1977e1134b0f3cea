"""Full resolution from a small edit, and masks: detail kept, the untouched left alone, the source exact outside."""

import cv2
import numpy as np
import pytest
from PIL import Image

from flowedit.edit.masks import apply_mask, read_mask
from flowedit.errors import VideoFileError, VideoShapeError
from flowedit.media.clip import write_video
from flowedit.media.images import resize_image, resize_video
from flowedit.metrics import psnr
from flowedit.run.guided import carry_change, carry_frame, with_perfect_guide


def detailed(size=256, seed=0):
    """A picture with texture finer than the small pixel and a sharp disc; and where the disc is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    ground = 120 + 60 * np.sin(x / 17) * np.cos(y / 23)
    picture = np.stack([ground, ground * 0.8 + 20, 200 - ground * 0.6], axis=-1) + rng.normal(0, 12, (size, size, 1))
    disc = np.hypot(x - size * 0.45, y - size * 0.55) < size * 0.25
    picture[disc] = picture[disc] @ np.array([[0.2, 0.1, 0.6], [0.7, 0.2, 0.1], [0.1, 0.3, 0.2]]).T + 30
    return np.rint(picture.clip(0, 255)).astype(np.uint8), disc


def recoloured(picture):
    m = np.array([[0.1, 0.7, 0.1], [0.5, 0.1, 0.3], [0.3, 0.2, 0.4]])
    return np.rint((picture @ m.T + 10).clip(0, 255)).astype(np.uint8)


def db(a, b, cap=60.0):
    return float(psnr(a[None], b[None], cap)[0])


def upscaled(small, like):
    return resize_image(small, like.shape[:2])


def test_a_recoloured_picture_gets_its_fine_texture_back():
    source, _ = detailed()
    truth = recoloured(source)
    small = resize_image(truth, (64, 64))
    assert db(carry_frame(source, small), truth) > db(upscaled(small, truth), truth) + 10


def test_a_perfect_guide_leaves_only_what_the_small_edit_says_wrong():
    """Catches a bound that hides the edit's own error, and one that adds an error of its own."""
    source, _ = detailed()
    truth = recoloured(source)
    small = resize_image(truth, (64, 64))
    assert db(with_perfect_guide(source, small, truth), truth) > 50
    wrong = np.clip(small.astype(int) + 20, 0, 255).astype(np.uint8)
    off = with_perfect_guide(source, wrong, truth).astype(int) - truth
    assert 15 < np.median(off) < 25


def test_an_edit_of_one_object_ends_at_its_edge_and_leaves_the_rest():
    """Away from the edge the source is exact; all in all what was not edited stays within 40 dB."""
    source, disc = detailed()
    truth = np.where(disc[..., None], recoloured(source), source)
    small = resize_image(truth, (64, 64))
    made = carry_frame(source, small)
    assert db(made, truth) > db(upscaled(small, truth), truth) + 3
    untouched = np.abs(made[~disc].astype(float) - source[~disc])
    assert 10 * np.log10(255**2 / np.mean(untouched**2)) > 40
    y, x = np.mgrid[:256, :256]
    far = np.hypot(x - 256 * 0.45, y - 256 * 0.55) > 256 * 0.25 + 40
    assert np.abs(made[far].astype(int) - source[far]).max() <= 1


def test_no_change_returns_the_source_to_the_last_bit():
    source, _ = detailed()
    assert np.array_equal(carry_frame(source, resize_image(source, (64, 64))), source)


def test_what_no_colour_explains_still_arrives():
    """A drawn line on flat ground: no linear function of the source says it, the remainder carries it."""
    source = np.full((128, 128, 3), 90, np.uint8)
    small = resize_image(source, (32, 32)).copy()
    small[:, 16] = (200, 30, 60)
    made = carry_frame(source, small)
    assert np.abs(resize_image(made, (32, 32)).astype(int) - small).mean() < 2


@pytest.mark.parametrize("size", [(33, 50), (20, 100)])
def test_sizes_that_do_not_divide_work_frame_by_frame(size):
    source = np.stack([detailed(120, seed)[0][:100] for seed in range(3)])
    edited = resize_video(np.stack([recoloured(f) for f in source]), size)
    made = carry_change(source, edited)
    assert made.shape == source.shape
    assert np.array_equal(made[1], carry_frame(source[1], edited[1]))
    assert psnr(made, np.stack([recoloured(f) for f in source])).min() > 30


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 80, 20, 3)])
@pytest.mark.usefixtures("unchecked")
def test_an_edit_that_does_not_belong_is_refused(shape):
    with pytest.raises(VideoShapeError, match="carried"):
        carry_change(np.zeros((3, 40, 40, 3), np.uint8), np.zeros(shape, np.uint8))


def test_on_scenes_at_512_it_beats_upscaling_by_three_db_and_keeps_the_untouched():
    """A scene of the project's world in every family of styles; the edit is the truth shrunk to 128."""
    import torch

    from flowedit.tiny.splits import Split
    from flowedit.tiny.style import stylize
    from flowedit.tiny.world import render, sample_scene
    from training.families import Family, sample

    plain, guided, kept = [], [], []
    g = torch.Generator().manual_seed(920)
    clip = render(sample_scene(g, 1, 2), 512, 512)
    drawn = g.get_state()
    for family in Family:
        g.set_state(drawn)
        source, truth = (
            (v[0, 1].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
            for v in (clip.rgb, stylize(clip, sample(g, 1, Split.VALIDATION, family)))
        )
        small = resize_image(truth, (128, 128))
        made = carry_frame(source, small)
        plain.append(db(upscaled(small, truth), truth))
        guided.append(db(made, truth))
        alike = (np.abs(truth.astype(int) - source).max(axis=2) <= 1).astype(np.uint8)
        # Regions, more than a pixel of the small edit (4 here) away from anything that changed: nearer, it cannot tell.
        untouched = cv2.distanceTransform(alike, cv2.DIST_L2, 5) > 4
        if untouched.mean() > 0.01:
            kept.append(
                10 * np.log10(255**2 / max(np.mean((made[untouched].astype(float) - source[untouched]) ** 2), 1e-3))
            )
    assert np.mean(guided) > np.mean(plain) + 3
    assert len(kept) >= 2
    assert min(kept) > 40


def test_a_real_edit_of_one_object_at_512_beats_upscaling_by_three_db_and_keeps_the_untouched():
    """The scene above in a local style, edited at 128 by the shipped model's draft from its first frame alone.

    Catches a guide that only helps an edit without faults: the model's own errors are in the small edit.
    """
    import torch

    from flowedit.edit.steps import edit_video
    from flowedit.keyframes import Keyframe
    from flowedit.models import load_model
    from flowedit.presets import preset_settings
    from flowedit.tiny.splits import Split
    from flowedit.tiny.style import stylize
    from flowedit.tiny.world import render, sample_scene
    from training.families import Family, sample

    g = torch.Generator().manual_seed(920)
    clip = render(sample_scene(g, 1, 5), 512, 512)
    style = sample(g, 1, Split.VALIDATION, Family.LOCAL)
    source, truth = (
        (v[0].permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
        for v in (clip.rgb, stylize(clip, style))
    )
    words = {"prompt": f"{style.words[0]}, {clip.captions[0]}", "source_prompt": clip.captions[0]}
    keyframe = Keyframe(0, resize_image(truth[0], (128, 128)))
    settings = preset_settings("tiny", "draft", detail="guided", **words)
    small = edit_video(resize_video(source, (128, 128)), [keyframe], load_model("tiny", device="cpu"), settings).frames
    made, plain = carry_change(source, small)[1:], resize_video(small, (512, 512))[1:]
    source, truth = source[1:], truth[1:]
    assert psnr(made, truth).mean() > psnr(plain, truth).mean() + 3
    for frame, before, after in zip(made, source, truth, strict=True):
        alike = (np.abs(after.astype(int) - before).max(axis=2) <= 1).astype(np.uint8)
        untouched = cv2.distanceTransform(alike, cv2.DIST_L2, 5) > 4
        assert untouched.mean() > 0.01
        assert 10 * np.log10(255**2 / np.mean((frame[untouched].astype(float) - before[untouched]) ** 2)) > 40


def test_masks_keep_the_source_exactly_outside_and_the_edit_inside():
    rng = np.random.default_rng(0)
    source, edited = rng.integers(0, 256, (2, 3, 16, 16, 3), dtype=np.uint8)
    mask = np.zeros((3, 16, 16), np.float32)
    mask[:, 4:12] = 1
    mask[:, 8] = 0.5
    mixed = apply_mask(source, edited, mask)
    assert np.array_equal(mixed[mask == 0], source[mask == 0])
    assert np.array_equal(mixed[mask == 1], edited[mask == 1])
    assert np.abs(mixed[:, 8] - (source[:, 8] / 2 + edited[:, 8] / 2)).max() <= 0.5


def test_a_mask_picture_holds_for_every_frame_and_is_resized(tmp_path):
    picture = np.zeros((32, 64), np.uint8)
    picture[:, 32:] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", 5, (16, 32))
    assert mask.shape == (5, 16, 32)
    assert mask.dtype == np.float32
    assert (mask[:, :, :16] == 0).all()
    assert (mask[:, :, 16:] == 1).all()


def test_a_mask_video_moves_with_the_window_and_compression_leaves_black_black(tmp_path):
    frames = np.zeros((12, 32, 48, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 4 * i : 4 * i + 4] = 255
    write_video(tmp_path / "mask.mp4", frames, 25)
    mask = read_mask(tmp_path / "mask.mp4", 3, (32, 48), start=6)
    for i in range(3):
        bar = mask[i].mean(axis=0)
        assert int(np.argmax(bar)) // 4 == 6 + i
        assert (mask[i][:, :20] == 0).all()
    with pytest.raises(VideoFileError, match="12 frames"):
        read_mask(tmp_path / "mask.mp4", 7, (32, 48), start=6)


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_another_size_is_refused():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(VideoShapeError, match="read_mask"):
        apply_mask(frames, frames, np.zeros((2, 4, 8), np.float32))
