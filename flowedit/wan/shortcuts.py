"""Shortcuts around the vendor's model function, each off until it is put on a pipeline; they change the result.

Both take the place of `pipe.model_fn`, with the same arguments, so that everything that calls it is left as it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from flowedit.errors import ModelError, SettingError
from flowedit.wan.adapter import positions

if TYPE_CHECKING:
    from flowedit.wan.fast import KeyStore

ModelFunction = Callable[..., Tensor]
TEACACHE_TABLES = {
    "Wan2.1-T2V-1.3B": "Wan2.1-T2V-1.3B",
    "Wan2.1-T2V-14B": "Wan2.1-T2V-14B",
    "Wan2.1-I2V-14B-480P": "Wan2.1-I2V-14B-480P",
    "Wan2.1-I2V-14B-720P": "Wan2.1-I2V-14B-720P",
}
"""Checkpoint -> the vendor's table of coefficients, which were fitted to that checkpoint and serve no other."""
_PER_FRAME = ("y", "vace_context")


@contextmanager
def using(pipe: Any, shortcut: ModelFunction) -> Iterator[None]:  # noqa: ANN401 - the vendor's pipeline
    """Let a shortcut stand in for a pipeline's model function, for the length of the block."""
    inner = pipe.model_fn
    pipe.model_fn = shortcut
    try:
        yield
    finally:
        pipe.model_fn = inner


class StepCache:
    """Steps whose time embedding moved little reuse what the blocks added at the step before (diffsynth's TeaCache).

    Each prompt's branch has a cache of its own, and so has each length of sequence; a run that begins again at a higher
    noise level begins afresh.

    Attributes:
        skipped: forwards that did not run their blocks, so far.
        computed: forwards that did.
    """

    def __init__(self, inner: ModelFunction, *, checkpoint: str, steps: int, threshold: float) -> None:
        """Wrap a model function.

        Args:
            inner: the pipeline's own.
            checkpoint: name of the checkpoint, which chooses the table.
            steps: steps of the run; the first and the last are always computed.
            threshold: how much change may add up before a step is computed; 0.05 to 0.3 are usual.

        Raises:
            SettingError: a threshold below 0, or fewer steps than 1.
            ModelError: nobody fitted a table for this checkpoint.
        """
        if threshold < 0 or steps < 1:
            raise SettingError(f"step cache has threshold {threshold} and {steps} steps; use at least 0 and 1.")
        if checkpoint not in TEACACHE_TABLES:
            raise ModelError(
                f"Step caching needs coefficients fitted to the checkpoint, and {checkpoint} has none. "
                f"It works for {', '.join(TEACACHE_TABLES)}."
            )
        self._inner, self._steps, self._threshold = inner, steps, threshold
        self._table = TEACACHE_TABLES[checkpoint]
        self._branches: dict[tuple[int, int], tuple[Tensor, float, Any]] = {}
        self.skipped = self.computed = 0

    def __call__(self, *, context: Tensor, timestep: Tensor, latents: Tensor, **inputs: Any) -> Tensor:  # noqa: ANN401
        """The velocity; see the vendor's model function."""
        time, branch = float(timestep.flatten()[0]), (id(context), latents.shape[2])
        # The context is kept beside its cache, so that its place in memory is not given to another branch's.
        kept, before, cache = self._branches.get(branch, (context, float("inf"), None))
        if cache is None or time > before:
            cache = self._fresh()
        self._branches[branch] = (kept, time, cache)
        return self._inner(context=context, timestep=timestep, latents=latents, tea_cache=cache, **inputs)

    def _fresh(self) -> Any:  # noqa: ANN401 - the vendor's cache
        from flowedit.wan.vendor import TeaCache

        cache: Any = TeaCache(self._steps, rel_l1_thresh=self._threshold, model_id=self._table)
        check = cache.check

        def counted(*arguments: Any) -> bool:  # noqa: ANN401
            skip = bool(check(*arguments))
            self.skipped += skip
            self.computed += not skip
            return skip

        cache.check = counted
        return cache


class IsolatedKeys:
    """Keyframe tokens that do not look back at the clip: run once a step, and shown to both guidance branches.

    In the plain joint sequence the keyframes' tokens attend to the clip's, so that each guidance branch must carry them
    through every block. Here they attend only to one another and to the prompt, which makes their keys and values
    depend on sigma alone; the clip's tokens still see all of them.
    """

    def __init__(
        self, inner: ModelFunction, store: "KeyStore", num_slots: int, *, shown: Literal["both", "first"] = "both"
    ) -> None:
        """Wrap a model function.

        Args:
            inner: the pipeline's own.
            store: of the fast path that the transformer runs on.
            num_slots: latent slots of the clip; what comes after them are keyframes.
            shown: `both` guidance branches see the keyframes, or only the `first` of a step, the prompt's: guidance
                then also moves away from a clip that knows no keyframe.
        """
        self._inner, self._store, self._slots, self._shown = inner, store, num_slots, shown
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, *, dit: Any, latents: Tensor, **inputs: Any) -> Tensor:  # noqa: ANN401
        """The velocity of clip and keyframes; see the vendor's model function."""
        total = latents.shape[2]
        if total <= self._slots:
            return self._inner(dit=dit, latents=latents, **inputs)
        if inputs.get("fuse_vae_embedding_in_latents"):
            raise ModelError(
                "Isolated keyframes need one time for all tokens; this model gives its first slot another."
            )
        again = self._last is not None and self._last[0] is latents
        try:
            v_key = self._keyframes(dit, latents, inputs)
            self._store.mode = "off" if again and self._shown == "first" else "read"
            v_main = self._inner(dit=dit, latents=latents[:, :, : self._slots], **_frames(inputs, 0, self._slots))
        finally:
            self._store.mode = "off"
        return torch.cat([v_main, v_key], dim=2)

    def _keyframes(self, dit: Any, latents: Tensor, inputs: dict[str, Any]) -> Tensor:  # noqa: ANN401
        """The keyframes' velocity, their keys left in the store; kept for the other branch of the same step."""
        if self._last is not None and self._last[0] is latents:
            return self._last[1]
        first, total = self._slots, latents.shape[2]
        self._store.mode = "write"
        with positions(dit, range(first, total)):
            v_key = self._inner(dit=dit, latents=latents[:, :, first:], **_frames(inputs, first, total))
        self._last = (latents, v_key)
        return v_key


class LazyGuidance:
    """The negative prompt's forward at every n-th step; between, it keeps the distance it had from the prompt's.

    A step's second call with the same latents is its negative branch. A run that begins again at a higher noise level
    begins afresh.

    Attributes:
        skipped: forwards left out so far.
    """

    def __init__(self, inner: ModelFunction, *, every: int) -> None:
        """Wrap a model function.

        Args:
            inner: the pipeline's own, or another shortcut.
            every: steps from one forward of the negative prompt to the next; 1 leaves none out.

        Raises:
            SettingError: less than one step.
        """
        if every < 1:
            raise SettingError(f"lazy guidance runs every {every} steps; use at least 1. 2 or 3 are usual.")
        self._inner, self._every = inner, every
        self._first: tuple[Tensor, Tensor] | None = None
        self._branches: dict[int, tuple[Tensor, float, int, Tensor]] = {}
        self.skipped = 0

    def __call__(self, *, latents: Tensor, context: Tensor, timestep: Tensor, **inputs: Any) -> Tensor:  # noqa: ANN401
        """The velocity; see the vendor's model function."""
        given = {**inputs, "latents": latents, "context": context, "timestep": timestep}
        if self._first is None or self._first[0] is not latents:
            self._first = (latents, self._inner(**given))
            return self._first[1]
        velocity, time = self._first[1], float(timestep.flatten()[0])
        # The context is kept beside its distance, so that its place in memory is not given to another branch's.
        kept, before, age, gap = self._branches.get(id(context), (context, -1.0, 0, velocity))
        if time > before or age >= self._every or gap.shape != velocity.shape:
            age, gap = 0, velocity - self._inner(**given)
        else:
            self.skipped += 1
        self._branches[id(context)] = (kept, time, age + 1, gap)
        return velocity - gap


def _frames(inputs: dict[str, Any], first: int, end: int) -> dict[str, Any]:
    """The arguments with those that belong to frames cut to some of them."""
    return {name: value[:, :, first:end] if name in _PER_FRAME else value for name, value in inputs.items()}
