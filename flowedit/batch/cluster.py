"""Where a batch runs: Ray, found or started, and how many edits its nodes have room for."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flowedit.errors import ModelError, SettingError
from flowedit.wan.memory import HOST_BASE_BYTES

STARTS = 3
"""How often Ray is started where it is not up within the 30 s that it gives itself."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would report every start to its makers,
    "RAY_prestart_worker_first_driver": "0",  # start workers that none of ours could be,
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # and say of each worker that died a page, among the lines of `--json`
}
_STORE_BYTES = 80_000_000
"""Ray's store of objects: manifest lines and records go through it, never frames."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Where and how a batch runs.

    Attributes:
        address: a Ray cluster whose nodes share the folders: HOST:PORT, or auto for the one that this machine is in;
            this machine alone unless given.
        gpus_per_edit: GPUs of one edit, which share each step if there are several; one where there are any.
        cpus_per_edit: processor cores of one edit; an even share of a GPU's machine, else one.
        retries: how often a clip that failed is tried again, this time and later; then it is set aside.
        max_usd: most US dollars that all painted keyframes of the batch may cost, earlier calls of it included.
    """

    address: str | None = None
    gpus_per_edit: int | None = None
    cpus_per_edit: int | None = None
    retries: int = 2
    max_usd: float = 2.0


@dataclass(frozen=True)
class Room:
    """What one edit takes: `size` workers, each a `share` of a node in Ray's names; `slots` edits fit at once."""

    size: int
    share: dict[str, int]
    slots: int


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, on a cluster or started here; one that runs in this process already is taken, and stays.

    Raises:
        ModelError: Ray is not installed, or does not start.
        SettingError: no such cluster.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise ModelError("Ray is not installed, and runs a batch: pip install 'flowedit[cluster]'.") from None
    if ours := not ray.is_initialized():
        _start(ray, address)
    # SIGTERM ends the batch as Ctrl-C does; Ray has it end the program on the spot. Other threads hear no signal.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield ray
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
        if ours:
            ray.shutdown()


def _start(ray: Any, address: str | None) -> None:  # noqa: ANN401
    quiet: dict[str, Any] = {"address": address or "local", "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = len(os.sched_getaffinity(0))
        quiet |= {"include_dashboard": False, "num_cpus": cores, "object_store_memory": _STORE_BYTES}
    for left in reversed(range(STARTS)):
        try:
            ray.init(**quiet)
            return
        except ConnectionError:
            said = "start one with ray start --head, and give its RAY_AUTH_TOKEN if it asks for one"
            raise SettingError(f"No Ray cluster answers at {address}; {said}.") from None
        except Exception as error:  # Ray has no class of its own for a node that was not up in time
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise ModelError(f"Ray does not start: {str(error).splitlines()[0]}") from None


def room_on(ray: Any, models: set[str], options: BatchOptions) -> Room:  # noqa: ANN401
    """How many edits the nodes have room for at once, by what `flowedit doctor` predicts of the models to be loaded.

    Raises:
        SettingError: no node has room for one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(any(node.get("GPU") for node in nodes)) if options.gpus_per_edit is None else options.gpus_per_edit
    shares = [int(node.get("CPU", 0) // node["GPU"]) for node in nodes if gpus and node.get("GPU")]
    cpus, memory = options.cpus_per_edit or max(1, min(shares, default=1)), HOST_BASE_BYTES
    if large := sorted(models - {"tiny"}):
        predicted = ray.remote(_predicted).options(num_gpus=min(gpus, 1))
        try:
            memory = ray.get(predicted.remote(large))
        except ray.exceptions.RayTaskError as error:
            raise ModelError(str(error.cause)) from None
    size, share = max(1, gpus), {"CPU": cpus, "memory": memory, **({"GPU": 1} if gpus else {})}
    slots = sum(min(int(node.get(name, 0) // (need * size)) for name, need in share.items()) for node in nodes)
    if slots < 1:
        words = f"{cpus * size} cores, {gpus} GPUs and {memory * size / 1e9:.1f} GB of memory"
        raise SettingError(f"No node has room for one edit: {words}. Lower --cpus-per-edit or --gpus-per-edit.")
    return Room(size, share, slots)


def _predicted(models: Sequence[str]) -> int:
    """Host memory of the greediest of these models, where each is placed fastest."""
    from flowedit.models import placements

    return max(placements(model)[0].needs.host for model in models)
