"""Weight files that look exactly like the official ones, made without any weights.

Names and shapes come from the vendor's own classes built on the meta device with the settings of the vendor's table,
with the prefixes put back that its converters take away. A file is a true header over a sparse body, so that even a
checkpoint of 60 GB takes no room on disk.
"""

import importlib
import json
import re
import struct
import unittest.mock
from functools import cache

import torch
from diffsynth.configs import MODEL_CONFIGS

BYTES, DTYPE = 2, "BF16"
UNCONVERTED_PREFIX = {"wan_video_vae": "model.", "wan_video_image_encoder": "model."}


def _on_meta(path, **settings):
    """Build a vendor class without memory; its image encoder asks for the CPU inside and is told otherwise."""
    module, name = path.rsplit(".", 1)
    home = importlib.import_module(module)
    kind = getattr(home, name)
    if path.endswith("WanImageEncoder"):
        vision = home.clip_xlm_roberta_vit_h_14
        with unittest.mock.patch.object(
            home, "clip_xlm_roberta_vit_h_14", lambda **given: vision(**{**given, "device": "meta"})
        ):
            return kind()
    with torch.device("meta"):
        return kind(**settings)


def _clip_text_shapes(dim=1024, layers=24, vocabulary=250002, places=514):
    """List the tensors of the text half of XLM-RoBERTa CLIP, which is in the official file and is not loaded."""
    shapes = {
        "token_embedding.weight": [vocabulary, dim],
        "type_embedding.weight": [1, dim],
        "pos_embedding.weight": [places, dim],
        "norm.weight": [dim],
        "norm.bias": [dim],
        "head.0.weight": [dim, dim],
        "head.2.weight": [dim, dim],
    }
    for block in range(layers):
        linear = {f"attn.{name}": (dim, dim) for name in "qkvo"} | {"ffn.0": (4 * dim, dim), "ffn.2": (dim, 4 * dim)}
        for name, (rows, columns) in linear.items():
            shapes |= {f"blocks.{block}.{name}.weight": [rows, columns], f"blocks.{block}.{name}.bias": [rows]}
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{name}.{kind}": [dim] for kind in ("weight", "bias")}
    return {f"textual.{name}": shape for name, shape in shapes.items()}


_DIFFUSERS = (
    (r"self_attn", "attn1"), (r"cross_attn", "attn2"), (r"(attn\d)\.([qkv])\.", r"\1.to_\2."), (r"\.o\.", ".to_out.0."),
    (r"ffn\.0", "ffn.net.0.proj"), (r"ffn\.2", "ffn.net.2"), (r"\.norm3\.", ".norm2."),
    (r"^(head\.)?(.*)modulation$", r"\2scale_shift_table"), (r"^head\.head", "proj_out"),
    (r"^(text|time)_embedding\.0", r"condition_embedder.\1_embedder.linear_1"),
    (r"^(text|time)_embedding\.2", r"condition_embedder.\1_embedder.linear_2"),
    (r"^time_projection\.1", "condition_embedder.time_proj"),
)  # fmt: skip
"""What the tensors of Wan's authors are called in diffusers' `WanTransformer3DModel`."""


def as_diffusers(name):
    """The name of a transformer's tensor in the layout of diffusers."""
    for ours, theirs in _DIFFUSERS:
        name = re.sub(ours, theirs, name)
    return name


@cache
def official_shapes(value):
    """Names and shapes of the unconverted file with this hash in the vendor's table."""
    configs = [config for config in MODEL_CONFIGS if config["model_hash"] == value]
    shapes = {}
    for config in configs:
        prefix = UNCONVERTED_PREFIX.get(config["model_name"], "")
        made = _on_meta(config["model_class"], **config.get("extra_kwargs", {})).state_dict()
        named = as_diffusers if "FromDiffusers" in config.get("state_dict_converter", "") else str
        shapes |= {named(name.removeprefix(prefix)): list(value.shape) for name, value in made.items()}
        if config["model_name"] == "wan_video_image_encoder":
            shapes |= _clip_text_shapes()
    return shapes


@cache
def loaded_weights(value):
    """Count the weights that the vendor's classes take from the file with this hash."""
    total = 0
    for config in (config for config in MODEL_CONFIGS if config["model_hash"] == value):
        model = _on_meta(config["model_class"], **config.get("extra_kwargs", {}))
        total += sum(parameter.numel() for parameter in model.parameters())
    return total


def write_sparse(path, shapes):
    """Write a safetensors file with a true header and a body of zeros that takes no room."""
    text, end = _header(shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(text)
        file.truncate(len(text) + end)
    return path


def write_random(path, shapes, seed=0, device="cpu"):
    """Write the same with random values that keep signals in range, one tensor in memory at a time."""
    generator = torch.Generator(device).manual_seed(seed)
    text, end = _header(shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(text)
        for name, shape in shapes.items():
            if name.startswith("textual."):  # never loaded: left as a hole
                file.seek(torch.Size(shape).numel() * BYTES, 1)
                continue
            norm = "norm" in name and name.endswith(("weight", "gamma"))
            fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 0
            spread = fan_in**-0.5 if fan_in > 1 and not norm else 0.05
            value = torch.randn(shape, generator=generator, device=device).mul_(spread).add_(float(norm))
            file.write(value.to(torch.bfloat16).cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        file.truncate(len(text) + end)
    return path


def _header(shapes):
    header, end = {}, 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel() * BYTES
        header[name] = {"dtype": DTYPE, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text, end


def write_shards(folder, shapes, count, stem="diffusion_pytorch_model"):
    """Write the same in several files, named as the official ones are."""
    names = list(shapes)
    step = -(-len(names) // count)
    return [
        write_sparse(
            folder / f"{stem}-{number + 1:05d}-of-{count:05d}.safetensors",
            {name: shapes[name] for name in names[number * step : (number + 1) * step]},
        )
        for number in range(count)
    ]


def lay_out(checkpoint, root, hub="modelscope"):
    """Put every part of a checkpoint under a models folder, as the vendor's downloader leaves it."""
    for part in checkpoint.parts:
        repository, pattern = getattr(part, hub)
        target = root / repository / pattern
        shapes = official_shapes(part.hash)
        if "*" not in pattern:
            write_sparse(target, shapes)
        elif part.weights > 5e9:
            write_shards(target.parent, shapes, 7)
        else:
            write_sparse(target.parent / "diffusion_pytorch_model.safetensors", shapes)
