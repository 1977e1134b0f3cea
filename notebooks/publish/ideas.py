"""What each of the method's three ideas changes on real frames, recorded for lesson 01."""

import json
from collections import deque
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rows import with_two_noises
from benchmarks.table import Interval
from flowedit.edit.preparation import PreparedEdit
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.keyframes import Keyframe
from flowedit.lessons import material
from flowedit.lessons.record import FOLDER, IDEA_STRIPS, IDEAS
from flowedit.lessons.scoring import score
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.toy.stage import SLOT

CLIPS, FRAMES, AT = 6, 17, (0, 8, 16)
LOOKS = "comic", "watercolour"
IDEA_NAMES = ("one_noise", "shared", "corrected")
WORDS = "five frames of an edit by the small Wan, the middle one painted; the same switches"


def make(folder: Path = FOLDER) -> None:
    """Record the strips and the worth of one noise, with the shipped model and its preset `method`."""
    strips = np.stack([_strip(**dict(zip(IDEA_NAMES, on, strict=True))) for on in product((0, 1), repeat=3)])
    Image.fromarray(strips.reshape(-1, *strips.shape[2:])).save(folder / IDEA_STRIPS, "WEBP", quality=78, method=6)
    values = {"height": strips.shape[1], "words": WORDS, "noise": noise_worth()}
    (folder / IDEAS).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def noise_worth() -> dict:
    """One noise minus two, paired over clips whose exact edit is known, and how far unpainted keyframes move a clip."""
    settings, rows = preset_settings("tiny", "method"), {}
    for route in ("i2v", "tokens"):
        pairs = [_pair(index, settings.with_(conditioning=route)) for index in range(CLIPS)]
        gains = {name: Interval.of(pair[name] for pair in pairs) for name in ("psnr_far", "psnr_key")}
        rows[route] = {name: [round(value, 3) for value in gain[:3]] for name, gain in gains.items()}
        rows[route]["unpainted"] = np.mean([pair["unpainted"] for pair in pairs], axis=0).round(3).tolist()
    return {"clips": CLIPS, "gain": f"correction {settings.gain}", "rows": rows}


def _pair(index: int, settings: EditSettings) -> dict:
    clip = _clips()[index]
    settings = settings.with_(prompt=clip.prompt, source_prompt=clip.source_prompt)
    one, two = (score(clip, AT, _run(each)) for each in _both(clip.frames, clip.keyframes(*AT), settings))
    own = tuple(Keyframe(i, clip.frames[i]) for i in AT)
    plain = settings.with_(prompt=clip.source_prompt)
    moved = [np.abs(_run(each).astype(float) - clip.frames).mean() for each in _both(clip.frames, own, plain)]
    return {name: one[name] - two[name] for name in ("psnr_far", "psnr_key")} | {"unpainted": moved}


def _clips() -> list[material.LessonClip]:
    """Both real clips in two looks each, and held-out scenes."""
    real = [material.film(name, look, frames=FRAMES) for name, look in product(("coffee", "mountain"), LOOKS)]
    return [*real, *(material.clip(8 + i, LOOKS[i % 2], frames=FRAMES) for i in range(CLIPS - len(real)))]


def _both(frames: np.ndarray, keyframes: tuple, settings: EditSettings) -> tuple[PreparedEdit, PreparedEdit]:
    prepared = prepare(frames, keyframes, material.small_model(), settings)
    return prepared, with_two_noises(prepared)


def _run(prepared: PreparedEdit) -> np.ndarray:
    return finish(prepared, deque(edit_steps(prepared), maxlen=1).pop().latents).frames


def _strip(*, one_noise: int, shared: int, corrected: int) -> np.ndarray:
    clip, key = material.clip(frames=FRAMES), 4 * SLOT
    changes = {} if corrected else {"kappa": 0.0}
    positions = "shared" if shared else "appended"
    settings = preset_settings("tiny", "method", conditioning="tokens", positions=positions, **changes)
    settings = settings.with_(prompt=clip.prompt, source_prompt=clip.source_prompt)
    one, two = _both(clip.frames, clip.keyframes(key), settings)
    return np.concatenate(list(_run(one if one_noise else two)[::4]), axis=1)
