"""The LoRA for joint keyframe tokens: low-rank changes of the small Wan's transformer, in diffsynth's own file format.

The transformer was trained with a clip alone. A sequence with keyframe tokens after the clip is new to it; the LoRA
teaches it to read them, and is used for such sequences only: the bare transformer stays as it is beside it.
"""

import contextlib
import copy
import io
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from flowedit.errors import ModelError
from flowedit.tiny.load import WEIGHTS
from flowedit.wan import vendor

LORA_FILE = "tiny_lora.safetensors"
"""Name of the LoRA's weight file, beside those of the model."""
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"

log = logging.getLogger("flowedit.tiny")


def joint_transformer(pipe: Any, path: Path) -> "vendor.WanModel":  # noqa: ANN401 - the vendor's pipeline
    """Copy a pipeline's transformer and load the LoRA into the copy, through the pipeline's own loader.

    Args:
        pipe: the small Wan's ``WanVideoPipeline``; its own transformer is left as it is, to the last bit.
        path: the LoRA's file.

    Returns:
        The transformer for sequences with keyframe tokens.

    Raises:
        ModelError: the file is missing, or was made for another architecture.
    """
    if not path.is_file():
        raise ModelError(f"No LoRA at {path.name}: reinstall flowedit, or train it.")
    _check_fit(pipe.dit, path)
    tuned = copy.deepcopy(pipe.dit)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        pipe.load_lora(tuned, str(path))
    log.debug("%s", said.getvalue())
    return tuned.eval().requires_grad_(requires_grad=False)


def joint_source(pipe: Any, weights: Path = WEIGHTS) -> "Callable[[], vendor.WanModel] | None":  # noqa: ANN401
    """Say where the transformer for joint sequences comes from; it is made when first asked for.

    Args:
        pipe: the small Wan's pipeline.
        weights: folder that may hold the LoRA's file.

    Returns:
        A function that makes it once; None where the folder has no such file.
    """
    path = weights / LORA_FILE
    return cache(lambda: joint_transformer(pipe, path)) if path.is_file() else None


def _check_fit(dit: nn.Module, path: Path) -> None:
    """Refuse a file whose layers the transformer does not have: the vendor's loader would leave them out silently."""
    layers = dict(dit.named_modules())
    with safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    names = {name.removesuffix(_DOWN).removesuffix(_UP) for name in shapes}
    for name in sorted(names):
        layer, down, up = layers.get(name), shapes.get(name + _DOWN), shapes.get(name + _UP)
        if down is None or up is None:
            raise ModelError(f"{path.name} has half a change of {name}; train the LoRA again.")
        wanted = layer.weight.shape if isinstance(layer, nn.Linear) else None
        if wanted != torch.Size((up[0], down[1])) or up[1] != down[0]:
            raise ModelError(
                f"{path.name} changes {name} by {up} x {down}; the transformer has {wanted and tuple(wanted)} there: "
                "use the LoRA that was trained for these weights."
            )
    if not names:
        raise ModelError(f"{path.name} holds no LoRA; train it again.")
