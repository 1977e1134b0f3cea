"""Bernini-R's tokens against oracles written from the public facts (docs/bernini.md), without weights."""

import cmath
import json
import warnings
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffsynth import configs
from lora_files import bring, placement_on_cpu, small_checkpoint
from official import as_diffusers
from safetensors.torch import load_file, save_file
from small_wan import SmallText, small_dit, small_pipeline, small_vae
from typer.testing import CliRunner

from flowedit import models
from flowedit.agent.settings import GeminiSettings
from flowedit.batch.manifest import entries_of
from flowedit.batch.worker import Worker
from flowedit.cli.main import app
from flowedit.compat import WanVideoEditorPipeline
from flowedit.edit.preparation import prepare
from flowedit.edit.steps import edit_steps, edit_video
from flowedit.errors import ModelError
from flowedit.keyframes import Keyframe
from flowedit.media.clip import write_image, write_video
from flowedit.model import ClipShape, Condition, to_pixels
from flowedit.run import editing
from flowedit.settings import EditSettings
from flowedit.wan import files, loading, memory, segments
from flowedit.wan.adapter import Trained, WanVideo
from flowedit.wan.checkpoints import CHECKPOINTS, resolve
from flowedit.wan.fast import use_fast_blocks
from flowedit.wan.segments import Segments, source_phases, source_turned

THETA, HEAD, GRID = 10_000, 24, (2, 3)
SHAPE = ClipShape(num_frames=9, height=16 * GRID[0], width=16 * GRID[1])
SLOTS, SIGMA = 3, 0.6
CLIP, *STYLED = np.random.default_rng(0).integers(0, 256, (4, 9, SHAPE.height, SHAPE.width, 3), dtype=np.uint8)
IMAGES = {0: STYLED[0][0], 8: STYLED[0][8]}
KEYS = [Keyframe(index, image) for index, image in IMAGES.items()]
SHOWN = Condition(shape=SHAPE, prompt="a", negative_prompt="b", images=IMAGES, source=CLIP)


def bernini(**more):
    return WanVideo(small_pipeline("t2v"), words=SmallText(), trained=Trained(segments=True), **more)


def noisy(frames=SLOTS):
    return torch.randn(1, 16, frames, 2 * GRID[0], 2 * GRID[1], generator=torch.Generator().manual_seed(5))


@torch.inference_mode()
def velocity(model, condition, places=tuple(range(SLOTS))):
    return model.velocity(noisy(len(places)), SIGMA, model.prepare(condition), places)


def phase(axes, source_id):
    """Factors of a token's pairs by the formula: its place on each axis, and the turn by its segment's id."""
    split = (HEAD - 4 * (HEAD // 6), 2 * (HEAD // 6), 2 * (HEAD // 6))
    own = [place * THETA ** (-2 * j / size) for place, size in zip(axes, split, strict=True) for j in range(size // 2)]
    return [cmath.exp(1j * (angle + source_id * THETA ** (-2 * k / HEAD))) for k, angle in enumerate(own)]


def test_the_turn_is_the_formula_to_the_last_bits_and_none_for_the_clip():
    """Catches frequencies of one axis in place of the whole head, another theta, and ids cut to whole numbers."""
    ids = [0.0, 1.0, 1.8, 5.0]
    turned = source_phases(ids, 128)
    assert torch.equal(turned[0], torch.ones(64, dtype=torch.complex128))
    for row, source_id in zip(turned, ids, strict=True):
        wanted = [cmath.exp(1j * source_id * THETA ** (-2 * k / 128)) for k in range(64)]
        torch.testing.assert_close(row, torch.tensor(wanted, dtype=torch.complex128), atol=1e-14, rtol=0)
    # Closed form: what attention sees of two segments is the turn by the difference of their ids.
    torch.testing.assert_close(turned[3] * turned[2].conj(), source_phases([3.2], 128)[0], atol=1e-14, rtol=0)
    assert torch.allclose(turned[:, 0], torch.polar(torch.ones(4).double(), torch.tensor(ids).double()))


@pytest.mark.parametrize(("count", "last"), [(1, 1), (5, 5), (6, 5), (8, 5)])
def test_ids_count_from_1_and_share_the_trained_range_beyond_it(count, last):
    exact = [1 + Fraction(n * (last - 1), max(count - 1, 1)) for n in range(count)]
    for clip in (None, torch.zeros(1, 16, 3, 2, 2)):
        pictures = [torch.zeros(1, 16, 1, 2, 2)] * (count - (clip is not None))
        made = Segments.of(clip, pictures, [0] * len(pictures))
        assert [one.source_id for one in made.all] == pytest.approx(list(map(float, exact)), abs=1e-12)
        assert len(made.source) == (clip is not None)


@pytest.mark.parametrize(("name", "starts"), [("zero", (0, 0)), ("shared", (0, 2))])
def test_the_blocks_get_every_token_in_the_order_of_the_segments_with_its_own_phase(name, starts):
    """Catches positions that go on from one segment to the next, ids in another order, and a slot that is lost."""
    model, tables = bernini(), []
    block, inner = model.pipe.dit.blocks[1], model.pipe.dit.blocks[1].forward
    block.forward = lambda *given: tables.append(given[3]) or inner(*given)
    prepared = prepare(CLIP, KEYS, model, EditSettings(conditioning="i2v", positions=name, steps=4))
    next(edit_steps(prepared))
    segments = [(range(SLOTS), 0.0), (range(SLOTS), 1.0), ([starts[0]], 2.0), ([starts[1]], 3.0)]
    wanted = [
        phase((frame, row, column), source_id)
        for frames, source_id in segments
        for frame in frames
        for row in range(GRID[0])
        for column in range(GRID[1])
    ]
    torch.testing.assert_close(tables[0][:, 0], torch.tensor(wanted, dtype=torch.complex128), atol=1e-12, rtol=0)


def authors_forward(model, shown, context):
    """One forward as the authors' code has it: conditions before the clip, each with phases of its own; the clip's."""
    dit, tokens, phases = model.pipe.dit, [], []
    for latents, source_id in [*shown, (noisy(), 0)]:
        frames = latents.shape[2]
        tokens.append(dit.patch_embedding(latents).flatten(2).transpose(1, 2))
        grid = np.ndindex(frames, *GRID)
        phases += [phase(at, source_id) for at in grid]
    x, rotary = torch.cat(tokens, dim=1), torch.tensor(phases, dtype=torch.complex128).unsqueeze(1)
    time = dit.time_embedding(segments.vendor.sinusoidal_embedding_1d(dit.freq_dim, torch.tensor([1000 * SIGMA])))
    words = dit.text_embedding(context)
    for block in dit.blocks:
        x = block(x, words, dit.time_projection(time).unflatten(1, (6, dit.dim)), rotary)
    clip = dit.head(x, time)[:, -tokens[-1].shape[1] :]
    return dit.unpatchify(clip, (SLOTS, *GRID))


def conditions(model):
    """What the authors append to the clip: the source's latents with id 1, then each picture's with its own."""
    pictures = [model.encode(to_pixels(image[None])) for image in IMAGES.values()]
    return [(latents, number) for number, latents in enumerate([model.encode(to_pixels(CLIP)), *pictures], 1)]


def told(task, prompt="a"):
    return SmallText()(f"You are a helpful assistant specialized in {task}.{prompt}")


EDIT, EDIT_BY_REFERENCE = "video editing", "video editing with reference"


@torch.inference_mode()
def test_a_forward_is_the_authors_own_whatever_order_the_tokens_have():
    """Catches a timestep of 0 for clean tokens, noise on them, the task's sentence, and the wrong tokens returned."""
    model = bernini()
    wanted = authors_forward(model, conditions(model), told(EDIT_BY_REFERENCE))
    torch.testing.assert_close(velocity(model, SHOWN), wanted, atol=2e-5, rtol=1e-4)
    assert (wanted - authors_forward(model, conditions(model)[:1], told(EDIT))).abs().max() > 0.01


def apg(stronger, weaker, sigma, threshold=50.0, eta=0.5):
    """The change of the clean estimate by arXiv 2410.02416 as the authors set it, in float64, a frame at a time."""
    x, out = noisy().double(), torch.zeros_like(noisy()).double()
    for frame in range(SLOTS):
        strong, weak = ((x - sigma * v.double())[:, :, frame] for v in (stronger, weaker))
        change = strong - weak
        change = change * min(1.0, threshold / float(change.norm()))
        unit = strong / strong.norm()
        parallel = (change * unit).sum() * unit
        out[:, :, frame] = change - parallel + eta * parallel
    return out


@torch.inference_mode()
@pytest.mark.parametrize("threshold", [50.0, 0.5])
@pytest.mark.parametrize("mode", ["rv2v", "v2v_apg", "r2v_apg", "t2v"])
def test_guidance_is_the_authors_mode_for_what_is_shown(mode, threshold, monkeypatch):
    """Catches scales swapped, segments in the wrong branch, a projection on the weaker estimate or over all frames."""
    monkeypatch.setattr(segments, "_LONGEST", threshold)
    model, negative, scale = bernini(), SmallText()("b"), 4.0
    clip, *pictures = conditions(model)
    alone = [(latents, number) for number, (latents, _) in enumerate(pictures, 1)]
    v = lambda shown, context=negative: authors_forward(model, shown, context)  # noqa: E731
    x = noisy().double()
    if mode == "rv2v":
        shown, none, source, everything = SHOWN, v([]), v([clip]), v([clip, *pictures])
        words = v([clip, *pictures], told(EDIT_BY_REFERENCE))
        wanted = none + 1.25 * (source - none) + 4.5 * (everything - source) + scale * (words - everything)
    elif mode == "t2v":
        shown, none, words = replace(SHOWN, images={}, source=None), v([]), v([], told("text-to-video generation"))
        wanted = none + scale * (words - none)
    elif mode == "v2v_apg":
        shown, source, words = replace(SHOWN, images={}), v([clip]), v([clip], told(EDIT))
        wanted = (x - ((x - SIGMA * source.double()) + scale * apg(words, source, SIGMA, threshold))) / SIGMA
    else:
        shown, none, references = replace(SHOWN, source=None), v([]), v(alone)
        words = v(alone, told("subject-to-video generation"))
        clean = x - SIGMA * none.double() + 4.5 * apg(references, none, SIGMA, threshold)
        wanted = (x - (clean + scale * apg(words, references, SIGMA, threshold))) / SIGMA
    found = velocity(model, replace(shown, guidance=scale))
    torch.testing.assert_close(found, wanted.float(), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_text_to_video_without_anything_shown_is_the_stock_model_bit_for_bit(guidance):
    """Catches a table turned by id 0, and guidance of another form, in a model that is shown nothing."""
    nothing = Condition(shape=SHAPE, prompt="a", negative_prompt="b", guidance=guidance)
    stock = WanVideo(small_pipeline("t2v"), words=SmallText())
    alike = replace(nothing, prompt=segments.TASKS[False, False] + nothing.prompt)
    assert torch.equal(velocity(bernini(), nothing), velocity(stock, alike))
    hooked = small_dit("t2v")
    with source_turned(hooked, [0.0, 0.0]):
        assert not any(block._forward_pre_hooks for block in hooked.blocks)


def test_the_turn_ends_with_the_forward_even_after_an_error():
    dit = small_dit("t2v")
    with pytest.raises(RuntimeError, match="stop"), source_turned(dit, [0.0, 1.0]):
        assert all(block._forward_pre_hooks for block in dit.blocks)
        raise RuntimeError("stop")
    assert not any(block._forward_pre_hooks for block in dit.blocks)


@torch.inference_mode()
def test_joint_tokens_of_the_method_stand_before_what_is_appended_and_both_are_seen():
    """Catches velocities of references returned for keyframe tokens, and one length mistaken for the other."""
    model, places = bernini(), (*range(SLOTS), 0, 2)
    both = replace(SHOWN, key_slots=(0, 2))
    v = velocity(model, both, places)
    assert v.shape[2] == len(places)
    assert not torch.equal(v, velocity(model, replace(both, images={}), places))
    assert not torch.equal(v, velocity(model, replace(both, image_positions=(0, 2)), places))


QUICK = {"steps": 4, "prompt": "a", "detail": "plain"}


def edited(model, clip=CLIP, keys=KEYS, **changes):
    """Latents of an edit."""
    given = {**QUICK, "conditioning": "i2v", "positions": "zero", **changes}
    *_, last = edit_steps(prepare(clip, keys, model, EditSettings.of(**given)))
    return last.latents


def test_an_edit_follows_source_keyframes_and_their_places():
    """Catches a source or a keyframe that is encoded and never seen; without a correction only the model can see it."""
    model = bernini()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a start in pure noise, where no other way leads from the source
        made, *others = (
            edited(model, **{"kappa": 0.0, "strength": 1.0, **changes})
            for changes in (
                {},
                {"clip": STYLED[1]},
                {"keys": [KEYS[0], Keyframe(8, STYLED[1][8])]},
                {"positions": "shared"},
            )
        )
    assert min(float((other - made).abs().max()) for other in others) > 1e-4


def test_unstyled_keyframes_and_equal_words_give_the_source_back():
    """Catches source and target that do not see the same route: the identity of `difference`."""
    own = [Keyframe(index, CLIP[index]) for index in IMAGES]
    settings = {"method": "difference", "guidance": 4.0, "keyframe_encoding": "delta", "positions": "shared"}
    given = EditSettings(steps=4, prompt="a", conditioning="i2v", **settings)
    assert np.array_equal(edit_video(CLIP, own, bernini(), given).frames, CLIP)


@pytest.mark.parametrize("conditioning", ["i2v", "tokens", "both", "none"])
@pytest.mark.parametrize("changes", [{}, {"guidance": 4.0}, {"method": "difference", "guidance": 4.0, "strength": 0.5}])
def test_predicted_lengths_are_those_of_the_forwards(conditioning, changes):
    """Catches memory and minutes of a clip alone where twice its tokens run, and a branch that is not counted."""
    settings = EditSettings.of(**{**QUICK, **changes, "conditioning": conditioning, "source_prompt": "c"})
    model, seen = bernini(), []
    model.pipe.dit.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    edit_video(CLIP, KEYS, model, settings)
    entry = resolve("Bernini-R-1.3B")
    lengths = memory.forward_lengths(entry, SHAPE, settings, len(KEYS))
    assert Counter(seen) == Counter(lengths)
    added = memory.keyframes_in(entry, conditioning, len(KEYS))
    assert max(lengths) == memory.token_count(entry, SHAPE, added)


@pytest.fixture
def small_bernini(tmp_path, monkeypatch):
    """A small checkpoint in the layout of diffusers, registered with the vendor and with us; its name."""
    with small_checkpoint("t2v", tmp_path / "models", monkeypatch) as name:
        entry, (path,) = CHECKPOINTS[name], (tmp_path / "models").rglob("*.safetensors")
        save_file({as_diffusers(key): value for key, value in load_file(path).items()}, path)
        fingerprint = files.fingerprint(files.read_shapes(path))
        parts = (replace(entry.parts[0], hash=fingerprint),)
        monkeypatch.setitem(CHECKPOINTS, name, replace(entry, family="bernini", image_route="segments", parts=parts))
        converter = next(
            row for row in configs.MODEL_CONFIGS if row["model_hash"] == resolve("Bernini-R-1.3B").parts[0].hash
        )
        row = {**configs.MODEL_CONFIGS[-1], "model_hash": fingerprint}
        configs.MODEL_CONFIGS.append({**row, "state_dict_converter": converter["state_dict_converter"]})
        yield name
        configs.MODEL_CONFIGS.pop()


@pytest.mark.parametrize("named", [True, False])
def test_the_layout_of_diffusers_alone_does_not_make_it_bernini(named, tmp_path):
    """Catches the stock model of the same shapes taken for the trained one."""
    from official import official_shapes, write_sparse

    folder = tmp_path / ("Bernini-R" if named else "Wan2.1-T2V-1.3B-Diffusers")
    write_sparse(folder / "model.safetensors", official_shapes(resolve("Bernini-R-1.3B").parts[0].hash))
    if named:
        assert loading.checkpoint_of(folder).family == "bernini"
    else:
        with pytest.raises(ModelError, match="whose name says Bernini"):
            loading.checkpoint_of(folder)


@torch.inference_mode()
@pytest.mark.parametrize("way", ["fast blocks", "offload", "disk"])
def test_the_turn_reaches_blocks_that_are_replaced_or_moved(way, small_bernini):
    """Catches a turn that is lost where the blocks' forward is another, and names that the disk's map has not."""
    place = "cpu" if way == "fast blocks" else placement_on_cpu(way)
    pipe = loading.load_pipeline(small_bernini, place, dtype=torch.float32).pipe
    if way == "fast blocks":
        use_fast_blocks(pipe.dit, backend=None)
    else:
        bring(pipe)
        pipe.load_models_to_device = lambda names: None  # it asks a CPU for its GPU cache
    pipe.vae = small_vae()
    model = WanVideo(pipe, words=SmallText(), trained=Trained(segments=True))
    expected, found = velocity(bernini(), SHOWN), velocity(model, SHOWN)
    assert (found - expected).norm() / expected.norm() < (0.15 if way == "disk" else 1e-5)


@pytest.fixture
def on_cpu(small_bernini, tmp_path, monkeypatch):
    """That checkpoint on the CPU, a clip with its keyframes, what of an edit's words was said in advance, and asked."""
    said, asked_for, load = [], {}, loading.load_pipeline

    def loaded(*given, **more):
        found = load(*given, **more)
        found.pipe.vae = small_vae()
        return found

    monkeypatch.setattr(loading, "load_pipeline", loaded)
    monkeypatch.setattr(editing, "placements", lambda *_, **asked: asked_for.update(asked) or [placement_on_cpu("cpu")])
    monkeypatch.setattr(models, "_words", lambda name, prompts, place: (said.extend(prompts), Known(prompts))[1])
    write_video(tmp_path / "clip.mp4", CLIP, 16)
    for index, image in IMAGES.items():
        write_image(tmp_path / f"{index}.png", image)
    size = f"{SHAPE.height}x{SHAPE.width}"
    options = {"model": small_bernini, "size": size, "steps": "4", "prompt": "a", "at": "0,8"}
    return SimpleNamespace(options=options, said=said, asked_for=asked_for)


@pytest.mark.parametrize("conditioning", ["i2v", "tokens"])
def test_command_and_batch_edit_from_file_to_file(on_cpu, conditioning, tmp_path):
    """Two steps by the authors' route: what is said in advance is what the model then asks for, and nothing else.

    Catches a worker of the batch that takes another route, or that loads the model without its words.
    """
    out, keyframes = tmp_path / "out", [str(tmp_path / f"{index}.png") for index in IMAGES]
    options = {**on_cpu.options, "conditioning": conditioning}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    given = [str(tmp_path / "clip.mp4"), "-o", str(out), "-k", keyframes[0], "-k", keyframes[1], "--lossless"]
    ran = CliRunner().invoke(app, ["edit", *given, *words])
    assert ran.exit_code == 0, ran.output
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["positions"], settings["conditioning"]) == ("zero", conditioning)
    assert (on_cpu.asked_for["keyframes"], on_cpu.asked_for["conditioning"]) == (2, conditioning)
    assert segments.TASKS[True, conditioning == "i2v"] + "a" in on_cpu.said
    line = json.dumps({"video": "clip.mp4", "keyframes": keyframes, "lossless": True, **options})
    (entry,), faults = entries_of(tmp_path, [(1, line)], tmp_path / "batch", {})
    assert not faults
    assert Worker(GeminiSettings()).work(entry, 0).state == "done"
    assert (entry.request.output / "edited.mp4").read_bytes() == (out / "edited.mp4").read_bytes()


def test_the_pipeline_of_compat_edits_as_the_editor_does():
    """Catches Wan's presets where Bernini-R's are asked for."""
    model = bernini(name="Bernini-R-1.3B")
    edit = WanVideoEditorPipeline(model)
    edit("a", CLIP, list(IMAGES.values()), list(IMAGES), size=CLIP.shape[1:3], num_inference_steps=4)
    settings = edit.result.settings
    assert (settings.positions, settings.steps) == ("zero", 4)
    expected = edit_video(CLIP, KEYS, model, settings)
    np.testing.assert_array_equal(edit.result.frames, expected.frames)


class Known(SmallText):
    """Words of prompts that were encoded in advance, and of no others."""

    def __init__(self, prompts):
        self.prompts = prompts

    def __call__(self, prompt):
        assert prompt in self.prompts
        return super().__call__(prompt)
