"""Record what the program of one tree does, and compare another tree with it.

python tests/recording.py record --tree BEFORE --out RECORDING
python tests/recording.py compare --tree NOW --with RECORDING [--only NAME ...] [--loose]

A case is command lines of `python -m flowedit`, or a snippet on public names, run on clips that the recording keeps, so
that both trees get the same bytes. Kept are frames to the last bit, exit codes, printed lines, readings and file names;
and as notes, which never fail, messages on stderr, help texts, `run.json`, previews. Nothing here imports what a user
would not. A line a case says `same`, `48.2 dB` (only frames differ), `differs` or `failed`; status 0 if all are same.
"""

import argparse
import asyncio
import csv
import hashlib
import json
import math
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from PIL import Image

LOOSE_DB, TOLERANCE, RATE, SHOWN = 60.0, 1e-6, 24_000, 12
VOLATILE = {"seconds", "seconds_per_frame", "versions", "machine", "peak_memory_mb"}
NOTED = ("run.json", "stopped.json", "comparison.mp4", "contact-sheet.png")

CLIP = "edit material/clip.mkv --lossless -o out"
EXACT, OFF = (f"-k material/{kind} --at 0,16,32" for kind in ("exact", "disagreeing"))
METHOD = "--preset method --steps 5"
LONG = "edit material/long.mkv --lossless -o out --frames 49 -k material/long --at 0,24,48"
SHORT = f"{CLIP} --frames 9 -k material/exact/frame-0000.png --at 0"
STOPPABLE = "edit material/clip.mkv --lossless -v --frames 17 --preset method --steps 18 -k material/exact --at 0,8,16"
STYLE = "style material/clip.mkv -o out --yes --backend offline --max-frames 2"
# fmt: off
LOOKS = ("anime", "comic", "neon", "oil", "pencil", "vintage", "watercolour")
WRONG = ("--alpha -1", "--alpha 3 --kappa 0.2", "--beta 2", "--steps 0", "--steps abc", "--strength 0", "--method best",
         "--preset best", "--model best", "--frames 32", "--frames 53", "--start 40", "--size 100x100", "--size big",
         "--mask material/none.png", "--sweep 2,2", "--lora none.safetensors",
         "--nonsense", "-o material/mask.png")
MISFITS = ("none.png --at 0", "exact --at 0,16", "exact --at 0,1,2", "exact --at 0,16,33", "exact --at 16,0,32",
           "wide --at 0,16,32")
HELP = ("", "edit", "style", "demo", "doctor", "models", "models list", "models show", "models fetch")
CASES: dict[str, tuple[str, ...]] = {
    **{f"{preset}-{name}": (f"{CLIP} --preset {preset} {keyframes}",)
       for preset in ("default", "draft", "method") for name, keyframes in (("exact", EXACT), ("disagreeing", OFF))},
    "windows-default": (LONG,),
    "windows-method": (f"{LONG} {METHOD}",),
    "masked-default": (f"{CLIP} {OFF} --mask material/mask.png",),
    "masked-method": (f"{CLIP} {OFF} --mask material/mask.png {METHOD}",),
    **{method: (f"{CLIP} {OFF} --method {method}",) for method in ("colour-map", "propagation", "estimate")},
    "tokens": (f"{CLIP} {EXACT} --method difference --conditioning tokens {METHOD}",),
    "coupled-settings": (f"{CLIP} {OFF} --method coupled --conditioning both --beta 0.5 --gain euler "
                     f"--encoding hold --alpha 4 --strength 0.9 --shift 5 --seed 7 {METHOD}",),
    "words": (f"{CLIP} {OFF} --encoding still --kappa 0.25 --cfg 2 --source-cfg 1.5 "
                   f"--prompt 'comic red ball' --source-prompt 'red ball' --negative-prompt grey {METHOD}",),
    "noise-plain": (f"{SHORT} --method coupled --strength 1 --detail plain {METHOD}",),
    "window-and-sound": ("edit material/sound.mp4 --lossless -o out --start 9 --frames 17 --preset draft "
                         "-k material/long/frame-0024.png --at 8",),
    "sweep": (f"{SHORT} --sweep 2,5 --seeds 0,1 {METHOD}",),
    "lora": (f"{SHORT} --lora material/lora.safetensors:0.5 {METHOD}",),
    "resume": (f"{STOPPABLE} -o whole", f"STOP {STOPPABLE} -o out", f"{STOPPABLE} -o out --resume"),
    "edit-style": (f"{CLIP} --frames 9 --preset draft --style comic --backend offline",),
    "styled-folder": (f"{STYLE} --style neon", "edit material/clip.mkv -o next --preset draft -k out --lossless"),
    "demo": ("demo -o out --scene 5 --style watercolour --preset draft",),
    **{f"style-{look}": (f"{STYLE} --style {look}",) for look in LOOKS},
    "style-transfer": (f"{STYLE} --style-image material/exact/frame-0016.png",),
    "style-words": (f"{STYLE} --describe 'an old film' --start 4 --frames 25 --max-frames 3 --target-fps 2 --seed 3",),
    "models": ("models list", "models show 1.3B", "models show Wan2.2-I2V-A14B", "--version"),
    "refused": (*(f"{CLIP} -k material/{misfit}" for misfit in MISFITS), *(f"{CLIP} {EXACT} {one}" for one in WRONG),
                f"edit material/none.mkv -o out {EXACT}", f"edit material/mask.png -o out {EXACT}", CLIP, STYLE,
                f"{CLIP} {EXACT} --style comic", f"{STYLE} --style best", f"{STYLE} --style comic --max-frames 1",
                "models show best", "demo -o out --style best", "best"),
    "help": tuple(f"{command} --help" for command in HELP),
    **{name: (f"SNIPPET {name}",) for name in ("ideas", "pipeline", "integrated", "public")},
}
# fmt: on


@dataclass
class Outcome:
    """What a case left: what must be the same (frames and tensors among it), what is only noted, and why it failed."""

    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""


def perform(name: str, tree: Path, material: Path) -> Outcome:
    """Run a case on a tree, in an empty folder beside the material, and gather what it left."""
    with TemporaryDirectory() as scratch:
        folder, outcome, begun = Path(scratch), Outcome(), spent()
        (folder / "material").symlink_to(material)
        for i, line in enumerate(CASES[name]):
            run = execute(line, folder, tree)
            stopped = line.startswith("STOP")
            steps = sorted(path.name for path in (folder / "out").iterdir()) if stopped else run.stderr.count("Step ")
            printed = outcome.notes if name == "help" else outcome.facts
            printed[f"{i}: {line}"] = {"exit": run.returncode, "stdout": run.stdout.splitlines(), "steps": steps}
            heard = [] if stopped else [said for said in run.stderr.splitlines() if "peak memory" not in said]
            outcome.notes[f"{i}: stderr"] = heard
            if run.returncode != (130 if stopped else 0) and name not in ("refused", "help") and not outcome.failure:
                outcome.failure = f"exit {run.returncode} of {line}: {run.stderr.strip().splitlines()[-1:]}"
        files = sorted(path for path in folder.rglob("*") if path.is_file())  # the link is not followed
        outcome.facts["files"] = [str(path.relative_to(folder)) for path in files]
        for path in files:
            gather(path, str(path.relative_to(folder)), outcome)
        if name == "resume" and not outcome.failure:
            same = np.array_equal(outcome.facts["whole/edited.mp4"], outcome.facts["out/edited.mp4"])
            outcome.failure = "" if same else "the resumed run differs from the unbroken one"
        outcome.seconds = round(spent() - begun, 1)
        return outcome


def spent() -> float:
    """Seconds of the processor that the program took so far, which other work beside it does not change."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def execute(line: str, folder: Path, tree: Path) -> subprocess.CompletedProcess[str]:
    """Run one line on one core, offline, with the tree before anything installed; STOP means Ctrl-C in its 7th step."""
    verb, *words = shlex.split(line)
    if verb == "SNIPPET":
        own = [str(Path(__file__).resolve()), "snippet", *words]
    else:
        own = ["-m", "flowedit", *([] if verb == "STOP" else [verb]), *words]
    given = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**given, **single, "PYTHONPATH": str(tree), "COLUMNS": "100", "PYTHONHASHSEED": "0"}
    how: dict[str, Any] = {"cwd": folder, "env": environment, "text": True}
    if verb != "STOP":
        return subprocess.run([sys.executable, *own], capture_output=True, timeout=600, check=False, **how)
    pipe, heard = subprocess.PIPE, ""
    with subprocess.Popen([sys.executable, *own], stdout=pipe, stderr=pipe, **how) as process:
        for said in process.stderr or ():
            heard += said
            if said.startswith("Step 6:"):
                process.send_signal(signal.SIGINT)
        stdout = process.stdout.read() if process.stdout else ""
    return subprocess.CompletedProcess(words, process.returncode, stdout, heard)


def gather(path: Path, name: str, outcome: Outcome) -> None:
    """Take down what one file of a run says."""
    kept = outcome.notes if path.name in NOTED else outcome.facts
    if path.suffix == ".mp4":
        frames, kept[f"{name}: stream"] = frames_of(path)
        # Compressed, x264 gives other pixels now and then for the same frames.
        kept[name] = frames if kept[f"{name}: stream"]["lossless"] else list(frames.shape)
    elif path.suffix == ".png":
        kept[name] = np.asarray(Image.open(path))
    elif path.suffix == ".npz":
        kept |= np.load(path)
    elif path.name == "trace.csv":
        head, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        kept[name] = [head, [[float(value) for value in row] for row in rows]]
    elif path.name in ("keyframes.json", "snippet.json", *NOTED):
        kept[name] = lasting(json.loads(path.read_text(encoding="utf-8")))
    outcome.notes |= {
        name: fingerprint(value) for name, value in outcome.notes.items() if isinstance(value, np.ndarray)
    }


def frames_of(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Frames of a video, read by no tree's own code, with its rate and its sound."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])
        facts: dict[str, Any] = {"fps": str(video.average_rate), "lossless": video.codec_context.pix_fmt == "gbrp"}
    with av.open(str(path)) as container:
        if container.streams.audio:
            pieces = [(frame.pts, frame.to_ndarray()) for frame in container.decode(audio=0)]
            sound = np.concatenate([samples for _, samples in pieces], axis=1)
            facts["sound"] = [container.streams.audio[0].codec_context.name, pieces[0][0], fingerprint(sound)]
    return frames, facts


def fingerprint(array: np.ndarray) -> str:
    """SHA-256 of an array's kind, shape and bytes."""
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def lasting(value: Any) -> Any:
    """JSON without what differs from run to run."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in VOLATILE}
    return [lasting(item) for item in value] if isinstance(value, list) else value


def differences(old: Any, new: Any, at: str = "") -> Iterator[tuple[float, str]]:
    """Where two outcomes differ, each with a PSNR, or NaN where it is not frames; numbers may by a millionth."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from differences(old.get(key, "nothing"), new.get(key, "nothing"), f"{at}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{at}/{i}")
    elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        apart = decibels(old, new)
        if apart != math.inf:
            yield apart, f"{at}: {old.dtype} {old.shape} -> {new.dtype} {new.shape}, {apart:.2f} dB"
    elif isinstance(old, float) and isinstance(new, float):
        if not (math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=1e-9) or (old != old and new != new)):
            yield math.nan, f"{at}: {old!r} -> {new!r}"
    elif type(old) is not type(new) or old != new:
        yield math.nan, f"{at}: {repr(old)[:160]} -> {repr(new)[:160]}"


def decibels(old: np.ndarray, new: np.ndarray) -> float:
    """PSNR of frames: infinite for the same bytes, or tensors that are almost the same; NaN for other tensors."""
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return math.nan
    if old.dtype != np.uint8:
        return math.inf if np.allclose(old, new, rtol=TOLERANCE, atol=1e-7) else math.nan
    error = np.square(old.astype(np.float64) - new).mean()
    return 10 * math.log10(255**2 / error) if error else math.inf


def verdict(old: Outcome, new: Outcome) -> tuple[str, float, list[str]]:
    """The word for a case, the lowest PSNR of its frames (NaN where more differs), and what is not as it was."""
    if new.failure:
        return "failed", math.nan, [new.failure]
    found = list(differences(old.facts, new.facts))
    least = float(np.min([value for value, _ in found], initial=math.inf))  # of NumPy: NaN if any is
    word = "differs" if least != least else "same" if least == math.inf else f"{least:.1f} dB"
    return word, least, [line for _, line in found] + [f"note {line}" for _, line in differences(old.notes, new.notes)]


def store(outcome: Outcome, folder: Path) -> None:
    """Keep an outcome: arrays to the last bit, the rest as JSON, with the arrays' SHA-256 in their places."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: value for name, value in outcome.facts.items() if isinstance(value, np.ndarray)}
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "outcome.json").write_text(json.dumps(vars(outcome), indent=1, default=fingerprint), encoding="utf-8")


def stored(folder: Path) -> Outcome:
    """An outcome that was kept."""
    kept, arrays = (
        Outcome(**json.loads((folder / "outcome.json").read_text("utf-8"))),
        dict(np.load(folder / "arrays.npz")),
    )
    if any(fingerprint(array) != kept.facts[name] for name, array in arrays.items()):
        sys.exit(f"{folder} is not what was recorded; record it again.")
    kept.facts |= arrays
    return kept


def make_material(folder: Path) -> None:
    """Clips with keyframes, a mask and a LoRA, all drawn here."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    long, wide = scene(49, 128, 128), scene(33, 192, 320)
    clips = {
        "clip.mkv": (long[:33], 16),
        "long.mkv": (long, 16),
        "wide.mkv": (wide, 24),
        "sound.mp4": (long, 30 / 1.001),
    }
    for name, (frames, rate) in clips.items():
        write_clip(folder / name, frames, Fraction(rate).limit_denominator(1001), sound=name == "sound.mp4")
    for kind, frames, step in (("exact", long, 16), ("disagreeing", long, 16), ("wide", wide, 16), ("long", long, 24)):
        (folder / kind).mkdir()
        for i in (0, step, 2 * step):
            picture = styled(frames[i], np.random.default_rng(i + 1) if kind == "disagreeing" else None)
            Image.fromarray(picture).save(folder / kind / f"frame-{i:04d}.png")
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    Image.fromarray((255 * np.clip(2.5 - 3 * np.hypot(x - 0.2, y), 0, 1)).astype(np.uint8)).save(folder / "mask.png")
    pair = np.random.default_rng(5).normal(0, 0.05, (2, 4, 384)).astype(np.float32)
    halves = {"lora_down": pair[0], "lora_up": np.ascontiguousarray(pair[1].T)}
    named = {f"diffusion_model.blocks.0.self_attn.q.{half}.weight": value for half, value in halves.items()}
    save_file(named, folder / "lora.safetensors")


def scene(frames: int, height: int, width: int) -> np.ndarray:
    """A textured view that pans behind a ball and a box: uint8 (F, H, W, 3)."""
    t = np.linspace(0, 1, 49)[:frames, None, None]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : width / height : width * 1j]
    u = x + 0.4 * t
    waves = (
        np.sin(7 * u + 3 * y) + 0.4 * np.sin(31 * u - 17 * y),
        np.sin(5 * y - 4 * u),
        np.sin(23 * u) * np.sin(19 * y),
    )
    view = 0.5 + 0.25 * np.stack(waves, axis=-1)
    view[np.hypot(x - 0.2 - 0.6 * t, y - 0.5 - 0.2 * np.sin(6 * t)) < 0.18] = (0.9, 0.2, 0.1)
    view[(abs(x - 0.7 + 0.3 * t) < 0.1) & (abs(y - 0.3 - 0.4 * t) < 0.12)] = (0.1, 0.3, 0.9)
    return (view.clip(0, 1) * 255).round().astype(np.uint8)


def styled(picture: np.ndarray, drawn: np.random.Generator | None) -> np.ndarray:
    """A picture in other colours and fewer tones; with a generator, off by a little each time."""
    light = np.round(picture / 51 @ np.array([[0.2, 0.5, 0.6], [0.7, 0.3, 0.1], [0.1, 0.4, 0.4]])) / 5
    if drawn is not None:
        light = (light @ (np.eye(3) + drawn.normal(0, 0.04, (3, 3))) - 0.5) * drawn.normal(1, 0.08) + 0.5
    return (light.clip(0, 1) * 255).round().astype(np.uint8)


def write_clip(path: Path, frames: np.ndarray, rate: Fraction, *, sound: bool) -> None:
    """Write frames to the last bit, with a rising tone beside them where asked."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "rgb24"
        tone = container.add_stream("aac", rate=RATE) if sound else None
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
        if tone is not None:
            at = np.arange(int(RATE * len(frames) / rate)) / RATE
            heard = av.AudioFrame.from_ndarray(np.sin(900 * at * (1 + at))[None].astype(np.float32), "fltp", "mono")
            heard.sample_rate = RATE
            container.mux([*tone.encode(heard), *tone.encode(None)])


def ideas() -> dict[str, Any]:
    """The method's ideas as plain functions on tensors."""
    import torch

    from flowedit.compat import compute_velocity_correction, construct_rope_ids, prepare_coupled_noise

    slots, drawn = [0, 4, 8], torch.Generator().manual_seed(2)
    noise, key = prepare_coupled_noise((1, 16, 9, 8, 10), slots, 3)
    z, v, z_key, v_key = (torch.randn(1, 16, f, 8, 10, generator=drawn) for f in (9, 9, 3, 3))
    corrected = compute_velocity_correction(z, z_key, v, v_key, slots, 0.1, 6.0)
    tensors = {"noise": noise, "key noise": key, "corrected": corrected, "ids": construct_rope_ids(9, slots)}
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def pipeline() -> dict[str, Any]:
    """The pipeline's call: as it comes, and with the method's own settings."""
    from flowedit.compat import WanVideoEditorPipeline

    pipe, left = WanVideoEditorPipeline.from_pretrained("tiny"), {}
    keyframes = [Image.open(f"material/disagreeing/frame-{i:04d}.png") for i in (0, 16)]
    for name, more in ("plain", {}), ("method", {"method": "difference", "cfg_scale": 1.5, "num_inference_steps": 5}):
        made = pipe("comic ball", "material/clip.mkv", keyframes, [0, 16], 8.0, 0.5, num_frames=17, **more)
        left |= {name: np.stack([np.asarray(x) for x in made]), f"{name} trace": lasting(pipe.result.trace.to_dict())}
    return left


def integrated() -> dict[str, Any]:
    """The five calls of a notebook, on a window inside a longer file."""
    from flowedit.compat import IntegratedVideoEditor

    editor, style = IntegratedVideoEditor(wan_model_size="tiny"), {"image_path": None, "description": "watercolour"}
    window = {"start": 9, "num_frames": 33, "backend": "offline"}
    painted = editor.generate_styled_keyframes("material/sound.mp4", style, "styled", 3, 2.0, **window)
    keyframes, indices, metadata = asyncio.run(painted)
    editor.load_wan_pipeline()
    editor.pipe.enable_vram_management()
    frames = editor.load_source_video("material/sound.mp4", num_frames=33)
    edited = editor.run_video_editing(frames, keyframes, indices, "watercolour ball", alpha=10.0)
    editor.save_results(edited, "out")
    arrays = {"source": frames, "keyframes": keyframes, "edited": edited}
    return {name: np.stack([np.asarray(x) for x in pictures]) for name, pictures in arrays.items()} | {
        "indices": list(indices),
        "metadata": sorted(metadata),
    }


def public() -> dict[str, Any]:
    """The package's own names: reading, settings, an edit step by step, and what the command line does not offer."""
    import flowedit

    clip, info = flowedit.read_video("material/long.mkv", start=8, num_frames=17), flowedit.probe("material/sound.mp4")
    model, image = flowedit.load_model("tiny"), flowedit.read_image("material/long/frame-0024.png")
    keyframes = [flowedit.Keyframe(0, clip.frames[0]), flowedit.Keyframe(16, image)]
    left = {"clip": clip.frames, "small": flowedit.resize_video(clip.frames, (80, 64)), "probe": str(info)}
    left |= {"names": sorted(flowedit.__all__), "settings": flowedit.EditSettings().to_dict()}
    settings = flowedit.preset_settings("tiny", "method", steps=4, conditioning="tokens", positions="appended")
    prepared = flowedit.prepare(clip.frames, keyframes, model, settings)
    latents = [step.latents for step in flowedit.edit_steps(prepared)]
    result = flowedit.finish(prepared, latents[-1])
    left |= {"frames": result.frames, "latents": latents[1].numpy()}
    left |= {"trace": lasting(result.trace.to_dict()), "manifest": lasting(result.manifest())}
    flowedit.write_video("again.mp4", clip.frames, clip.fps, lossless=True)
    return left


SNIPPETS: dict[str, Callable[[], dict[str, Any]]] = {f.__name__: f for f in (ideas, pipeline, integrated, public)}


def main() -> int:
    """Parse, run, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, option in (("record", "--out"), ("compare", "--with")):
        one = verbs.add_parser(verb)
        one.add_argument("--tree", type=Path, required=True, help="where the package `flowedit` lies")
        one.add_argument(option, type=Path, required=True, dest="folder", help="the recording")
        one.add_argument("--only", nargs="+", metavar="NAME", choices=CASES, default=list(CASES))
        one.add_argument("--loose", action="store_true", help=f"frames at {LOOSE_DB:g} dB or more count as the same")
    verbs.add_parser("snippet").add_argument("name", choices=SNIPPETS)  # what `execute` starts
    given = parser.parse_args()
    if given.verb == "snippet":
        left = SNIPPETS[given.name]()
        arrays = {name: left.pop(name) for name in list(left) if isinstance(left[name], np.ndarray)}
        np.savez("snippet.npz", **arrays)
        Path("snippet.json").write_text(json.dumps(left), encoding="utf-8")
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else children of a background job never hear Ctrl-C
    tree, folder, bad = given.tree.resolve(), given.folder.resolve(), 0
    if not (tree / "flowedit" / "__init__.py").is_file():
        parser.error(f"no package flowedit in {tree}")
    if given.verb == "record" and not (folder / "material").exists():
        make_material(folder / "material")
    for name in given.only:
        outcome = perform(name, tree, folder / "material")
        if given.verb == "compare":
            word, least, lines = verdict(stored(folder / name), outcome)
            bad += not least >= (LOOSE_DB if given.loose else math.inf)
        else:
            word, lines = ("failed", [outcome.failure]) if outcome.failure else ("recorded", [])
            bad += bool(outcome.failure)
            store(outcome, folder / name)
        shown = [*lines[:SHOWN], f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else lines
        sys.stdout.write("\n    ".join([f"{name:20} {word:8} {outcome.seconds:6.1f} s", *shown]) + "\n")
        sys.stdout.flush()
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
