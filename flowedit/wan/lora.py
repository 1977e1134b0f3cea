"""LoRAs of the real checkpoints: what a file holds and whether it fits is told from its header, before anything loads.

The weights are added by diffsynth's own `pipe.load_lora`. Where the transformer rests on its device, they become part
of it; where memory management moves its layers, they are added to each layer's output, in the type it computes in.
"""

import contextlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from flowedit.errors import ModelError, SettingError
from flowedit.wan.files import Shapes, read_shapes, transformer_settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from flowedit.wan.checkpoints import Checkpoint

Expert = Literal["high", "low"]
EXPERTS: tuple[Expert, ...] = get_args(Expert)
"""The two transformers of Wan2.2-I2V-A14B: at `high` noise, sigma above its boundary, and at `low`."""
Layers = Mapping[str, tuple[int, int]]
"""Name of each linear layer of a transformer -> (values out, values in)."""
_DIFFERENCES = (".diff", ".diff_b", ".diff_m")
"""Whole differences of biases, norms and modulations that some files hold beside pairs; diffsynth leaves them out."""


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA as a user asks for it.

    Attributes:
        path: its file, safetensors.
        strength: factor of its change; 1 is as trained, below 0 is the opposite. Finite.
        expert: the transformer that it changes, where a checkpoint has two; None for all.
    """

    path: Path
    strength: float = 1.0
    expert: Expert | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise SettingError(f"The strength of {self.path.name} is {self.strength}; it must be finite, such as 0.8.")


@dataclass(frozen=True, kw_only=True)
class CheckedLora:
    """A LoRA that fits a transformer: how many of its linear layers it changes.

    Tensors that are left out, since diffsynth does not load them, are differences of biases, norms and modulations.
    """

    lora: Lora
    layers: int
    total: int
    left_out: int

    def summary(self) -> str:
        """One line: how many layers it reaches, and what of it is left out."""
        expert = f" of the {self.lora.expert}-noise expert" if self.lora.expert else ""
        rest = f"; {self.left_out} differences of biases and norms in it are left out" if self.left_out else ""
        return (
            f"LoRA {self.lora.path.name} at strength {self.lora.strength:g} changes {self.layers} of {self.total} "
            f"linear layers{expert}{rest}."
        )


def parse_lora(text: str) -> Lora:
    """Read a LoRA from the command line: `FILE`, `FILE:0.8`, `high=FILE` or `low=FILE:0.8`.

    A colon that no number follows belongs to the path, and so does one in the name of a file that is there.

    >>> parse_lora("high=turbo.safetensors:0.8").strength
    0.8
    """
    expert: Expert | None = next((each for each in EXPERTS if text.startswith(f"{each}=")), None)
    named = text if expert is None else text.removeprefix(f"{expert}=")
    path, _, number = named.rpartition(":")
    if path and not Path(named).expanduser().exists():
        with contextlib.suppress(ValueError):
            return Lora(path=Path(path).expanduser(), strength=float(number), expert=expert)
    return Lora(path=Path(named).expanduser(), expert=expert)


def as_lora(given: "Lora | str | Path") -> Lora:
    """A LoRA as it is, a path as a LoRA of strength 1, and a string as the command line takes it."""
    if isinstance(given, Lora):
        return given
    return Lora(path=given) if isinstance(given, Path) else parse_lora(given)


def linear_layers(dit: "nn.Module") -> Layers:
    """Name -> (out, in) of the layers of a transformer that a LoRA can change; it may be on the meta device."""
    from torch import nn

    found = {name: module for name, module in dit.named_modules() if isinstance(module, nn.Linear)}
    return {name: (layer.out_features, layer.in_features) for name, layer in found.items()}


@cache
def checkpoint_layers(checkpoint: "Checkpoint") -> Layers:
    """Name -> (out, in) of a checkpoint's linear layers, from the vendor's table: its files need not be there."""
    import torch

    from flowedit.wan import vendor

    with torch.device("meta"):
        return linear_layers(vendor.WanModel(**transformer_settings(checkpoint)))


def check_lora(lora: Lora, layers: Layers, model: str, *, experts: bool = False) -> CheckedLora:
    """Check that a LoRA fits the linear layers of a transformer, from the header of its file."""
    name = lora.path.name
    if lora.expert is not None and not experts:
        raise ModelError(
            f"{name} is for the expert {lora.expert!r}, and {model} has one transformer. Leave out the word."
        )
    shapes = _shapes(lora.path)
    pairs = _check_sizes(shapes, layers, name, model)
    rest = shapes.keys() - {key for keys in pairs.values() for key in keys}
    strange = [key for key in rest if not key.endswith(_DIFFERENCES)]
    if strange:
        raise ModelError(
            f"{name} also holds {min(strange)}, which diffsynth does not read, so that half of it would be missing. "
            "Use a LoRA of plain pairs."
        )
    return CheckedLora(lora=lora, layers=len(pairs), total=len(layers), left_out=len(rest))


def check_loras(loras: Sequence[Lora], checkpoint: "Checkpoint") -> list[CheckedLora]:
    """Check LoRAs against a checkpoint, as `check_lora` does."""
    experts = checkpoint.boundary is not None
    return [check_lora(lora, checkpoint_layers(checkpoint), checkpoint.name, experts=experts) for lora in loras]


def load_loras(pipe: Any, loras: Sequence[Lora]) -> None:  # noqa: ANN401 - the vendor's pipeline
    """Add checked LoRAs to a pipeline's transformers, in this order; before any block of them is compiled."""
    from flowedit.wan import vendor

    # The vendor warns of an alpha at every layer; it is scaled as its file says.
    with vendor.prints_logged(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for lora in loras:
            experts = {"high": [pipe.dit], "low": [pipe.dit2]}.get(lora.expert or "", [pipe.dit, pipe.dit2])
            for dit in filter(None, experts):
                closed = _closed(pipe, dit, lora) if getattr(dit, "vram_management_enabled", False) else {}
                pipe.load_lora(dit, str(lora.path), alpha=lora.strength)
                if closed:
                    pipe.load_lora(dit, alpha=lora.strength, hotload=False, state_dict=closed)


def _closed(pipe: Any, dit: "nn.Module", lora: Lora) -> "dict[str, Tensor]":  # noqa: ANN401 - the vendor's pipeline
    """The pairs of layers that a managed transformer moves as parts of a whole, such as `head`, by their names there.

    The vendor adds nothing to the outputs of those layers, and says nothing of it.
    """
    from safetensors import safe_open

    from flowedit.wan import vendor

    open_layers = {str(module.name) for module in dit.modules() if isinstance(module, vendor.LoRAHotLoadMixin)}
    inside = {path.replace(".module", ""): path for path, _ in dit.named_modules()}
    tensors: dict[str, Tensor] = {}
    with safe_open(lora.path, framework="pt", device=str(pipe.device)) as file:
        for layer, keys in _pairs(_shapes(lora.path), lora.path.name).items():
            if layer in open_layers:
                continue
            if dit.get_parameter(f"{inside[layer]}.weight").is_meta:
                raise ModelError(
                    f"{lora.path.name} changes {layer}, which the level disk reads from its file at each use. "
                    "Use --placement fp8 or offload, or a LoRA of the blocks alone."
                )
            for key in keys:
                tensors[key.replace(layer, inside[layer], 1)] = file.get_tensor(key).to(pipe.torch_dtype)
    return tensors


def _shapes(path: Path) -> Shapes:
    if not path.is_file():
        raise ModelError(f"There is no LoRA file {path}. Check the path; a strength follows a colon, as in FILE:0.8.")
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path.name} is no .safetensors file, and reading another format could run code. Use a safetensors file."
        )
    return read_shapes(path)


def _pairs(shapes: Shapes, name: str) -> dict[str, tuple[str, ...]]:
    """Layer -> its tensors: up, down and perhaps alpha, told apart by the vendor's own reading of their names."""
    from flowedit.wan import vendor

    try:
        named = vendor.GeneralLoRALoader().get_name_dict(shapes)
    except ValueError:  # a name that only resembles a half's
        named = {}
    if not named:
        raise ModelError(
            f"{name} holds {len(shapes)} tensors and no LoRA pair (lora_A and lora_B, or lora_down and lora_up). "
            "Use a LoRA's file; a whole checkpoint is given by --model."
        )
    halves = [up for up, down, _ in named.values() if down not in shapes]
    whole = {key for up, down, _ in named.values() for key in (up, down)}
    halves += [key for key in shapes if ".lora_" in key and key not in whole]
    if halves:
        raise ModelError(f"{name} holds {halves[0]} without its other half. Fetch it again, or use another LoRA.")
    return {layer: tuple(key for key in keys if key is not None) for layer, keys in named.items()}


def _check_sizes(shapes: Shapes, layers: Layers, name: str, model: str) -> dict[str, tuple[str, ...]]:
    """Refuse pairs of other sizes, then those of layers that are not there: the vendor leaves these out silently."""
    pairs = _pairs(shapes, name)
    for layer in layers.keys() & pairs.keys():
        up, down = (shapes[key] for key in pairs[layer][:2])
        if len(up) != 2 or len(down) != 2 or (up[0], down[1], up[1]) != (*layers[layer], down[0]):
            out, taken = layers[layer]
            raise ModelError(
                f"{name} changes {layer} by {up} times {down}, and that layer of {model} is [{out}, {taken}]. "
                "Use a LoRA that was made for this checkpoint."
            )
    strange = [layer for layer in pairs if layer not in layers]
    if strange:
        raise ModelError(
            f"{name} changes {len(strange)} layers that {model} does not have, such as {strange[0]}. "
            "Use a LoRA that was made for this checkpoint and names its layers as the checkpoint's own file does."
        )
    return pairs
