"""The GPU benchmark without a GPU: its record survives whatever happens, and its table says what the rows say."""

import json
import math
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.__main__ import app, main
from benchmarks.gpu import FAST, PLAIN, Record, Row, read_record, rows_of, run_gpu, where
from benchmarks.synthetic import Bench, forward_operations, synthetic_model, velocities
from benchmarks.targets import asked_of_a_gpu
from flowedit.errors import FlowEditError, SettingError
from flowedit.wan import vendor
from flowedit.wan.checkpoints import resolve
from flowedit.wan.files import transformer_settings

SMALL = Bench(resolve("1.3B"), small=True)
NARROW = SMALL.checkpoint.name


def section(*names):
    return lambda bench: ({"name": name, "seconds": 1.0} for name in names)


def test_every_row_is_on_disk_and_another_section_is_added(tmp_path):
    """Catches rows kept in memory until the end, and rows of a section that is run again standing twice."""
    path = tmp_path / "gpu.json"
    steps = run_gpu({"one": section("a", "b", "c")}, [SMALL], path)
    for count in (1, 2):
        next(steps)
        assert len(read_record(path).rows) == count
    steps.close()
    list(run_gpu({"two": section("d"), "one": section("a", "b")}, [SMALL], path))
    assert [row.name for row in read_record(path).rows] == ["d", "a", "b"]


def test_one_process_of_several_writes(tmp_path):
    assert len(list(run_gpu({"one": section("a")}, [SMALL], tmp_path / "gpu.json", rank=1))) == 1
    assert not (tmp_path / "gpu.json").exists()


def test_a_record_of_another_machine_is_not_mixed_in(tmp_path):
    path = tmp_path / "gpu.json"
    list(run_gpu({"one": section("a")}, [SMALL], path))
    held = json.loads(path.read_text())
    held["about"]["machine"]["gpu"] = "another"
    path.write_text(json.dumps(held))
    with pytest.raises(SettingError, match="another machine"):
        list(run_gpu({"one": section("a")}, [SMALL], path))


def test_what_makes_no_sense_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["gpu", "--rehearse", "--sections", "edit,nap", "--json", str(tmp_path / "gpu.json")])
    assert "'nap'" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FlowEditError, match=r"x\.json is no record"):
        read_record(tmp_path / "x.json")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="--rehearse"):
            next(run_gpu({}, [Bench(resolve("1.3B"))], tmp_path / "gpu.json"))


def test_operations_of_a_forward_by_hand():
    """The figure behind the rates: 30 blocks of 1536 channels on the 480p clip's 32,760 tokens."""
    n, d, ffn, text = 32_760, 1536, 8960, 512
    block = 2 * (6 * d * d * n + 2 * d * ffn * n + 2 * d * d * text) + 4 * d * n * n + 4 * d * n * text
    assert forward_operations(resolve("1.3B").width, n) == pytest.approx(30 * block / 1e12)
    assert 270 < forward_operations(resolve("1.3B").width, n) < 300


def test_the_table_states_rates_that_follow_from_its_rows():
    """Catches rows of another checkpoint or section, and a column that no row fills."""
    one = {"section": "forward", "checkpoint": NARROW, "name": FAST, "seconds": 0.45, "tflops": 240.0, "error": 0.002}
    others = {**one, "checkpoint": "another"}, {**one, "section": "edit"}
    text = rows_of(Record({}, [Row(**row) for row in (one, *others)]), NARROW, ("forward",)).splitlines()
    assert text[0] == "| what | keyframes | time | rate | error |"
    assert text[2:] == [f"| {FAST} |  | 450 ms | 533 TFLOP/s | 2.0e-03 |"]


def test_synthetic_transformers_have_the_registered_size():
    """Settings of the wrong entry would time another model under this one's name."""
    for name in ("1.3B", "14B", "Wan2.2-TI2V-5B"):
        with torch.device("meta"):
            dit = vendor.WanModel(**transformer_settings(resolve(name)))
        assert sum(p.numel() for p in dit.parameters()) == resolve(name).part("dit").weights


@pytest.mark.parametrize("name", ["1.3B", "Bernini-R-1.3B"])
def test_what_is_shown_reaches_a_synthetic_forward(name):
    """Catches inputs that the transformer never reads, whose time would be missing."""
    bench = Bench(resolve(name), small=True)
    with torch.inference_mode():
        works = velocities(bench, synthetic_model(bench))
        made = {shown: (about, work()) for shown, (about, work) in works.items()}
    (alone, velocity), *others = made.values()
    assert "keyframes" not in alone
    assert velocity.shape == (1, 16, 5, 4, 6)
    assert 0.1 < velocity.std() < 10
    for about, other in others:
        assert about["tflops"] > alone["tflops"]
        assert not torch.allclose(other[:, :, :5], velocity, atol=1e-5)


def test_several_processes_write_one_record(tmp_path):
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    given = ["-m", "benchmarks", "gpu", "--shapes", "1.3B", "--rehearse", "--json", str(path)]
    done = subprocess.run([*command, *given], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = read_record(path).rows
    works = "clip alone", "joint keyframes"
    assert [row.name for row in rows] == [f"{FAST} on {n}: {work}" for n in ("1 GPU", "2 GPUs") for work in works]
    assert all(row.error < 1e-5 for row in rows[2:])


def test_the_command_rehearses_every_section(tmp_path):
    """Catches a section that no longer fits the package, which only a rented GPU would show."""
    path = tmp_path / "gpu.json"
    measured = CliRunner().invoke(app, ["gpu", "--json", str(path), "--shapes", "1.3B", "--rehearse"])
    assert measured.exit_code == 0, measured.output
    record = read_record(path)
    assert {row.section for row in record.rows} == {"forward", "edit"}
    assert {f"{PLAIN}: clip alone", f"{FAST}: VAE decode"} <= {row.name for row in record.rows}
    assert all(row.seconds > 0 and not math.isnan(row.error or 0) for row in record.rows)
    assert record.rows[0].name in measured.output
    assert "rehearsal" in where(record)
    assert "not measured" not in asked_of_a_gpu(record)
