"""The names that users know: plain functions, a call from pictures to pictures, and five calls from file to file."""

import asyncio
import inspect
import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from small_tiny import random_pipeline

from flowedit import compat
from flowedit.compat import (
    IntegratedVideoEditor,
    WanVideoEditorPipeline,
    compute_velocity_correction,
    construct_rope_ids,
    prepare_coupled_noise,
)
from flowedit.errors import KeyframeError, OutputError, SettingError, UnusualSettingWarning, VideoShapeError
from flowedit.flow import euler_step, interpolate
from flowedit.frames import fit_size
from flowedit.media.clip import probe, read_video, write_video
from flowedit.schedule import wan_sigmas

SIZE = (32, 48)
FAST = {"num_inference_steps": 4, "size": SIZE, "cfg_scale": 1.0}


def pictures(count, seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def images(array):
    return [Image.fromarray(picture) for picture in array]


@pytest.fixture(scope="module")
def small():
    return random_pipeline(seed=1)


@pytest.fixture
def pipe(small):
    return WanVideoEditorPipeline.from_model_manager(small, name="tiny")


def test_a_loop_of_the_three_functions_closes_the_gap_as_the_law_says():  # catches: pixel indices, a kappa for alpha
    shape, slots, alpha = (1, 4, 9, 4, 6), (0, 4, 8), 4.0
    assert construct_rope_ids(9, slots).tolist() == [*range(9), 0, 4, 8]
    noise, noise_key = prepare_coupled_noise(shape, slots, seed=3)
    assert torch.equal(noise_key, noise[:, :, [0, 4, 8]])
    assert torch.equal(noise, torch.randn(shape, generator=torch.Generator().manual_seed(3)))
    source, styled = torch.randn(shape), torch.randn(1, 4, 3, 4, 6)
    sigmas = wan_sigmas(8, strength=0.8)
    z, z_key = interpolate(source, noise, sigmas[0]), interpolate(styled, noise_key, sigmas[0])
    for sigma, sigma_next in pairwise(sigmas):
        dt = sigma - sigma_next
        v, v_key = torch.sin(z), noise_key - styled
        before = v.clone()
        corrected = compute_velocity_correction(z, z_key, v, v_key, slots, dt, alpha)
        assert torch.equal(v, before)
        r = z[:, :, slots] - z_key - (v[:, :, slots] - v_key) * dt
        z, z_key = euler_step(z, corrected, sigma, sigma_next), euler_step(z_key, v_key, sigma, sigma_next)
        assert torch.allclose(z[:, :, slots] - z_key, (1 - alpha * dt) * r, atol=1e-5)
        others = [k for k in range(9) if k not in slots]
        assert torch.equal(corrected[:, :, others], before[:, :, others])


Z, K = torch.zeros(1, 2, 5, 2, 2), torch.zeros(1, 2, 1, 2, 2)


@pytest.mark.parametrize(
    ("call", "given", "error", "words"),
    [
        (construct_rope_ids, (9, [0, 16]), KeyframeError, r"Slot 16 is outside the clip's 9 latents; .*slots_of"),
        (prepare_coupled_noise, ((1, 4, 9, 4, 4), [-1], 0), KeyframeError, "Slot -1 is outside"),
        (construct_rope_ids, (9, [2, 2]), KeyframeError, "given twice in .*Keep one"),
        (compute_velocity_correction, (Z, K, Z, K, [0, 1], 0.1, 1.0), KeyframeError, "2 slots came with 1 keyframe"),
        (compute_velocity_correction, (Z, K, Z, K, [0], -0.1, 1.0), SettingError, r"dt is -0\.1; it must be posit"),
        (compute_velocity_correction, (Z, K, Z, K, [0], 0.1, -1.0), SettingError, r"alpha is -1\.0"),
    ],
)
def test_pixel_indices_and_corrections_that_cannot_be_meant_are_refused(call, given, error, words):
    with pytest.raises(error, match=words):
        call(*given)


@pytest.mark.filterwarnings("ignore::flowedit.errors.UnusualSettingWarning")
def test_the_call_takes_pictures_and_gives_pictures(pipe):  # catches: documented names, defaults or order that differ
    words = {"prompt": "a red ball", "source_video": images(pictures(9)), "keyframe_indices": [0, 8], "seed": 3}
    given = {"alpha": 5.0, "beta": 0.25, "tiled": False, "num_frames": 9, **FAST, "cfg_scale": 2.0}
    video = pipe(edited_keyframes=images(pictures(2, seed=5)), **words, **given)
    assert [frame.size for frame in video] == [(48, 32)] * 9
    settings = pipe.result.settings
    assert (settings.alpha, settings.beta, settings.steps, settings.guidance, settings.seed) == (5.0, 0.25, 4, 2.0, 3)
    assert (settings.prompt, pipe.result.trace.keyframes) == ("a red ball", (0, 8))
    other = pipe("a red ball", pictures(9), pictures(2, seed=6), [0, 8], 5.0, 0.25, tiled=False, seed=3, **FAST)
    assert not all((np.array(a) == np.array(b)).all() for a, b in zip(video, other, strict=True))


def test_the_documented_names_and_defaults():
    defaults = {name: p.default for name, p in inspect.signature(WanVideoEditorPipeline.__call__).parameters.items()}
    assert list(defaults)[1:7] == ["prompt", "source_video", "edited_keyframes", "keyframe_indices", "alpha", "beta"]
    assert (defaults["alpha"], defaults["beta"]) == (10.0, 0.0)
    real = WanVideoEditorPipeline.from_model_manager(random_pipeline(), name="Wan2.1-Fun-1.3B-InP")
    settings = real._settings(prompt="", alpha=10.0, beta=0.0, guidance=None, steps=None)
    assert (settings.guidance, settings.steps) == (5.0, 50)
    run = inspect.signature(IntegratedVideoEditor.run_video_editing).parameters
    assert list(run)[1:5] == ["source_frames", "styled_keyframes", "keyframe_indices", "prompt"]
    assert run["alpha"].default == 10.0
    made = inspect.signature(IntegratedVideoEditor.generate_styled_keyframes).parameters
    assert (made["max_frames"].default, made["target_fps"].default) == (10, 1.0)
    assert IntegratedVideoEditor().wan_model_size == "1.3B"


def test_a_pipeline_of_any_name_has_the_usual_clip_and_takes_a_share_for_the_default_rate():
    """Catches a name outside the registry that is refused, and a kappa that the signature's own alpha bars."""
    mine = WanVideoEditorPipeline.from_model_manager(random_pipeline(), name="mine")
    given = {"prompt": "", "beta": 0.0, "guidance": None, "steps": None}
    assert mine._settings(alpha=10.0, **given).steps == 50
    chosen = mine._settings(alpha=10.0, kappa=0.3, **given)
    assert (chosen.alpha, chosen.kappa) == (None, 0.3)
    with pytest.raises(SettingError, match=r"alpha is 3.0 and kappa is 0.3"):
        mine._settings(alpha=3.0, kappa=0.3, **given)
    clip = pictures(5, size=(96, 160))
    with pytest.warns(UnusualSettingWarning, match="is edited at 480x800"):  # Wan's 480p at the clip's own aspect
        mine("", clip, clip[:1], [0], method="propagation")


def test_what_was_chosen_for_the_caller_is_said(pipe):  # catches: frames dropped or resized in silence
    with pytest.warns(UnusualSettingWarning) as caught:
        pipe("", pictures(6), num_inference_steps=4, cfg_scale=1.0)
    said = " ".join(str(warning.message) for warning in caught)
    assert "has 6 frames; the first 5 are edited" in said
    height, width = fit_size(*SIZE, area=128 * 128, multiple=16)
    assert f"is 32x48 (height x width) and is edited at {height}x{width}; give size" in said
    assert "num_inference_steps is 4; 20 to 100 usually works" in said


@pytest.mark.filterwarnings("ignore::flowedit.errors.UnusualSettingWarning")
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"source_video": []}, VideoShapeError, "source_video has no frames"),
        ({"num_frames": 8}, VideoShapeError, "Use 5 or 9"),
        ({"num_frames": 13}, VideoShapeError, "num_frames is 13 and the source has 9; use 9"),
        ({"keyframe_indices": [0, 4]}, KeyframeError, "1 keyframes came with 2 indices; give one index for each"),
        ({"keyframe_indices": [9]}, KeyframeError, "Keyframe 9 is outside the clip"),
        ({"edited_keyframes": pictures(1, size=(32, 32))}, KeyframeError, "Keyframe 0 is 32x32; .*48x32"),
        ({"stepz": 3}, SettingError, "There is no setting 'stepz'; there are alpha, beta"),
        ({"source_video": [pictures(1)[0], pictures(1, size=(8, 8))[0]]}, VideoShapeError, "sizes .8, 8. and .32, 48."),
    ],
)
def test_inputs_that_do_not_fit_are_refused(pipe, options, error, words):
    call = {"source_video": pictures(9), "edited_keyframes": pictures(1), "keyframe_indices": [0], **FAST, **options}
    with pytest.raises(error, match=words):
        pipe("", **call)


def test_a_model_without_a_route_for_images_sees_tokens(monkeypatch, pipe):
    monkeypatch.setattr(type(pipe.model), "takes_images", False)
    assert pipe._settings(prompt="", alpha=1.0, steps=None).conditioning == "tokens"
    assert pipe._settings(prompt="", alpha=1.0, steps=None, conditioning="none").conditioning == "none"


def test_memory_management_is_a_reload_or_nothing(monkeypatch, pipe):
    asked = []
    monkeypatch.setattr(compat, "load_model", lambda name, **options: asked.append((name, options)) or pipe.model)
    pipe.enable_vram_management()
    WanVideoEditorPipeline.from_pretrained("1.3B", device="cpu").enable_vram_management()
    assert asked == [("1.3B", {"device": "cpu"})]


@pytest.fixture
def long_file(tmp_path):
    """300 frames of two moving bands at 30000/1001 fps."""
    x = np.arange(48)[None, None, :] + np.arange(300)[:, None, None]
    band = np.broadcast_to((127 + 100 * np.sin(x / 6)).astype(np.uint8), (300, 32, 48))
    frames = np.stack([band, band[:, :, ::-1], np.full_like(band, 90)], axis=-1)
    path = tmp_path / "long.mp4"
    write_video(path, frames, Fraction(30000, 1001))
    return path


@pytest.mark.filterwarnings("ignore::flowedit.errors.UnusualSettingWarning")
def test_the_whole_snippet_runs_on_a_long_file_inside_a_running_loop(long_file, tmp_path, small):
    reference = tmp_path / "style.png"
    Image.fromarray(pictures(1, seed=8, size=(64, 64))[0]).save(reference)

    async def snippet():
        editor = IntegratedVideoEditor(wan_model_size="tiny")
        styled_keyframes, keyframe_indices, metadata = await editor.generate_styled_keyframes(
            video_path=str(long_file),
            style_reference={"image_path": str(reference), "description": "watercolour"},
            output_dir=tmp_path / "styled",
            max_frames=3,
            target_fps=1.0,
            num_frames=17,
            backend="offline",
        )
        editor.pipe = WanVideoEditorPipeline.from_model_manager(small, name="tiny")
        editor.load_wan_pipeline()
        editor.pipe.enable_vram_management()
        source_frames = editor.load_source_video(str(long_file), num_frames=17)
        frames = editor.run_video_editing(
            source_frames, styled_keyframes, keyframe_indices, "watercolour", alpha=10.0, **FAST
        )
        return editor, keyframe_indices, metadata, frames, editor.save_results(frames, tmp_path / "out")

    editor, indices, metadata, frames, folder = asyncio.run(snippet())
    assert (indices[0], indices[-1]) == (0, 16)
    assert len(frames) == 17
    assert metadata["keyframes"]
    written = probe(folder / "edited.mp4")
    assert (written.fps, written.num_frames, written.height, written.width) == (Fraction(30000, 1001), 17, *SIZE)
    assert json.loads((folder / "run.json").read_text())["keyframes"] == indices
    assert (folder / "trace.csv").read_text().startswith("step,sigma,keyframe,r_k_norm")
    with pytest.raises(OutputError, match="already holds a run"):
        editor.save_results(frames, folder)
    (folder / "report.html").write_text("of another run")
    (folder / "notes.txt").write_text("mine")
    editor.save_results(frames, folder, overwrite=True)  # catches: an old report beside new results
    assert {path.name for path in folder.iterdir()} == {"edited.mp4", "trace.csv", "run.json", "notes.txt"}


def test_agent_and_editor_share_the_window_and_one_past_the_end_is_shortened_and_said(long_file):
    """Catches indices of the window read as indices of the file."""
    editor = IntegratedVideoEditor("tiny")
    editor._choose(long_file, 120, 9)
    frames = editor.load_source_video(long_file, num_frames=9)
    assert np.array_equal(list(map(np.array, frames)), read_video(long_file, start=120, num_frames=9).frames)
    editor._choose(long_file, 280, 17)
    with pytest.warns(UnusualSettingWarning, match="long.mp4 has 20 frames from frame 280; 17 of them are used"):
        assert len(editor.load_source_video(long_file)) == 17
    with pytest.raises(VideoShapeError, match="starts at frame 300 and the file has 300; start earlier"):
        editor._choose(long_file, 300, 9)


def test_an_unknown_part_of_a_style_reference_is_refused(long_file, tmp_path):
    editor = IntegratedVideoEditor("tiny")
    with pytest.raises(SettingError, match="style_reference has 'picture'; it takes image_path and description"):
        asyncio.run(editor.generate_styled_keyframes(long_file, {"picture": "x.png"}, tmp_path / "styled"))
