"""The benchmark of a batch on several GPUs: what it reads off the ends of clips."""

from benchmarks.batch_gpus import GpuRow, drawn_manifest, gpus_table
from flowedit.batch.manifest import entries_of, read_rows
from flowedit.model import ClipShape


def test_the_pace_leaves_out_what_starting_took():
    """Catches: clips that ended beside a worker that was still loading, counted to its pace."""
    two = GpuRow(name="2 GPUs", workers=2, cores=32, seconds=60.0, ends=[30, 32, 40, 42, 50, 52])
    one = GpuRow(name="1 GPU", workers=1, cores=16, seconds=90.0, ends=[30, 40, 50, 60, 70, 80])
    assert (two.first, two.pace, one.first, one.pace) == (32, 5, 30, 10)
    assert gpus_table({row.name: row for row in (two, one)}).splitlines()[2].endswith("| 2.00 times |")


def test_the_manifest_fits_the_batch_and_no_two_clips_are_the_same(tmp_path):
    path = drawn_manifest(tmp_path, 2, ClipShape(num_frames=17, height=32, width=48))
    entries, faults = entries_of(*read_rows(path), tmp_path / "out", {})
    assert not faults
    assert [index for index, _ in entries[0].request.keyframes] == [0, 4, 8, 12, 16]
    assert len({entry.request.video.read_bytes() for entry in entries}) == 2
