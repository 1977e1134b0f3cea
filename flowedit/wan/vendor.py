# ruff: noqa: F401 - what is imported here is what the other modules use
"""The one place where diffsynth is imported: what flowedit uses of it, by name.

Its files name transformers, torchvision, pandas and others at their top, and an edit uses none of them: loading them
costs more processor time than three steps of an edit, and 150 MB. They also mark functions for PyTorch's compiler,
whose import takes 1.8 s of processor time and 195 MB. All of it waits here until something uses it.
"""

import io
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

WAITING = ("accelerate", "ftfy", "huggingface_hub", "imageio", "modelscope", "pandas", "torchvision", "transformers")
"""What the vendor's files name and an edit does not use."""
FLEX = "torch.nn.attention.flex_attention"


class Deferred:
    """Stands for a value that takes long to make, and makes it when it is first used.

    It can be called, asked for attributes, used as a base class, and on the right of `isinstance`.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the value returns
        """Call the value."""
        return self._make()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the value
        if name.startswith("__"):  # what Python asks of every object: the stand-in's own answer will do
            raise AttributeError(name)
        return getattr(self._make(), name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._make(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._make())


class DeferredModule(ModuleType):
    """Stands for a module: every name of it is a `Deferred`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any name of the module
        if name.startswith("__"):
            raise AttributeError(name)
        return Deferred(lambda: getattr(import_module(self.__name__), name))


class _Finder(MetaPathFinder, Loader):
    """Answers for the modules that are to wait, and for what lies in them."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = frozenset(modules)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """A stand-in for a module that is to wait; None leaves the others to Python."""
        del path, target
        waits = fullname in self._modules or fullname.partition(".")[0] in self._modules
        return ModuleSpec(fullname, self, is_package=True) if waits else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The stand-in."""
        return DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is filled when it is used."""


@contextmanager
def deferring(*modules: str) -> Iterator[None]:
    """Within the block, an import of these modules gives stand-ins; after it, the real ones again.

    What is already loaded stays what it is.
    """
    finder = _Finder([name for name in modules if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, DeferredModule)]:
            del sys.modules[name]
            package, _, part = name.rpartition(".")
            if package in sys.modules:
                delattr(sys.modules[package], part)


@contextmanager
def compiling_later() -> Iterator[None]:
    """Within the block, what is marked for PyTorch's compiler is compiled when it is first called.

    What is marked as not to be compiled stays unmarked: the fast path compiles none of the vendor's functions. Where
    the compiler is loaded already, nothing waits.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return
    now, names = torch.compile, torch.__dict__
    names["compile"] = lambda function, **how: Deferred(lambda: now(function, **how))
    names["_dynamo"] = SimpleNamespace(disable=lambda function: function)
    try:
        yield
    finally:
        names["compile"] = now
        del names["_dynamo"]  # PyTorch imports the real one when it is asked for


with deferring(*WAITING, FLEX), compiling_later():
    from diffsynth.configs import MODEL_CONFIGS, VRAM_MANAGEMENT_MODULE_MAPS
    from diffsynth.core import enable_vram_management
    from diffsynth.core.loader.file import convert_keys_dict_to_single_str
    from diffsynth.core.vram.layers import LoRAHotLoadMixin
    from diffsynth.diffusion import FlowMatchScheduler
    from diffsynth.models import wan_video_vae
    from diffsynth.models.model_loader import ModelPool
    from diffsynth.models.wan_video_dit import (
        CrossAttention,
        DiTBlock,
        RMSNorm,
        SelfAttention,
        WanModel,
        precompute_freqs_cis,
        precompute_freqs_cis_3d,
        rope_apply,
        sinusoidal_embedding_1d,
    )
    from diffsynth.models.wan_video_text_encoder import HuggingfaceTokenizer, WanTextEncoder
    from diffsynth.models.wan_video_vae import (
        AttentionBlock,
        CausalConv3d,
        Resample,
        ResidualBlock,
        RMS_norm,
        VideoVAE38_,
        VideoVAE_,
        WanVideoVAE,
        WanVideoVAE38,
    )
    from diffsynth.pipelines.wan_video import (
        ModelConfig,
        WanVideoPipeline,
        WanVideoUnit_ImageEmbedderFused,
        WanVideoUnit_PromptEmbedder,
        WanVideoUnit_VACE,
        model_fn_wan_video,
    )
    from diffsynth.utils.lora.general import GeneralLoRALoader


@contextmanager
def prints_logged() -> Iterator[None]:
    """Within the block, what the vendor prints goes to the log."""
    said = io.StringIO()
    with redirect_stdout(said):
        yield
    logging.getLogger(__name__).debug("%s", said.getvalue())


# Bernini-R 1.3B is Wan2.1-T2V-1.3B in the names of diffusers, for which the vendor has a converter and no row.
MODEL_CONFIGS.append(
    {
        **next(row for row in MODEL_CONFIGS if row["model_hash"] == "9269f8db9040a9d860eaca435be61814"),
        "model_hash": "b0a133b5687c7d054175e5bfa66ef5fd",
        "state_dict_converter": "diffsynth.utils.state_dict_converters.wan_video_dit.WanVideoDiTFromDiffusers",
    }
)

# The vendor draws a bar for the tiles of each clip; the only bar is the run's own.
wan_video_vae.tqdm = lambda tiles, **_: tiles
