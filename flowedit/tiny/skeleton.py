"""Build modules without memory for their weights, which come from a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Skeleton(TorchFunctionMode):
    """Within `with Skeleton():`, weights take no memory and no time to draw; tables that are computed are real.

    `torch.device("meta")` would leave the tables out too, and loads torch's compiler for their arithmetic.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Allocate on the meta device where no other is asked for, draw nothing, and pass everything else on."""
        del types
        named = dict(kwargs or {})
        if func is torch.randn:
            return torch.zeros(*args, **named)
        if func is torch.empty and named.get("device") is None:
            named["device"] = "meta"
        if getattr(func, "__module__", "") == "torch.nn.init" and named["tensor"].is_meta:
            return named["tensor"]
        return func(*args, **named)
