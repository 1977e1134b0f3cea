"""Fetch a checkpoint's files: ask for the size first, look at the disk, then let diffsynth's downloader do the work.

The downloader goes on with a file that it had begun. What came as `.pth` is copied to safetensors tensor by tensor, so
that loading it later needs no more host memory than the model itself.
"""

import fnmatch
import json
import logging
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowedit.errors import ModelError, OutputError
from flowedit.wan.checkpoints import TOKENIZER, Checkpoint, Part
from flowedit.wan.files import read_shapes, read_weights, unwrap
from flowedit.wan.loading import is_fetched, models_folder
from flowedit.wan.resources import existing_parent

Source = Literal["modelscope", "huggingface"]
FileSizes = Mapping[str, int]
"""Path inside a repository -> bytes."""
Lister = Callable[[str], FileSizes]
"""Repository -> its files, as a hub's own client lists them."""
Downloader = Callable[[str, str, Path], None]
"""(repository, file pattern, models folder): leaves the files in `models folder / repository`."""
_MARGIN = 1.05
_TYPES = {"torch.float32": "F32", "torch.bfloat16": "BF16", "torch.float16": "F16", "torch.int64": "I64"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Download:
    """One pattern of one repository, and what it takes.

    Attributes:
        repository: on the source hub.
        pattern: files wanted there.
        size: bytes of those files.
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
        return sum(download.size for download in self.downloads if not download.here)

    @property
    def peak_bytes(self) -> int:
        """Room wanted on the disk: the files, and the largest `.pth` a second time while it is copied."""
        copied = [d.size for d in self.downloads if not d.here and d.pattern.endswith(".pth")]
        return int(_MARGIN * (self.missing_bytes + max(copied, default=0)))


def make_plan(
    checkpoint: Checkpoint, *, source: Source = "modelscope", folder: Path | None = None, lister: Lister | None = None
) -> Plan:
    """Ask the hub what the files take, and the disk what is there.

    Args:
        checkpoint: the registry entry.
        source: the hub.
        folder: models folder; None means the default one.
        lister: lists a repository; None means the hub's own client.

    Raises:
        ModelError: the hub cannot be reached, or lacks a file; or a file that is there is broken.
    """
    folder = folder or models_folder()
    listing = lister or _LISTERS[source]
    wanted: list[tuple[str, str, Part | None]] = [(*getattr(part, source), part) for part in checkpoint.parts]
    wanted.append((*TOKENIZER, None))
    known: dict[str, FileSizes] = {}
    downloads = []
    for repository, pattern, part in wanted:
        here = is_fetched(part, folder) if part else _tokenizer_here(folder)
        size = 0
        if not here:
            if repository not in known:
                known[repository] = _list(listing, repository, source)
            size = _matching_bytes(known[repository], pattern, repository)
        downloads.append(Download(repository=repository, pattern=pattern, size=size, part=part, here=here))
    return Plan(checkpoint=checkpoint, source=source, folder=folder, downloads=tuple(downloads))


def fetch(plan: Plan, *, download: Downloader | None = None, report: Callable[[str], None] = print) -> None:
    """Download what is missing, check it, and copy `.pth` parts to safetensors.

    Args:
        plan: from `make_plan`.
        download: gets one pattern; None means diffsynth's downloader for the plan's source.
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
    get = download or _vendor_downloader(plan.source)
    for item in plan.downloads:
        label = item.part.role if item.part else "tokenizer"
        if item.here:
            report(f"{label}: already here")
            continue
        report(f"{label}: {item.repository} {item.pattern}, {item.size / 1e9:.2f} GB")
        try:
            get(item.repository, item.pattern, plan.folder)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"{item.repository} could not be fetched from {plan.source} ({reason}). Run the command again to go "
                "on where it stopped, or choose the other hub with --source."
            ) from error
        if item.part:
            _settle(item.part, plan, item)


def convert_pth(path: Path) -> Path:
    """Copy a `.pth` to a safetensors file beside it, one tensor at a time, and return the copy's path.

    The file is mapped, not read, and opened weights-only, so the copy needs the memory of its largest tensor.

    Raises:
        ModelError: the file is broken, or holds more than tensors.
    """
    import torch

    shapes = read_shapes(path)
    state = unwrap(torch.load(path, map_location="cpu", weights_only=True, mmap=True), path)
    header, end = {}, 0
    for name in shapes:
        tensor = state[name]
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _TYPES[str(tensor.dtype)], "shape": shapes[name], "data_offsets": [end, end + size]}
        end += size
    target = path.with_suffix(".safetensors")
    unfinished = target.with_name(f".{target.name}.part")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with unfinished.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in header:
            file.write(state[name].contiguous().view(-1).view(torch.uint8).numpy().data)
    unfinished.replace(target)
    return target


def hub_sizes_modelscope(repository: str) -> FileSizes:
    """List a repository's files on ModelScope."""
    from modelscope.hub.api import HubApi

    return {entry["Path"]: int(entry["Size"] or 0) for entry in HubApi().get_model_files(repository, recursive=True)}


def hub_sizes_huggingface(repository: str) -> FileSizes:
    """List a repository's files on Hugging Face."""
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(repository, files_metadata=True).siblings or []
    return {entry.rfilename: int(entry.size or 0) for entry in siblings}


_LISTERS: Mapping[Source, Lister] = {"modelscope": hub_sizes_modelscope, "huggingface": hub_sizes_huggingface}


def _vendor_downloader(source: Source) -> Downloader:
    def download(repository: str, pattern: str, folder: Path) -> None:
        from flowedit.wan import vendor

        folder.mkdir(parents=True, exist_ok=True)
        vendor.ModelConfig(
            model_id=repository, origin_file_pattern=pattern, download_source=source, local_model_path=str(folder)
        ).download()

    return download


def _settle(part: Part, plan: Plan, item: Download) -> None:
    """Check what came, and make the safetensors copy of a `.pth`; the original goes once the copy is checked."""
    files = sorted((plan.folder / item.repository).glob(item.pattern))
    if not files:
        raise ModelError(f"{item.repository} brought no {item.pattern}. Choose the other hub with --source.")
    found = read_weights(files)
    if found.hash != part.hash:
        raise ModelError(
            f"{files[0].name} of {item.repository} holds {found.describe()}, not the {part.role} of "
            f"{plan.checkpoint.name}: the repository has changed. Choose the other hub with --source."
        )
    if files[0].suffix == ".pth":
        copy = convert_pth(files[0])
        if read_weights([copy]).hash == part.hash:
            files[0].unlink()


def _list(listing: Lister, repository: str, source: str) -> FileSizes:
    try:
        return listing(repository)
    except Exception as error:
        log.debug("listing %s failed", repository, exc_info=error)
        raise ModelError(
            f"{source} does not answer for {repository} ({type(error).__name__}). Check the network, or choose the "
            "other hub with --source."
        ) from error


def _matching_bytes(files: FileSizes, pattern: str, repository: str) -> int:
    wanted = f"{pattern}*" if pattern.endswith("/") else pattern
    sizes = [size for path, size in files.items() if fnmatch.fnmatch(path, wanted)]
    if not sizes:
        raise ModelError(f"{repository} has no file {pattern}. Choose the other hub with --source.")
    return sum(sizes)


def _tokenizer_here(folder: Path) -> bool:
    return (folder / TOKENIZER[0] / TOKENIZER[1] / "tokenizer_config.json").is_file()
