"""Fetch a checkpoint's files: ask for the size first, look at the disk, then let the hub's own client do the work.

The client goes on with a file that it had begun, and checks what came. What came as `.pth` is copied to safetensors, so
that loading it later needs no more host memory than the model itself.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from flowedit.errors import ModelError, OutputError
from flowedit.files import atomic_write
from flowedit.wan.checkpoints import TOKENIZER, Checkpoint, Part
from flowedit.wan.files import is_fetched, models_folder, read_fetched, unwrap
from flowedit.wan.memory import existing_parent

Source = Literal["modelscope", "huggingface"]
_MARGIN, _TOKENIZER_FILE = 1.05, "tokenizer_config.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Download:
    """Files of a pattern in a repository of the source hub.

    Attributes:
        size: their bytes; 0 where they are here already, whole.
        part: the checkpoint's part that they are; None for the tokenizer.
    """

    repository: str
    pattern: str
    size: int
    part: Part | None
    here: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What fetching a checkpoint would download, and where to."""

    checkpoint: Checkpoint
    source: Source
    folder: Path
    downloads: tuple[Download, ...]

    @property
    def missing_bytes(self) -> int:
        """Bytes still to download."""
        return sum(download.size for download in self.downloads)

    @property
    def peak_bytes(self) -> int:
        """Room wanted on the disk: the files, and the largest `.pth` a second time while it is copied."""
        copied = [download.size for download in self.downloads if download.pattern.endswith(".pth")]
        return int(_MARGIN * (self.missing_bytes + max(copied, default=0)))


def make_plan(checkpoint: Checkpoint, *, source: Source = "modelscope", folder: Path | None = None) -> Plan:
    """Ask the hub what the files take, and the models folder what is there."""
    folder = folder or models_folder()
    wanted: list[tuple[str, str, Part | None]] = [(*getattr(part, source), part) for part in checkpoint.parts]
    wanted.append((TOKENIZER[0], f"{TOKENIZER[1]}*", None))
    downloads: list[Download] = []
    for repository, pattern, part in wanted:
        here = is_fetched(part, folder) if part else (folder / repository / TOKENIZER[1] / _TOKENIZER_FILE).is_file()
        sizes = [0] if here else _asked(source, repository, pattern, folder, dry=True)
        if not sizes:
            raise ModelError(f"{repository} has no file {pattern}. Choose the other hub with --source.")
        downloads.append(Download(repository=repository, pattern=pattern, size=sum(sizes), part=part, here=here))
    return Plan(checkpoint=checkpoint, source=source, folder=folder, downloads=tuple(downloads))


def fetch(plan: Plan, *, report: Callable[[str], None] = print) -> None:
    """Download what is missing, check what it holds, and copy `.pth` parts to safetensors; report a line per part."""
    free = shutil.disk_usage(existing_parent(plan.folder)).free
    if plan.peak_bytes > free:
        raise OutputError(
            f"{plan.checkpoint.name} needs {plan.peak_bytes / 1e9:.1f} GB in {plan.folder} and {free / 1e9:.1f} GB are "
            "free. Free some, or choose another folder with --to."
        )
    for item in plan.downloads:
        label = item.part.role if item.part else "tokenizer"
        if item.here:
            report(f"{label}: already here")
            continue
        report(f"{label}: {item.repository} {item.pattern}, {item.size / 1e9:.2f} GB")
        _asked(plan.source, item.repository, item.pattern, plan.folder)
        if item.part:
            _settle(item.part, plan)


def convert_pth(path: Path) -> Path:
    """Copy a `.pth` to a safetensors file beside it: mapped and weights-only, so that it needs next to no memory."""
    import torch
    from safetensors.torch import save_file

    state = unwrap(torch.load(path, map_location="cpu", weights_only=True, mmap=True), path)
    target = path.with_suffix(".safetensors")
    with atomic_write(target) as unfinished:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, unfinished)
    return target


def _settle(part: Part, plan: Plan) -> None:
    """Check what came, and make the safetensors copy of a `.pth`; the original goes once the copy is checked."""
    (first, *_) = read_fetched(part, plan.checkpoint, plan.folder).paths
    if first.suffix == ".pth":
        convert_pth(first)
        read_fetched(part, plan.checkpoint, plan.folder)
        first.unlink()


def _asked(source: Source, repository: str, pattern: str, folder: Path, *, dry: bool = False) -> list[int]:
    """What a hub's client answers; whatever it or the network raises is one line."""
    try:
        return HUBS[source](repository, pattern, folder / repository, dry)
    except Exception as error:
        log.debug("%s failed", repository, exc_info=error)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{repository} could not be fetched from {source} ({reason}). Check the network and run the command again "
            "to go on where it stopped, or choose the other hub with --source."
        ) from error


def _huggingface(repository: str, pattern: str, folder: Path, dry: bool) -> list[int]:  # noqa: FBT001 - see HUBS
    from huggingface_hub import snapshot_download

    found: Any = snapshot_download(repository, local_dir=folder, allow_patterns=pattern, dry_run=dry)
    return [file.file_size or 0 for file in found] if dry else []


def _modelscope(repository: str, pattern: str, folder: Path, dry: bool) -> list[int]:  # noqa: FBT001 - see HUBS
    from modelscope import snapshot_download
    from modelscope.hub.api import HubApi

    if not dry:
        snapshot_download(repository, local_dir=str(folder), allow_file_pattern=pattern)
        return []
    files = HubApi().get_model_files(repository, recursive=True)
    return [int(file["Size"] or 0) for file in files if fnmatch(file["Path"], pattern)]


HUBS: dict[Source, Callable[[str, str, Path, bool], list[int]]] = {
    "modelscope": _modelscope,
    "huggingface": _huggingface,
}
"""A hub's own client brings a repository's files of a pattern to a folder; dry, it says how many bytes each has."""
