"""The GPU benchmark without a GPU: its record survives whatever happens, and its table says what the rows say."""

import json
import math
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from typer.testing import CliRunner

from benchmarks.__main__ import app, main
from benchmarks.gpu import Bench, Record, Row, read_record, relative_error, run_gpu
from benchmarks.gpu_sections import SECTIONS, forward_operations
from benchmarks.gpu_tables import NARROW, row_line, rows_of, target_table, where
from benchmarks.synthetic import forward_inputs, synthetic_pipeline
from flowedit.errors import FlowEditError, SettingError
from flowedit.wan import vendor
from flowedit.wan.checkpoints import resolve
from flowedit.wan.files import transformer_settings

SMALL = Bench(resolve("1.3B"), small=True)


def row(name, **values):
    return Row(section="forward", checkpoint=NARROW, name=name, **values)


@pytest.fixture
def run(tmp_path):
    """A run of three sections in place of the real ones; the second can be told to fail."""

    class Running:
        path, calls, broken = tmp_path / "gpu.json", [], False

        def section(self, name):
            def rows(bench):
                self.calls.append(name)
                yield bench.row(name, f"first of {name}", seconds=1.0)
                if self.broken and name == "two":
                    raise torch.OutOfMemoryError("no room\nmore words")
                yield bench.row(name, f"second of {name}", seconds=2.0)

            return rows

        def __call__(self, **changes):
            sections = {name: self.section(name) for name in ("one", "two", "three")}
            return run_gpu(sections, [SMALL], self.path, **changes)

        @property
        def record(self):
            return read_record(self.path)

    return Running()


def test_a_run_that_stopped_has_every_row_on_disk_goes_on_and_repeats_only_what_was_cut(run):
    """Catches rows kept in memory until the end, and rows of a section that was cut standing twice."""
    steps = run()
    for count in (1, 2, 3):
        next(steps)
        assert len(run.record.rows) == count
    steps.close()
    list(run())
    assert run.calls == ["one", "two", "two", "three"]
    wanted = [f"{n} of {s}" for s in ("one", "two", "three") for n in ("first", "second")]
    assert [r.name for r in run.record.rows] == wanted


def test_a_section_that_fails_keeps_its_rows_and_ends_alone(run):
    run.broken = True
    assert [r.name for r in run() if r.section == "two"] == ["first of two"]
    assert run.calls == ["one", "two", "three"]
    assert run.record.unfinished == {f"two {NARROW}": "OutOfMemoryError: no room"}
    run.broken = False
    assert [r.section for r in run()] == ["two", "two"]
    assert not run.record.unfinished


def test_one_process_of_several_writes(run):
    assert len(list(run(rank=1))) == 6
    assert not run.path.exists()


def test_a_record_of_another_machine_is_not_mixed_in(run):
    list(run())
    held = json.loads(run.path.read_text())
    held["about"]["machine"]["gpu"] = "another"
    run.path.write_text(json.dumps(held))
    with pytest.raises(SettingError, match="another machine"):
        list(run())


def test_what_makes_no_sense_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["gpu", "--rehearse", "--sections", "vae,nap", "--json", str(tmp_path / "gpu.json")])
    assert "'nap'" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FlowEditError, match=r"x\.json is no record"):
        read_record(tmp_path / "x.json")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="--rehearse"):
            next(run_gpu(SECTIONS, [Bench(resolve("1.3B"))], tmp_path / "gpu.json"))


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
        Row(section="forward", checkpoint="another", name="vendor's plain path", seconds=0.6, tflops=2400.0),
        row("vendor's plain path", seconds=0.6, tflops=240.0),
        row("fast path (compiled)", seconds=0.45, tflops=240.0, error=0.002),
        row("fast path (compiled)", keyframes=5, seconds=0.54, tflops=340.0),
        Row(section="offload", checkpoint=NARROW, name="a", note="kept to a card of 8 GB; 1.9 GB in use by"),
        Row(section="offload", checkpoint=NARROW, name="b", note="kept to a card of 8 GB; 5.0 GB in use by"),
        Row(section="prediction", checkpoint=NARROW, name="vendor's plain path, as predicted", seconds=0.66),
    ]
    record = Record({}, rows)
    text = "\n".join([target_table(record), rows_of(record, NARROW, ("forward",))])
    assert "| 450 ms | 533 TFLOP/s | 2.0e-03 |" in text
    assert "| 1.3B, plain forward on the fast path | 430 ms | 450 ms | **missed** |" in text
    assert "| joint forward with 5 keyframes, over the plain one | 1.30 times | 1.20 times | reached |" in text
    assert "driver's count | 8.0 GB | 5.0 GB | reached |" in text
    assert "`flowedit doctor` makes | 25.0 % | 10.0 % | reached |" in text
    assert "prepare of the 1.3B's default preset | 1.5 s | not measured |  |" in text
    assert "nan" not in text


def test_synthetic_transformers_have_the_registered_size():
    """Settings of the wrong entry would time another model under this one's name."""
    for name in ("1.3B", "14B", "Wan2.2-TI2V-5B"):
        with torch.device("meta"):
            dit = vendor.WanModel(**transformer_settings(resolve(name)))
        assert sum(p.numel() for p in dit.parameters()) == resolve(name).part("dit").weights


def test_a_synthetic_forward_reads_every_input():
    pipe = synthetic_pipeline(SMALL, vae=False)
    inputs = forward_inputs(pipe, SMALL, 2)
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


def test_the_command_rehearses_every_section(tmp_path):
    """Catches a section that no longer fits the package, which only a rented GPU would show."""
    path = tmp_path / "gpu.json"
    measured = CliRunner().invoke(app, ["gpu", "--json", str(path), "--shapes", "1.3B", "--rehearse"])
    assert measured.exit_code == 0, measured.output
    record = read_record(path)
    assert not record.unfinished
    assert {r.section for r in record.rows} == set(SECTIONS) - {"segments"}
    assert all(r.seconds > 0 and not math.isnan(r.error or 0) for r in record.rows)
    assert row_line(record.rows[0]) in measured.output
    assert "rehearsal" in where(record)
