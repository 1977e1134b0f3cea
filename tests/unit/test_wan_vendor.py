"""The vendor loads without the libraries an edit does not use, and each of them is there once something uses it."""

import sys

import pytest
from fresh import fresh

from flowedit.wan.vendor import WAITING, Deferred, deferring


def test_loading_the_small_model_loads_none_of_the_heavy_libraries():  # catches: a new import at the vendor's top
    code = f"""
        import sys
        from flowedit.models import load_model
        load_model("tiny")
        print(*[name for name in {(*WAITING, "torch._dynamo", "sympy", "triton")} if name in sys.modules])
    """
    assert fresh(code) == []


def test_afterwards_the_real_ones_are_imported_and_the_vendors_names_work():
    code = """
        import sys
        from flowedit.wan import vendor
        from diffsynth.models import wan_video_text_encoder, wan_video_image_encoder
        from diffsynth.core.vram.layers import AutoTorchModule
        from diffsynth.core.attention import attention
        import transformers
        print(transformers.AutoTokenizer.__name__)
        print(wan_video_text_encoder.AutoTokenizer.from_pretrained.__func__.__qualname__)
        print(type(wan_video_image_encoder.T.ToTensor()).__name__)
        print(attention.FLEX_ATTN_AVAILABLE)
        import torch.nn.attention.flex_attention
        print(torch.nn.attention.flex_attention.flex_attention.__name__)
        print(torch.compile(abs, backend="eager")(torch.tensor(-3)).item(), "torch._dynamo" in sys.modules)
    """
    said = "AutoTokenizer AutoTokenizer.from_pretrained ToTensor True flex_attention 3 True"
    assert fresh(code) == said.split()


def test_what_is_marked_for_the_compiler_is_compiled_when_it_is_first_called():
    code = """
        import sys, torch
        from flowedit.wan.vendor import compiling_later
        compiled = []
        with compiling_later():
            double = torch.compile(lambda x: 2 * x, backend=lambda graph, _: compiled.append(graph) or graph.forward)
            same = torch._dynamo.disable(abs)
        print("torch._dynamo" in sys.modules, len(compiled))
        print(double(torch.ones(1)).item(), same(-3), len(compiled))
        with compiling_later():  # it is loaded now, and stays what it is
            print(torch._dynamo.disable.__module__)
    """
    assert fresh(code) == ["False", "0", "2.0", "3", "1", "torch._dynamo.decorators"]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package of two modules."""
    (tmp_path / "slow_library").mkdir()
    (tmp_path / "slow_library" / "__init__.py").write_text(
        "class Base:\n    size = 3\n\ndef twice(x):\n    return 2 * x\n"
    )
    (tmp_path / "slow_library" / "part.py").write_text("LENGTH = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_library"
    for name in [name for name in sys.modules if name.startswith("slow_library")]:
        del sys.modules[name]


def test_a_stand_in_is_called_derived_from_and_compared_like_the_real_thing(library):
    with deferring(library):
        import slow_library.part
        from slow_library import Base, twice

        part = slow_library.part
    assert library not in sys.modules
    assert isinstance(Base, Deferred)
    assert twice(4) == 8

    class Derived(Base):
        pass

    assert Derived.size == 3
    assert isinstance(Derived(), Base)
    assert not isinstance(3, Base)
    assert part.LENGTH.bit_length() == 3  # every name of a module that waits is a stand-in, a number too


def test_what_is_loaded_already_stays_what_it_is(library):
    import slow_library

    with deferring(library):
        import slow_library as again
        import slow_library.part  # not loaded yet, but of a library that is
    assert again is slow_library
    assert slow_library.part.LENGTH == 5


def test_an_import_that_fails_leaves_nothing_behind(library):
    hooks = list(sys.meta_path)
    with pytest.raises(ZeroDivisionError), deferring(library):
        import slow_library

        raise ZeroDivisionError(slow_library)
    assert sys.meta_path == hooks
    assert library not in sys.modules
