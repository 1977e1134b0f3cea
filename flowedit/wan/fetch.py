"""Fetch a checkpoint's files: ask for the size first, look at the disk, then let the hub's own client do the work.

The client goes on with a file that it had begun, and checks what came. What came as `.pth` is copied to safetensors, so
that loading it later needs no more host memory than the model itself.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, NamedTuple

from flowedit.errors import ModelError, OutputError
from flowedit.wan.checkpoints import TOKENIZER, Checkpoint, Part
from flowedit.wan.files import is_fetched, models_folder, read_fetched, unwrap
from flowedit.wan.memory import existing_parent

Source = Literal["modelscope", "huggingface"]
_MARGIN = 1.05
log = logging.getLogger(__name__)


class Hub(NamedTuple):
    """What is asked of a hub's own client; both take (repository, file pattern, models folder).

    Attributes:
        sizes: bytes of each matching file.
        download: leaves the files in `models folder / repository`.
    """

    sizes: Callable[[str, str, Path], list[int]]
    download: Callable[[str, str, Path], object]


@dataclass(frozen=True, kw_only=True)
class Download:
    """One pattern of one repository, and what it takes.

    Attributes:
        repository: on the source hub.
        pattern: files wanted there.
        size: bytes of those files; 0 where they are here.
        part: the checkpoint's part that they are; None for the tokenizer.
        here: whether they are there already, whole.
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
    """Ask the hub what the files take, and the disk what is there.

    Args:
        checkpoint: the registry entry.
        source: the hub.
        folder: models folder; None means the default one.

    Raises:
        ModelError: the hub cannot be reached, or lacks a file; or a file that is there is broken.
    """
    folder = folder or models_folder()
    wanted: list[tuple[str, str, Part | None]] = [(*getattr(part, source), part) for part in checkpoint.parts]
    wanted.append((TOKENIZER[0], f"{TOKENIZER[1]}*", None))
    downloads: list[Download] = []
    for repository, pattern, part in wanted:
        here = is_fetched(part, folder) if part else _tokenizer_here(folder)
        size = 0 if here else _size(source, repository, pattern, folder)
        downloads.append(Download(repository=repository, pattern=pattern, size=size, part=part, here=here))
    return Plan(checkpoint=checkpoint, source=source, folder=folder, downloads=tuple(downloads))


def fetch(plan: Plan, *, report: Callable[[str], None] = print) -> None:
    """Download what is missing, check what it holds, and copy `.pth` parts to safetensors.

    Args:
        plan: from `make_plan`.
        report: called with a line per part.

    Raises:
        OutputError: the disk has too little room; nothing is downloaded then.
        ModelError: the download failed, or what came is not what the registry says; run it again to go on.
    """
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
        try:
            HUBS[plan.source].download(item.repository, item.pattern, plan.folder)
        except Exception as error:
            raise _unanswered(plan.source, item.repository, error) from error
        if item.part:
            _settle(item.part, plan)


def convert_pth(path: Path) -> Path:
    """Copy a `.pth` to a safetensors file beside it, and return the copy's path.

    The file is mapped, not read, and opened weights-only, so the copy needs next to no memory.

    Raises:
        ModelError: it holds more than a plain dictionary of tensors.
    """
    import torch
    from safetensors.torch import save_file

    state = unwrap(torch.load(path, map_location="cpu", weights_only=True, mmap=True), path)
    target = path.with_suffix(".safetensors")
    unfinished = target.with_name(f".{target.name}.part")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, unfinished)
    unfinished.replace(target)
    return target


def _huggingface_sizes(repository: str, pattern: str, folder: Path) -> list[int]:
    from huggingface_hub import snapshot_download

    files = snapshot_download(repository, local_dir=folder / repository, allow_patterns=pattern, dry_run=True)
    return [file.file_size or 0 for file in files]


def _huggingface_download(repository: str, pattern: str, folder: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(repository, local_dir=folder / repository, allow_patterns=pattern)


def _modelscope_sizes(repository: str, pattern: str, folder: Path) -> list[int]:
    from modelscope.hub.api import HubApi

    del folder
    files = HubApi().get_model_files(repository, recursive=True)
    return [int(file["Size"] or 0) for file in files if fnmatch(file["Path"], pattern)]


def _modelscope_download(repository: str, pattern: str, folder: Path) -> None:
    from modelscope import snapshot_download

    snapshot_download(repository, local_dir=str(folder / repository), allow_file_pattern=pattern)


HUBS: Mapping[Source, Hub] = {
    "modelscope": Hub(_modelscope_sizes, _modelscope_download),
    "huggingface": Hub(_huggingface_sizes, _huggingface_download),
}


def _size(source: Source, repository: str, pattern: str, folder: Path) -> int:
    try:
        sizes = HUBS[source].sizes(repository, pattern, folder)
    except Exception as error:
        raise _unanswered(source, repository, error) from error
    if not sizes:
        raise ModelError(f"{repository} has no file {pattern}. Choose the other hub with --source.")
    return sum(sizes)


def _unanswered(source: Source, repository: str, error: Exception) -> ModelError:
    """One line of whatever a hub's client or the network raised."""
    log.debug("%s failed", repository, exc_info=error)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(
        f"{repository} could not be fetched from {source} ({reason}). Check the network and run the command again to "
        "go on where it stopped, or choose the other hub with --source."
    )


def _settle(part: Part, plan: Plan) -> None:
    """Check what came, and make the safetensors copy of a `.pth`; the original goes once the copy is checked."""
    (first, *_) = read_fetched(part, plan.checkpoint, plan.folder).paths
    if first.suffix == ".pth":
        convert_pth(first)
        read_fetched(part, plan.checkpoint, plan.folder)
        first.unlink()


def _tokenizer_here(folder: Path) -> bool:
    return (folder / TOKENIZER[0] / TOKENIZER[1] / "tokenizer_config.json").is_file()
