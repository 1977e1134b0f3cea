"""Each placement of the weights computes what the plain one does, through the vendor's loader and its management."""

import pytest
import torch
from diffsynth import configs
from diffsynth.models.wan_video_dit import WanModel
from safetensors.torch import save_file
from small_wan import FAMILIES, TEXT_DIM, small_dit, small_pipeline

from flowedit.errors import ModelError
from flowedit.wan import files, loading, vram
from flowedit.wan.checkpoints import CHECKPOINTS, Checkpoint, Part, Width
from flowedit.wan.fit import Fit, Needs

SIZES = {"dim": 48, "ffn_dim": 64, "out_dim": 16, "text_dim": TEXT_DIM, "freq_dim": 32, "eps": 1e-6}
DEPTH = {"patch_size": (1, 2, 2), "num_heads": 2, "num_layers": 2}


@pytest.fixture
def dit():
    return small_dit("t2v").to(torch.bfloat16)


@pytest.fixture
def name(dit, tmp_path, monkeypatch):
    """Register a checkpoint of the small transformer alone, with the vendor and with us."""
    shapes = {key: list(value.shape) for key, value in dit.state_dict().items()}
    value = files.fingerprint(shapes)
    part = Part(role="dit", huggingface=("a/b", "x*.safetensors"), modelscope=("a/b", "x*.safetensors"), hash=value,
                weights=sum(p.numel() for p in dit.parameters()))  # fmt: skip
    width = Width(dim=48, ffn=64, heads=2, layers=2)
    entry = Checkpoint(name="small", family="t2v", parts=(part,), image_route=None, width=width)
    config = {
        "model_hash": value,
        "model_name": "wan_video_dit",
        "model_class": "diffsynth.models.wan_video_dit.WanModel",
        "extra_kwargs": {**SIZES, **DEPTH, **FAMILIES["t2v"]},
    }
    monkeypatch.setitem(CHECKPOINTS, "small", entry)
    configs.MODEL_CONFIGS.append(config)
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path))
    (tmp_path / "a" / "b").mkdir(parents=True)
    save_file(dit.state_dict(), tmp_path / "a" / "b" / "x.safetensors")
    yield "small"
    configs.MODEL_CONFIGS.remove(config)


def velocity(pipe):
    generator = torch.Generator().manual_seed(0)
    latents, context = (torch.randn(shape, generator=generator).bfloat16() for shape in ((1, 16, 2, 4, 4), (1, 8, 32)))
    with torch.no_grad():
        return pipe.model_fn(dit=pipe.dit, latents=latents, context=context, timestep=torch.tensor([500.0]).bfloat16())


def fit_on_cpu(level):
    needs = Needs(gpu=0, host=0)
    return Fit(level=level, device="cpu", dtype_name="bfloat16", text_on_disk=False, tiled=False, vram_limit=None,
               needs=needs)  # fmt: skip


def bring(pipe):
    """Do what the vendor does before a forward, without asking a CPU for its GPU cache."""
    for module in pipe.dit.modules():
        if hasattr(module, "onload"):
            module.onload()


def test_a_plain_load_has_the_files_values(name, dit):
    pipe, checkpoint = loading.load_pipeline(name)
    assert checkpoint.name == "small"
    assert not pipe.vram_management_enabled
    assert all(torch.equal(a, b) for a, b in zip(pipe.dit.parameters(), dit.parameters(), strict=True))


@pytest.mark.parametrize(("level", "tolerance"), [("offload", 0.0), ("fp8", 0.15), ("disk", 0.15)])
def test_a_managed_load_computes_what_the_plain_one_does(name, level, tolerance):
    plain = velocity(loading.load_pipeline(name).pipe)
    pipe = loading.load_pipeline(name, fit=fit_on_cpu(level)).pipe
    assert pipe.vram_management_enabled
    bring(pipe)
    error = (velocity(pipe) - plain).float().norm() / plain.float().norm()
    assert error <= tolerance
    assert (error > 0) == (tolerance > 0)


def test_resting_on_disk_holds_no_weights(name):
    pipe = loading.load_pipeline(name, fit=fit_on_cpu("disk")).pipe
    assert sum(p.numel() for p in pipe.dit.parameters() if p.device.type != "meta") < 500


def test_the_dtype_asked_for_wins(name):
    pipe = loading.load_pipeline(name, dtype=torch.float32).pipe
    assert {p.dtype for p in pipe.dit.parameters()} == {torch.float32}


def test_a_folder_and_a_file_load_as_the_name_does(name, tmp_path):
    for path in (tmp_path / "a", tmp_path / "a" / "b" / "x.safetensors"):
        assert loading.load_pipeline(path).checkpoint.name == "small"


def test_managing_a_loaded_pipeline_changes_no_value(name):
    pipe = loading.load_pipeline(name).pipe
    plain = velocity(pipe)
    vram.manage(pipe, None)
    assert pipe.vram_management_enabled
    assert not isinstance(pipe.dit.blocks[0], type(WanModel(**SIZES, **DEPTH, **FAMILIES["t2v"]).blocks[0]))
    bring(pipe)
    assert torch.equal(velocity(pipe), plain)
    before = pipe.dit.blocks[0]
    vram.manage(pipe, None)
    assert pipe.dit.blocks[0] is before


def test_a_cpu_has_nothing_to_manage():
    pipe = small_pipeline("t2v")
    assert vram.enable_vram_management(pipe) is False
    with pytest.raises(ModelError, match="must be positive"):
        vram.enable_vram_management(pipe, 0)


def test_text_without_a_tokenizer_is_refused(name, tmp_path, monkeypatch):
    entry = CHECKPOINTS[name]
    stand_in = Part(**{**vars(entry.parts[0]), "role": "text"})
    monkeypatch.setitem(CHECKPOINTS, name, Checkpoint(**{**vars(entry), "parts": (stand_in,)}))
    with pytest.raises(ModelError, match="tokenizer"):
        loading.load_pipeline(name)
