"""One sequence over several processes: the velocity of one, for every family, joint keyframes included."""

import os

import pytest
import torch
import torch.multiprocessing
from small_wan import small_dit
from test_wan_fast import call

from flowedit.errors import SettingError
from flowedit.wan.adapter import positions
from flowedit.wan.fast import use_fast_blocks
from flowedit.wan.parallel import Spread, together
from flowedit.wan.segments import source_turned

POSITIONS = (0, 1, 2, 0, 2)


def whole(family, backend=None, ids=(0.0,)):
    def run(dit, spread):
        use_fast_blocks(dit, spread, backend=backend)
        with positions(dit, POSITIONS), source_turned(dit, ids):
            return call(dit, family, frames=5)

    return run


RUNS = {
    "t2v": whole("t2v"),
    "i2v": whole("i2v"),
    "flf2v": whole("flf2v"),
    "ti2v": whole("ti2v"),
    "source ids": whole("t2v", ids=(0.0, 0.0, 0.0, 1.0, 1.8)),
    "compiled": whole("t2v", "aot_eager"),
}


def family_of(name):
    return name if name in ("i2v", "flf2v", "ti2v") else "t2v"


def process(rank, size, port, folder):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with together() as spread:
        assert (spread.rank, spread.size) == (rank, size)
        found = {name: run(small_dit(family_of(name)), spread) for name, run in RUNS.items()}
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
    dit = small_dit(family_of(name))
    expected = RUNS[name](dit, None)
    torch.testing.assert_close(found[0][name], expected, atol=2e-5, rtol=2e-5)
    assert torch.equal(found[0][name], found[1][name])


def test_a_sequence_that_cannot_be_shared_out_is_refused():
    spread = Spread(rank=0, size=4)
    spread.check(1560 * 26, 40)
    with pytest.raises(SettingError, match="6 attention heads do not divide over 4"):
        spread.check(1560, 6)
    with pytest.raises(SettingError, match="30 tokens of this clip do not divide over 4"):
        spread.check(30, 40)
