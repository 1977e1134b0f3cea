"""How fast a model runs, and what of its result that costs: one name for the fast path and the shortcuts around it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from flowedit.errors import ModelError, SettingError
from flowedit.frames import slot_count
from flowedit.model import Condition
from flowedit.wan.eight_bit import has_room, runs_on
from flowedit.wan.fast import FastOptions, KeyStore, use_fast_blocks, use_plain_blocks
from flowedit.wan.shortcuts import TEACACHE_TABLES, IsolatedKeys, LazyGuidance, ModelFunction, StepCache
from flowedit.wan.vae import use_fast_vae, use_plain_vae

if TYPE_CHECKING:
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.parallel import Spread

Pace = Literal["auto", "plain", "fast", "quick"]
PACES: tuple[Pace, ...] = get_args(Pace)
"""`plain`: the vendor's own blocks. `fast`: the same numbers to rounding. `quick`: shortcuts that change the result."""
LAZY = 4
"""Steps from one forward of the negative prompt to the next at the pace `quick`."""
THRESHOLD = 0.15
"""Change of the time embedding that may add up before a step is computed at the pace `quick`."""


def set_pace(model: "WanVideo", pace: str, *, steps: int = 50, spread: "Spread | None" = None) -> Pace:
    """Choose how fast a loaded model runs from now on.

    Args:
        model: a loaded model.
        pace: one of `PACES`; `auto` is `fast` where a GPU holds the whole transformer, else `plain`.
        steps: of the run, which `quick` needs to compute the last one.
        spread: the processes that share each forward; it needs the fast path.

    Returns:
        The pace that was set.

    Raises:
        SettingError: a pace that does not exist, or `plain` over several processes.
        ModelError: a model that the pace asked for does not suit.
    """
    if pace not in PACES:
        raise SettingError(f"pace is {pace!r}; use one of {', '.join(PACES)}.")
    on_gpu = torch.device(model.pipe.device).type == "cuda"
    transformers = [dit for dit in (model.pipe.dit, model.pipe.dit2) if dit is not None]
    managed = any(getattr(dit, "vram_management_enabled", False) for dit in transformers)
    if spread is not None:
        _check_spread(model, pace)
    if pace == "auto":
        pace = "fast" if spread is not None or (on_gpu and not managed) else "plain"
    model.shorten = None
    for dit in transformers:
        use_plain_blocks(dit)
    use_plain_vae(model.pipe.vae)
    if pace == "plain":
        return "plain"
    eight_bit = pace == "quick" and _eight_bit(model, transformers)
    options = FastOptions(compiled=on_gpu, eight_bit=eight_bit)
    stores = {id(dit): use_fast_blocks(dit, options, spread) for dit in transformers}
    if on_gpu:
        use_fast_vae(model.pipe.vae)
    if pace == "quick":
        model.shorten = _shortener(model, steps, stores)
    return "quick" if pace == "quick" else "fast"


def _eight_bit(model: "WanVideo", transformers: list[Any]) -> bool:
    """Whether products in 8-bit floats run here, with room for their weights beside the plain ones."""
    if model.trained.joint is not None:  # a second transformer, made of the plain layers when it is first needed
        return False
    like = next(transformers[0].parameters())
    if not runs_on(like):
        return False
    free = torch.cuda.mem_get_info(like.device)[0] // len(transformers)
    return all(has_room(dit.blocks, free) for dit in transformers)


def _check_spread(model: "WanVideo", pace: str) -> None:
    if pace == "plain":
        raise SettingError("pace is plain, and several processes share each forward on the fast path. Use fast.")
    if getattr(model.pipe, "vace", None) is not None:
        raise ModelError(
            f"{model.name} adds its hints between the blocks, where each process has its share of the tokens only. "
            "Run it in one process."
        )


def _shortener(
    model: "WanVideo", steps: int, stores: dict[int, KeyStore]
) -> Callable[[Condition], ModelFunction | None]:
    """What makes the shortcuts of a run: those that suit the checkpoint, and make a difference to this condition."""

    def shorten(condition: Condition) -> ModelFunction | None:
        function: ModelFunction = model.pipe.model_fn
        if model.name in TEACACHE_TABLES:
            function = StepCache(function, checkpoint=model.name, steps=steps, threshold=THRESHOLD)
        if condition.key_slots and not model.pipe.dit.fuse_vae_embedding_in_latents:
            function = _Isolating(function, stores, slot_count(condition.shape.num_frames))
        return LazyGuidance(function, every=LAZY) if condition.guidance != 1 else function

    return shorten


class _Isolating:
    """Isolated keyframes with whichever expert is at work."""

    def __init__(self, inner: ModelFunction, stores: dict[int, KeyStore], slots: int) -> None:
        self._each = {number: IsolatedKeys(inner, store, slots) for number, store in stores.items()}
        self._inner = inner

    def __call__(self, *, dit: Any, **inputs: Any) -> torch.Tensor:  # noqa: ANN401 - the vendor's arguments
        # A transformer with the token LoRA was trained on the plain joint sequence, and has no store.
        return self._each.get(id(dit), self._inner)(dit=dit, **inputs)
