"""Levels are chosen by what is free and placed as the vendor's memory management expects."""

import pytest
import torch

from flowedit.errors import ModelError
from flowedit.model import ClipShape
from flowedit.wan import memory, placement
from flowedit.wan.checkpoints import CHECKPOINTS, resolve
from flowedit.wan.memory import Resources, measure_resources

GB = 1_000_000_000
SHAPE = ClipShape(num_frames=81, height=480, width=832)


def machine(gpu, host, capability=(8, 9)):
    memory_of = {"gpu_total": gpu, "gpu_free": gpu * 0.97, "host_total": host, "host_free": host, "disk_free": 200}
    free = {name: int(size * GB) for name, size in memory_of.items()}
    return Resources(device="cuda" if gpu else "cpu", capability=capability, **free)


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
    first = placement.placements(resolve(name), SHAPE, machine(gpu, host), keyframes=5)[0]
    assert first.level == level


@pytest.mark.parametrize("entry", CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_a_lower_level_never_needs_more(entry):
    needs = [placement.needs_of(entry, SHAPE, level) for level in placement.LEVELS]
    assert needs[0].gpu >= needs[1].gpu >= needs[2].gpu >= needs[3].gpu
    assert needs[1].host >= needs[2].host >= needs[3].host


def test_more_keyframes_need_more():
    few, many = (placement.needs_of(resolve("14B"), SHAPE, "offload", keyframes=count).gpu for count in (0, 5))
    assert many - few == pytest.approx(5 * 1560 * 5120 * 26.3, rel=0.02)


def test_the_text_encoder_is_streamed_where_the_host_is_short():
    plenty, short = (
        placement.placement_at(resolve("1.3B"), SHAPE, machine(16, host), "resident").arguments("text")
        for host in (32, 12.5)
    )
    assert (plenty["offload_device"], short["offload_device"], short["preparing_device"]) == ("cpu", "disk", "cuda")


def test_an_old_gpu_gets_float16_and_its_text_encoder_float32():
    old = placement.placement_at(resolve("1.3B"), SHAPE, machine(16, 64, (7, 5)), "offload")
    assert old.dtype == torch.float16
    assert old.arguments("dit")["computation_dtype"] == torch.float16
    assert old.arguments("text")["computation_dtype"] == torch.float32


def test_each_level_rests_the_weights_where_it_says():
    levels = {
        level: placement.placement_at(resolve("14B"), SHAPE, machine(24, 64), level) for level in placement.LEVELS
    }
    assert levels["resident"].arguments("dit") == {}
    assert levels["offload"].arguments("dit")["offload_dtype"] == torch.bfloat16
    assert levels["fp8"].arguments("dit")["onload_dtype"] == torch.float8_e4m3fn
    assert levels["disk"].arguments("dit")["offload_device"] == "disk"
    for level in ("offload", "fp8", "disk"):
        assert levels[level].arguments("dit2")["computation_dtype"] == torch.bfloat16
        assert 0.5 <= levels[level].vram_limit < 24 * GB / placement.GIB


def test_what_cannot_fit_is_refused_with_a_clip_that_would():
    def fit(frames):
        shape = ClipShape(num_frames=frames, height=720, width=1280)
        return placement.placements(resolve("14B"), shape, machine(24, 64))

    with pytest.raises(ModelError, match=r"GB are missing\. Use \d+ frames") as caught:
        fit(401)
    frames = int(str(caught.value).split("Use ")[1].split()[0])
    assert frames % 4 == 1
    assert fit(frames)
    with pytest.raises(ModelError):
        fit(frames + 4)
    with pytest.raises(ModelError, match="host memory"):
        placement.placements(resolve("14B"), SHAPE, machine(24, 2))


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_errors(error, counts):
    assert placement.is_out_of_memory(error) is counts


def test_the_last_try_says_what_to_change_in_one_line():
    found = placement.placements(resolve("14B"), SHAPE, machine(80, 128))[-1]
    said = str(placement.exhausted(found, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")))
    assert "--placement fp8" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("written", "limit", "used"),
    [
        ({"memory.max": "max"}, 1 << 62, 0),
        ({"memory.max": "900", "memory.current": "500", "memory.stat": "anon 1\ninactive_file 200"}, 900, 300),
        (
            {"memory/memory.limit_in_bytes": "77", "memory/memory.usage_in_bytes": "7",
             "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 9"},
            77,
            0,
        ),
        ({}, 1 << 62, 0),
    ],
    ids=["no limit", "version 2", "version 1", "no control group"],
)  # fmt: skip
def test_a_containers_limit_is_read_from_its_control_group(tmp_path, monkeypatch, written, limit, used):
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory._container() == (limit, used)


def test_this_machine_is_measured(tmp_path):
    found = measure_resources(tmp_path / "not" / "there")
    assert 0 < found.host_free <= found.host_total
    assert found.disk_free > 0
