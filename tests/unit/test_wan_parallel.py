"""One sequence over several processes: the velocity of one, for every family, joint keyframes included."""

import os

import pytest
import torch
import torch.multiprocessing
from small_wan import FAMILIES, forward, small_dit

from flowedit.errors import SettingError
from flowedit.wan.adapter import positions
from flowedit.wan.fast import use_fast_blocks
from flowedit.wan.parallel import Spread, together
from flowedit.wan.segments import source_turned

POSITIONS = (0, 1, 2, 0, 2)


RUNS = {name: {} for name in ("t2v", "i2v", "flf2v", "ti2v")}
RUNS |= {"source ids": {"ids": (0.0, 0.0, 0.0, 1.0, 1.8)}, "compiled": {"backend": "aot_eager"}}


def velocity(name, spread, backend=None, ids=(0.0,)):
    dit = small_dit(name if name in FAMILIES else "t2v")
    use_fast_blocks(dit, spread, backend=backend)
    with positions(dit, POSITIONS), source_turned(dit, ids):
        return forward(dit, frames=5)


def process(rank, size, port, folder):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with together() as spread:
        assert (spread.rank, spread.size) == (rank, size)
        found = {name: velocity(name, spread, **how) for name, how in RUNS.items()}
        torch.save(found, folder / f"{rank}.pt")


def test_variables_of_torchrun_that_are_missing_are_named(monkeypatch):
    """A `WORLD_SIZE` that something else left behind ended in a traceback of torch's."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(SettingError, match=r"WORLD_SIZE is set and not by torchrun .*: unset it"), together():
        pass


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    port = 20_000 + os.getpid() % 20_000
    torch.multiprocessing.spawn(process, args=(2, port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_give_the_velocity_of_one(name, found):
    expected = velocity(name, None, **RUNS[name])
    torch.testing.assert_close(found[0][name], expected, atol=2e-5, rtol=2e-5)
    assert torch.equal(found[0][name], found[1][name])


def test_a_sequence_that_cannot_be_shared_out_is_refused():
    spread = Spread(rank=0, size=4)
    spread.check(1560 * 26, 40)
    with pytest.raises(SettingError, match="6 attention heads do not divide over 4"):
        spread.check(1560, 6)
    with pytest.raises(SettingError, match="30 tokens of this clip do not divide over 4"):
        spread.check(30, 40)
