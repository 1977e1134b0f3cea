"""LoRA files of random pairs, and small checkpoints on disk that the public loader knows by name."""

import contextlib

import torch
from diffsynth import configs
from safetensors.torch import save_file
from small_wan import FAMILIES, SIZES, SmallText, small_dit, small_vae

from flowedit.models import load_model
from flowedit.wan import files
from flowedit.wan.checkpoints import CHECKPOINTS, Checkpoint, Part, Width
from flowedit.wan.lora import linear_layers
from flowedit.wan.placement import Needs, Placement

HALVES = {"kijai": ("lora_down", "lora_up", "diffusion_model."), "peft": ("lora_A.default", "lora_B.default", "")}


def pairs_for(layers, *, style="kijai", rank=4, seed=5, alpha=None, gain=1.0):
    """Random pairs for layers `name -> (out, in)`, named as the published distilled LoRAs name theirs."""
    down, up, prefix = HALVES[style]
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (out, taken) in layers.items():
        tensors[f"{prefix}{name}.{down}.weight"] = torch.randn(rank, taken, generator=generator) * taken**-0.5
        tensors[f"{prefix}{name}.{up}.weight"] = gain * torch.randn(out, rank, generator=generator) * rank**-0.5
        if alpha is not None:
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(float(alpha))
    return tensors


def write_pairs(path, layers, extra=None, **how):
    """Write such a file; `extra` are further tensors."""
    save_file({**pairs_for(layers, **how), **(extra or {})}, path)
    return path


def layers_of(family):
    """The linear layers of a family's small transformer."""
    return linear_layers(small_dit(family))


def _parts(family, fingerprint, weights):
    folders = {"dit": "high_noise_model", "dit2": "low_noise_model"} if family == "i2v-a14b" else {"dit": "only"}
    return tuple(
        Part(role=role, huggingface=("a/b", f"{folder}/x*.safetensors"), modelscope=("a/b", f"{folder}/x*.safetensors"),
             hash=fingerprint, weights=weights)
        for role, folder in folders.items()
    )  # fmt: skip


@contextlib.contextmanager
def small_checkpoint(family, folder, monkeypatch, dtype=torch.float32):
    """Register a checkpoint of a family's small transformers, with the vendor and with us; its name."""
    name = f"small-{family}"
    dits = [small_dit(family).to(dtype), small_dit(family, seed=3).to(dtype)]
    state = dits[0].state_dict()
    fingerprint = files.fingerprint({key: list(value.shape) for key, value in state.items()})
    parts = _parts(family, fingerprint, sum(value.numel() for value in state.values()))
    for part, dit in zip(parts, dits, strict=False):
        path = folder / "a" / "b" / part.modelscope[1].replace("*", "")
        path.parent.mkdir(parents=True)
        save_file(dit.state_dict(), path)
    route = "i2v" if family.startswith("i2v") else None
    entry = Checkpoint(
        name=name, family=family, parts=parts, image_route=route, width=Width(dim=48, ffn=64, heads=2, layers=2),
        boundary=0.9 if len(parts) == 2 else None,
    )  # fmt: skip
    config = {
        "model_hash": fingerprint,
        "model_name": "wan_video_dit",
        "model_class": "diffsynth.models.wan_video_dit.WanModel",
        "extra_kwargs": {**SIZES, **FAMILIES[family]},
    }
    monkeypatch.setitem(CHECKPOINTS, name, entry)
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(folder))
    configs.MODEL_CONFIGS.append(config)
    try:
        yield name
    finally:
        configs.MODEL_CONFIGS.remove(config)


def loaded(name, *loras):
    """A small checkpoint through the public loader in float32, with a VAE and words of its own."""
    model = load_model(name, device="cpu", dtype="float32", loras=loras)
    model.pipe.vae = small_vae()
    model._words = SmallText()
    return model


def placement_on_cpu(level, dtype="float32"):
    """A level whose layers rest and compute on the CPU, through the vendor's memory management."""
    return Placement(level=level, device="cpu", dtype_name=dtype, needs=Needs(gpu=0, host=0))


def bring(pipe):
    """Do what the vendor does before a forward, without asking a CPU for its GPU cache."""
    for module in pipe.dit.modules():
        if hasattr(module, "onload"):
            module.onload()
