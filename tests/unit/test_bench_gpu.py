"""The GPU benchmark without a GPU: its record survives whatever happens, and its table says what the rows say."""

import json
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from typer.testing import CliRunner

from benchmarks import gpu, gpu_rows
from benchmarks.__main__ import app
from benchmarks.gpu import plan_of, run_gpu
from benchmarks.gpu_parts import forward_operations, relative_error
from benchmarks.gpu_record import REHEARSAL, Record, Row, read_record
from benchmarks.gpu_table import derived, rows_of, where
from benchmarks.gpu_targets import target_table
from benchmarks.synthetic import forward_inputs, synthetic_pipeline
from flowedit.errors import FlowEditError, SettingError
from flowedit.wan.checkpoints import resolve
from flowedit.wan.files import transformer_settings

FUN = "Wan2.1-Fun-1.3B-InP"


def plan(path, **changes):
    return plan_of("1.3B", path, **{"minutes": 1.0, "rehearse": True, **changes})


def row(name, **values):
    return Row(section="forward", checkpoint=FUN, name=name, **values)


@pytest.fixture
def sections(monkeypatch):
    """Three sections in place of the real ones; the second can be told to fail."""
    calls = []
    broken = []

    def section(name):
        def rows(plan, *_):
            calls.append(name)
            yield Row(section=name, checkpoint=FUN, name=f"first of {name}", seconds=1.0)
            if name in broken:
                raise torch.OutOfMemoryError("no room\nmore words")
            yield Row(section=name, checkpoint=FUN, name=f"second of {name}", seconds=2.0)

        return rows

    monkeypatch.setattr(gpu_rows, "SECTIONS", {name: section(name) for name in ("one", "two", "three")})
    return calls, broken


def test_every_row_is_on_disk_before_the_next_is_measured(tmp_path, sections):
    path = tmp_path / "gpu.json"
    steps = run_gpu(plan(path))
    for count in (1, 2, 3):
        next(steps)
        assert len(read_record(path).rows) == count
    assert read_record(path).unfinished[f"two {FUN}"].startswith("was running")
    steps.close()


def test_a_run_that_stopped_goes_on_and_repeats_only_what_was_cut(tmp_path, sections):
    calls, _ = sections
    steps = run_gpu(plan(tmp_path / "gpu.json"))
    for _ in range(3):
        next(steps)
    steps.close()
    list(run_gpu(plan(tmp_path / "gpu.json")))
    assert calls == ["one", "two", "two", "three"]
    record = read_record(tmp_path / "gpu.json")
    assert [r.name for r in record.rows] == [
        f"{n} of {s}" for s in ("one", "two", "three") for n in ("first", "second")
    ]
    assert not record.unfinished


def test_a_section_that_fails_keeps_its_rows_and_ends_alone(tmp_path, sections):
    calls, broken = sections
    broken.append("two")
    rows = list(run_gpu(plan(tmp_path / "gpu.json")))
    assert [r.name for r in rows if r.section == "two"] == ["first of two"]
    assert calls == ["one", "two", "three"]
    record = read_record(tmp_path / "gpu.json")
    assert record.unfinished == {f"two {FUN}": "OutOfMemoryError: no room"}


def test_no_section_begins_once_the_time_is_over(tmp_path, sections, monkeypatch):
    clock = iter([0.0, 0.0, 61.0, 61.0])
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(clock))
    list(run_gpu(plan(tmp_path / "gpu.json")))
    assert sections[0] == ["one"]
    assert "minutes were over" in read_record(tmp_path / "gpu.json").unfinished[f"three {FUN}"]


def test_a_record_of_another_machine_is_not_mixed_in(tmp_path, sections):
    path = tmp_path / "gpu.json"
    list(run_gpu(plan(path)))
    held = json.loads(path.read_text())
    held["about"]["machine"]["gpu"] = "another"
    path.write_text(json.dumps(held))
    with pytest.raises(SettingError, match="another machine"):
        list(run_gpu(plan(path)))


def test_what_answers_most_is_measured_first(tmp_path):
    """A machine is lent for minutes: the small model's forward, edit and memory come before the large one's forward."""
    order = [key for key, _ in gpu_rows.sections_of(plan_of("14B,1.3B", tmp_path / "x", minutes=1, rehearse=True))]
    large = "Wan2.1-I2V-14B-480P"
    first = ["machine", f"forward {FUN}", f"edit {FUN}", f"offload {FUN}", f"offload {large}", f"prediction {FUN}"]
    assert order[:6] == first
    assert order.index(f"vae {FUN}") < order.index(f"forward {large}")
    assert len(order) == 13


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"minutes": 0}, "--minutes is 0"), ({"sections": "vae,nap"}, "'nap'")],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, changes, words):
    with pytest.raises(SettingError, match=words):
        plan(tmp_path / "gpu.json", **changes)


def test_without_a_gpu_only_a_rehearsal_runs(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingError, match="--rehearse"):
        list(run_gpu(plan(tmp_path / "gpu.json", rehearse=False)))


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FlowEditError, match=r"x\.json is no record"):
        read_record(tmp_path / "x.json")


def test_operations_of_a_forward_by_hand():
    """The figure behind the floor: 30 blocks of 1536 channels on the 480p clip's 32,760 tokens."""
    n, d, ffn, text = 32_760, 1536, 8960, 512
    block = 2 * (6 * d * d * n + 2 * d * ffn * n + 2 * d * d * text) + 4 * d * n * n + 4 * d * n * text
    assert forward_operations(resolve("1.3B").width, n) == pytest.approx(30 * block / 1e12)
    assert 270 < forward_operations(resolve("1.3B").width, n) < 300


def test_what_was_left_on_the_host_is_compared_with_what_is_on_the_gpu():
    """The vendor's tiled VAE gives its result on the host; a fake CUDA tensor stands in for the plain one."""
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        relative_error(torch.ones(3), torch.ones(3, device="cuda"))


def test_the_table_states_ratios_that_follow_from_its_rows():
    rows = [
        Row(section="machine", checkpoint="", name="matrix product", seconds=0.5, tflops=400.0),
        row("vendor's plain path", seconds=0.6, tflops=240.0),
        row("fast path (compiled)", seconds=0.45, tflops=240.0, error=0.002),
        row("fast path (compiled)", keyframes=5, seconds=0.54, tflops=340.0),
        row("an edit: steps", keyframes=5, seconds=8.0),
        Row(section="offload", checkpoint=FUN, name="a", note="kept to a card of 8 GB; 1.9 GB in use by"),
        Row(section="offload", checkpoint=FUN, name="b", note="kept to a card of 8 GB; 5.0 GB in use by"),
        row("an edit: prepare", keyframes=5, seconds=0.5),
        row("an edit: decode", keyframes=5, seconds=1.5),
        row("an edit: total", keyframes=5, seconds=100.0),
        Row(section="prediction", checkpoint=FUN, name="vendor's plain path, as predicted", seconds=0.66),
    ]
    about = {
        "machine": {"gpu": "a GPU"},
        "versions": {"torch": "2"},
        "clip": {"num_frames": 81, "height": 480, "width": 832},
    }
    record = Record(about, rows)
    text = "\n".join([target_table(record), rows_of(record, FUN, ("forward",)), derived(record, FUN)])
    assert "| 450 ms | 533 TFLOP/s | 2.0e-03 |" in text
    assert "floor of a forward by operations, at the matrix product's rate: 300 ms" in text
    assert "takes 0.75 times the plain path's time" in text
    assert "with 5 joint keyframes a forward takes 1.20 times that without; 50 guided steps 54.0 s" in text
    assert "what `flowedit doctor` predicts of these rows is off by +10 to +10 %" in text
    assert "an edit: 20.0 % of it is encoding and decoding" in text
    assert "| 1.3B, plain forward on the fast path | 480 ms | 450 ms | reached |" in text
    assert "| joint forward with 5 keyframes, over the plain one | 1.15 times | 1.20 times | **missed** |" in text
    assert "driver's count | 8.0 GB | 5.0 GB | reached |" in text
    assert "`flowedit doctor` makes | 25.0 % | 10.0 % | reached |" in text
    assert "at the pace lazy, transformer alone | 45.0 s | not measured |  |" in text


def test_synthetic_transformers_have_the_registered_size():
    """Settings of the wrong entry would time another model under this one's name."""
    for name in ("1.3B", "14B", "Wan2.2-TI2V-5B"):
        checkpoint = resolve(name)
        from flowedit.wan import vendor

        with torch.device("meta"):
            dit = vendor.WanModel(**transformer_settings(checkpoint))
        assert sum(p.numel() for p in dit.parameters()) == checkpoint.part("dit").weights


def test_a_synthetic_forward_reads_every_input():
    checkpoint = resolve("1.3B")
    pipe = synthetic_pipeline(checkpoint, device="cpu", dtype=torch.float32, vae=False, small=True)
    inputs = forward_inputs(pipe, checkpoint, REHEARSAL, 2)
    assert inputs["latents"].shape == (1, 16, 7, 4, 6)
    with torch.no_grad():
        base = pipe.model_fn(**inputs)
        assert torch.isfinite(base).all()
        assert 0.1 < base.std() < 10
        for name in ("latents", "timestep", "context", "y", "clip_feature"):
            moved = pipe.model_fn(**{**inputs, name: inputs[name] * -0.5})
            assert not torch.allclose(moved, base, atol=1e-5), name


def test_several_processes_write_one_record(tmp_path):
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    given = ["-m", "benchmarks", "gpu", "--shapes", "1.3B", "--rehearse", "--json", str(path)]
    done = subprocess.run([*command, *given], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = read_record(path).rows
    assert [(r.name, r.keyframes) for r in rows] == [
        (name, keyframes)
        for keyframes in (0, 5)
        for name in ("fast path (compiled) on 1 GPU", "fast path (compiled) on 2 GPUs")
    ]
    assert all(r.error < 1e-5 for r in rows if "on 2" in r.name)
    assert done.stdout.count("on 2 GPUs") == 2


def test_the_command_rehearses_and_shows_the_table(tmp_path):
    path = tmp_path / "gpu.json"
    given = ["gpu", "--json", str(path), "--shapes", "1.3B", "--rehearse", "--sections", "machine,attention"]
    measured = CliRunner().invoke(app, given)
    assert measured.exit_code == 0, measured.output
    assert "matrix product" in measured.output
    text = rows_of(read_record(path), FUN, ("attention",))
    assert "attention, default" in text
    assert "rehearsal" in where(read_record(path))
