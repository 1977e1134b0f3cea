"""How fast a model runs, and what of its result that costs: one name for the fast path and lazy guidance."""

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from flowedit.errors import ModelError, SettingError
from flowedit.wan.fast import attention_name, use_fast_blocks, use_plain_blocks
from flowedit.wan.vae import use_fast_vae, use_plain_vae

if TYPE_CHECKING:
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.parallel import Spread

Pace = Literal["auto", "plain", "fast", "lazy"]
PACES: tuple[Pace, ...] = get_args(Pace)
"""`plain`: the vendor's own blocks. `fast`: the same numbers to rounding. `lazy`: `fast`, and the negative prompt's
forward at every second step, which changes the result."""
LAZY = 2
"""Steps from one forward of the negative prompt to the next at the pace `lazy`."""


def set_pace(model: "WanVideo", pace: str, *, spread: "Spread | None" = None) -> str:
    """Choose how fast a loaded model runs from now on, and return a line: the pace, and what of it runs here.

    `auto` is `fast` where a GPU holds the whole transformer, else `plain`; several processes that share it need `fast`.
    """
    if pace not in PACES:
        raise SettingError(f"pace is {pace!r}; use one of {', '.join(PACES)}.")
    if spread is not None:
        _check_spread(model, pace)
    pipe: Any = model.pipe
    on_gpu = torch.device(pipe.device).type == "cuda"
    transformers = [dit for dit in (pipe.dit, pipe.dit2) if dit is not None]
    moved = any(getattr(dit, "vram_management_enabled", False) for dit in transformers)
    why = ""
    if pace == "auto":
        pace = "fast" if spread is not None or (on_gpu and not moved) else "plain"
        why = ", since their weights are moved in and out of the GPU" if on_gpu and moved else ""
    for dit in transformers:
        use_plain_blocks(dit)
    use_plain_vae(pipe.vae)
    model.negative_every = LAZY if pace == "lazy" else 1
    if pace == "plain":
        return f"pace plain: diffsynth's own blocks{why}"
    for dit in transformers:
        use_fast_blocks(dit, spread, backend="inductor" if on_gpu else None)
    if on_gpu:
        use_fast_vae(pipe.vae)
    blocks = "blocks compiled" if on_gpu else "blocks in real arithmetic"
    kernel = attention_name(next(transformers[0].parameters()))
    vae = ", the VAE by pairs of frames and whole norms" if on_gpu else ""
    lazy = f", the negative prompt every {LAZY} steps" if pace == "lazy" else ""
    return f"pace {pace}: {blocks}, attention by {kernel}{vae}{lazy}"


def _check_spread(model: "WanVideo", pace: str) -> None:
    if pace == "plain":
        raise SettingError("pace is plain, and several processes share each forward on the fast path. Use fast.")
    if getattr(model.pipe, "vace", None) is not None:
        raise ModelError(
            f"{model.name} adds its hints between the blocks, where each process has its share of the tokens only. "
            "Run it in one process."
        )
