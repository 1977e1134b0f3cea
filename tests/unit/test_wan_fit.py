"""Levels are chosen by what is free, placed as the vendor's memory management expects, and stepped down once."""

import pytest
import torch

from flowedit.errors import ModelError
from flowedit.model import ClipShape
from flowedit.wan import fit
from flowedit.wan.checkpoints import CHECKPOINTS, resolve
from flowedit.wan.resources import Resources, measure_resources

GB = 1_000_000_000
SHAPE = ClipShape(num_frames=81, height=480, width=832)


def machine(gpu, host, capability=(8, 9)):
    return Resources(
        device="cuda" if gpu else "cpu",
        gpu_total=int(gpu * GB),
        gpu_free=int(gpu * GB * 0.97),
        capability=capability,
        host_total=int(host * GB),
        host_free=int(host * GB),
        disk_free=200 * GB,
        cpu="a processor",
        cores=8,
    )


@pytest.mark.parametrize(
    ("name", "gpu", "host", "level"),
    [
        ("1.3B", 80, 128, "resident"),
        ("1.3B", 16, 12.5, "resident"),  # Colab's free machine
        ("1.3B", 8, 16, "offload"),
        ("14B", 80, 128, "resident"),
        ("14B", 24, 64, "offload"),
        ("14B", 24, 32, "fp8"),
        ("14B", 24, 12.5, "disk"),
        ("Wan2.2-I2V-A14B", 80, 128, "resident"),
        ("1.3B", 0, 32, "cpu"),
    ],
)
def test_the_fastest_level_that_fits_is_chosen(name, gpu, host, level):
    first = fit.choose_fits(resolve(name), SHAPE, machine(gpu, host), keyframes=5)[0]
    assert first.level == level


def test_the_480p_goals_hold_on_paper():
    small = fit.needs_of(resolve("1.3B"), SHAPE, "offload", keyframes=5)
    large = fit.needs_of(resolve("14B"), SHAPE, "offload", keyframes=5)
    assert small.gpu <= 8 * GB
    assert large.gpu <= 24 * GB
    assert fit.needs_of(resolve("1.3B"), SHAPE, "resident", keyframes=5).host <= 12 * GB


@pytest.mark.parametrize("entry", CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_a_lower_level_never_needs_more(entry):
    needs = [fit.needs_of(entry, SHAPE, level) for level in fit.LEVELS]
    assert needs[0].gpu >= needs[1].gpu >= needs[2].gpu >= needs[3].gpu
    assert needs[1].host >= needs[2].host >= needs[3].host


def test_more_keyframes_need_more():
    few, many = (fit.needs_of(resolve("14B"), SHAPE, "offload", keyframes=count).gpu for count in (0, 5))
    assert many - few == pytest.approx(5 * 1560 * 5120 * 26.3, rel=0.02)


def test_the_text_encoder_is_streamed_where_the_host_is_short():
    plenty, short = (fit.fit_for(resolve("1.3B"), SHAPE, machine(16, host), "resident") for host in (32, 12.5))
    assert plenty.placement("text")["offload_device"] == "cpu"
    assert short.placement("text")["offload_device"] == "disk"
    assert short.placement("text")["preparing_device"] == "cuda"


def test_an_old_gpu_gets_float16_and_its_text_encoder_float32():
    old = fit.fit_for(resolve("1.3B"), SHAPE, machine(16, 64, (7, 5)), "offload")
    assert old.dtype == torch.float16
    assert old.placement("dit")["computation_dtype"] == torch.float16
    assert old.placement("text")["computation_dtype"] == torch.float32


def test_each_level_rests_the_weights_where_it_says():
    levels = {level: fit.fit_for(resolve("14B"), SHAPE, machine(24, 64), level) for level in fit.LEVELS}
    assert levels["resident"].placement("dit") == {}
    assert levels["offload"].placement("dit")["offload_dtype"] == torch.bfloat16
    assert levels["fp8"].placement("dit")["onload_dtype"] == torch.float8_e4m3fn
    assert levels["disk"].placement("dit")["offload_device"] == "disk"
    for level in ("offload", "fp8", "disk"):
        assert levels[level].placement("dit2")["computation_dtype"] == torch.bfloat16
        assert 0.5 <= levels[level].vram_limit < 24 * GB / fit.GIB


def test_what_cannot_fit_is_refused_with_a_clip_that_would():
    with pytest.raises(ModelError, match=r"GB are missing\. Use \d+ frames") as caught:
        fit.choose_fits(resolve("14B"), ClipShape(num_frames=401, height=720, width=1280), machine(24, 64))
    frames = int(str(caught.value).split("Use ")[1].split()[0])
    assert frames % 4 == 1
    shape = ClipShape(num_frames=frames, height=720, width=1280)
    assert fit.choose_fits(resolve("14B"), shape, machine(24, 64))
    longer = ClipShape(num_frames=frames + 4, height=720, width=1280)
    with pytest.raises(ModelError):
        fit.choose_fits(resolve("14B"), longer, machine(24, 64))


def test_too_little_host_memory_is_said():
    with pytest.raises(ModelError, match="host memory"):
        fit.choose_fits(resolve("14B"), SHAPE, machine(24, 2))


class TestSecondTry:
    @pytest.fixture
    def fits(self):
        return fit.choose_fits(resolve("14B"), SHAPE, machine(80, 128))

    def test_one_level_lower_after_running_out(self, fits):
        said, tried = [], []

        def run(level):
            tried.append(level.level)
            if len(tried) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
            return "done"

        assert fit.run_with_fit(fits, run, report=said.append) == "done"
        assert tried == ["resident", "offload"]
        assert len(said) == 1
        assert "offload" in said[0]

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
    def test_the_host_counts_too(self, fits, error):
        def run(level):
            if level is fits[0]:
                raise error
            return level.level

        if not str(error):
            error.args = ("no memory",)
        assert fit.run_with_fit(fits, run, report=lambda line: None) == "offload"

    def test_the_last_try_says_what_to_change(self, fits):
        def run(level):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

        with pytest.raises(ModelError, match="--fit fp8") as caught:
            fit.run_with_fit(fits, run, report=lambda line: None)
        assert "\n" not in str(caught.value)

    def test_another_error_is_not_swallowed(self, fits):
        def run(level):
            raise ValueError("something else")

        with pytest.raises(ValueError, match="something else"):
            fit.run_with_fit(fits, run)


def test_this_machine_is_measured(tmp_path):
    found = measure_resources(tmp_path / "not" / "there")
    assert 0 < found.host_free <= found.host_total
    assert found.disk_free > 0
    assert found.cores >= 1
