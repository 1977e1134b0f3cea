"""Run an edit in one process, or in each of those that `torchrun` started: the first one shows and writes it."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from flowedit.environment import launched

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowedit.ahead import EditRequest


def run_together(request: "EditRequest", show: "Callable[[EditRequest], object]") -> None:
    """Run a request here, or together with the other processes.

    Args:
        request: what to do.
        show: runs a request with progress and results shown; the other processes run it silently.
    """
    if not launched():
        show(request)
        return
    from flowedit.wan.parallel import together

    with together() as spread:
        request = replace(request, spread=spread)
        if spread.rank == 0:
            show(request)
        else:
            _follow(request)


def _follow(request: "EditRequest") -> None:
    """Do the same work for its share of each forward, and leave nothing behind."""
    from flowedit.resuming import STATE
    from flowedit.run import run_edit

    with TemporaryDirectory() as name:
        folder = Path(name) / "run"
        if request.resume and (request.output / STATE).is_file():
            folder.mkdir()
            shutil.copy(request.output / STATE, folder / STATE)
        run_edit(replace(request, output=folder))
