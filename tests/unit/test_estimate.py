"""The classical guess: exact where colours say all, steady where keyframes disagree, doubtful where it should be."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from flowedit.errors import KeyframeError, VideoShapeError
from flowedit.estimate import CLASSICAL, WindowEstimates, estimate
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation
from flowedit.metrics import psnr

HEIGHT, WIDTH, COUNT = 64, 80, 17
KEYS = (0, 8, 16)


def scene():
    """A textured square that slides over a textured ground, and where it is."""
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(40, 200, (16, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    square = np.kron(rng.integers(60, 230, (6, 6, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    frames, inside = np.repeat(ground[None], COUNT, axis=0), np.zeros((COUNT, HEIGHT, WIDTH), bool)
    for i in range(COUNT):
        frames[i, 20:44, 4 + 3 * i : 28 + 3 * i] = square
        inside[i, 20:44, 4 + 3 * i : 28 + 3 * i] = True
    return frames, inside


def keyframes(styled):
    return {i: styled[i] for i in KEYS}


def recoloured(frames):
    return (255 - frames[..., ::-1] * 0.8).astype(np.uint8)


def lined(frames):
    """A style that no colour map explains: dark stripes that stick to the picture's place on the screen."""
    stripes = (np.arange(WIDTH) // 2 % 2 * 60)[None, None, :, None]
    return np.clip(frames.astype(int) - stripes, 0, 255).astype(np.uint8)


def test_a_style_of_colours_is_exact_behind_the_object_too_and_wholly_sure():
    frames, _ = scene()
    made = estimate(frames, keyframes(recoloured(frames)))
    assert psnr(made.frames, recoloured(frames)).min() > 38
    assert made.confidence.min() > 0.9, "there is nothing to repair in a style that the map explains"


def test_detail_beyond_colours_is_carried():  # catches: the detail lost between map and propagation
    frames, _ = scene()
    truth = lined(frames)
    made = estimate(frames, keyframes(truth)).frames
    assert psnr(made, truth).mean() > psnr(colour_map(frames, keyframes(truth)), truth).mean() + 3


def test_what_the_maps_get_wrong_anew_in_each_frame_is_carried_whole():
    """Catches carried detail standing on maps that say something else of the same surface in the next frame."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH + COUNT, 3)), (0, 0), 2) * 160 + 128
    painted = ground + cv2.GaussianBlur(rng.normal(0, 1, ground.shape), (0, 0), 1.5) * 60
    shown, truth = (
        np.stack([each.clip(0, 255).astype(np.uint8)[:, i : i + WIDTH] for i in range(COUNT)])
        for each in (ground, painted)
    )
    shown = (shown + rng.normal(0, 4, shown.shape)).clip(0, 255).astype(np.uint8)
    keys = keyframes(truth)
    assert psnr(estimate(shown, keys).frames, truth).mean() > psnr(propagation(shown, keys), truth).mean() - 1


def test_the_tints_of_keyframes_that_disagree_are_averaged():  # catches: each keyframe's own tint carried along
    frames, _ = scene()
    truth = lined(frames)
    shifted = {
        i: np.clip(truth[i].astype(int) + shift, 0, 255).astype(np.uint8)
        for i, shift in zip(KEYS, (-25, 0, 25), strict=True)
    }
    away = [i for i in range(COUNT) if i not in KEYS]
    made, carried = estimate(frames, shifted).frames, propagation(frames, shifted)
    assert psnr(made[away], truth[away]).mean() > psnr(carried[away], truth[away]).mean() + 1.5


def test_doubt_lies_where_no_keyframe_shows_the_place():
    frames, inside = scene()
    trust = estimate(frames, {0: lined(frames)[0]}).confidence
    revealed = inside[0] & ~inside[-1]
    assert trust[0].min() == 1
    assert trust[-1][revealed].mean() < trust[-1][~inside[0] & ~inside[-1]].mean() - 0.2


def test_the_change_is_laid_where_doubt_is_and_everywhere_when_keyframes_disagree():
    """Catches a repair over what the guess has right, and one kept to doubtful places under doubtful keyframes."""
    frames, _ = scene()
    truth = lined(frames)
    agreeing = estimate(frames, keyframes(truth))
    assert agreeing.need()[list(KEYS)].max() == 0
    assert (agreeing.need() >= 1 - agreeing.confidence - 1e-6).all()
    tints = {i: np.clip(truth[i] * s, 0, 255).astype(np.uint8) for i, s in zip(KEYS, (0.8, 1, 1.2), strict=True)}
    disagreeing = estimate(frames, tints)
    assert disagreeing.tint > agreeing.tint + 5
    assert agreeing.agreement == 1
    assert disagreeing.agreement < 0.5
    assert disagreeing.need().min() > 0.5
    part = replace(disagreeing, frames=disagreeing.frames[4:9], confidence=disagreeing.confidence[4:9])
    assert (part.need() == disagreeing.need()[4:9]).all()


def test_a_clip_without_keyframes_is_refused():
    frames, _ = scene()
    with pytest.raises(KeyframeError):
        estimate(frames, {})


WINDOWS = (slice(0, 9), slice(4, 13), slice(8, 17))


@pytest.mark.parametrize("indices", [(0, 8, 16), (6,), (3, 4, 12)])
@pytest.mark.parametrize("style", [lined, recoloured])
def test_windows_have_the_estimate_of_the_whole_clip_to_the_bit(indices, style):
    """Catches a window fitted on its own keyframes, and frames lost where a stretch ends inside a window."""
    frames, _ = scene()
    keys = {i: style(frames)[i] for i in indices}
    whole, windows = estimate(frames, keys), WindowEstimates(frames, keys)
    for part in WINDOWS:
        made = windows.window(part)
        assert np.array_equal(made.frames, whole.frames[part])
        assert np.array_equal(made.confidence, whole.confidence[part])
        assert made.tint == whole.tint
    with pytest.raises(VideoShapeError, match="the last began at frame 8, this one at 4"):
        windows.window(slice(4, 13))


@pytest.mark.parametrize("method", CLASSICAL)
@pytest.mark.parametrize("indices", [(0, 24, 32), (6,), (40,)], ids=["between", "after", "before"])
def test_a_clip_is_painted_over_with_the_frames_that_are_made_beside_it(method, indices):
    """Catches a frame of the source that is read once it is painted over: a keyframe's, or where a block of 20 ends."""
    frames, _ = scene()
    clip = np.concatenate([frames, frames[::-1], frames[:7]])
    keys = {i: recoloured(clip)[i] for i in indices}
    beside, over = CLASSICAL[method](clip, keys), clip.copy()
    assert CLASSICAL[method](over, keys, over) is over
    assert np.array_equal(over, beside)


def test_memory_of_windows_does_not_grow_with_the_clip():
    """From 17 to 153 frames by less than a twentieth of what they take: no frame, flow or grey picture stays."""
    frames, _ = scene()
    keys, long = {i: lined(frames)[i] for i in (0, 8)}, np.concatenate([frames, *[frames[::-1], frames] * 4])
    peaks = []
    for clip in (frames, long):
        tracemalloc.start()
        windows = WindowEstimates(clip, keys)
        tracemalloc.reset_peak()  # what is learned of the keyframes is the same for both
        for start in range(0, len(clip) - 8, 8):
            windows.window(slice(start, start + 9))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < (long.nbytes - frames.nbytes) / 20
