"""Load a Wan checkpoint by name, folder or file, through diffsynth's loader, after checking what its files hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowedit.errors import ModelError
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, TOKENIZER, Checkpoint, Part, Role, resolve
from flowedit.wan.files import WeightFile, models_folder, read_fetched, read_weights, scan
from flowedit.wan.lora import Lora, check_loras, load_loras
from flowedit.wan.placement import Placement

if TYPE_CHECKING:
    import torch

    from flowedit.wan import vendor


class Loaded(NamedTuple):
    """A pipeline, and the registry entry whose files it was made from."""

    pipe: "vendor.WanVideoPipeline"
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Located:
    """A registry entry's files on this machine, checked, and the tokenizer's folder; None when that is not there."""

    checkpoint: Checkpoint
    files: Mapping[Role, WeightFile]
    tokenizer: Path | None


def locate(name_or_path: str | Path, roles: Sequence[Role] | None = None) -> Located:
    """Find and check a checkpoint's files without loading them; `roles` are the parts wanted, None means all.

    It is given by a registered name or alias, a folder, or a transformer's file; parts that are not in the folder are
    looked for among the fetched ones.
    """
    path, root = _given_path(name_or_path), models_folder()
    files: dict[Role, WeightFile]
    fetched = root / TOKENIZER[0] / TOKENIZER[1]
    tokenizer = fetched if fetched.is_dir() and any(fetched.iterdir()) else None
    if path is None:
        checkpoint = resolve(str(name_or_path))
        files = {part.role: read_fetched(part, checkpoint, root) for part in _wanted(checkpoint, roles)}
        return Located(checkpoint, files, tokenizer)
    found = _weights_at(path)
    checkpoint = _entry_of(found, path)
    files = {part.role: _file_of(part, checkpoint, found, path) for part in _wanted(checkpoint, roles)}
    beside = next((folder for folder in path.rglob("umt5-xxl") if folder.is_dir()), None) if path.is_dir() else None
    return Located(checkpoint, files, beside or tokenizer)


def checkpoint_of(name_or_path: str | Path) -> Checkpoint:
    """The registry entry that a name or an alias, a folder, or a transformer's file stands for.

    Of a folder or file only the transformer's tensor names and shapes are read; a name's files need not be there.
    """
    path = _given_path(name_or_path)
    return resolve(str(name_or_path)) if path is None else _entry_of(_weights_at(path), path)


def load_pipeline(
    name_or_path: str | Path,
    place: Placement | str = "cpu",
    *,
    dtype: "torch.dtype | None" = None,
    roles: Sequence[Role] | None = None,
    loras: Sequence[Lora] = (),
) -> Loaded:
    """Load a checkpoint, or some of its parts, as diffsynth's pipeline.

    Args:
        name_or_path: a registered name or alias, a folder, or a transformer's file.
        place: how the parts share GPU, host and disk, or the one device for all of them.
        dtype: the type it computes in; None takes the placement's, on a device bfloat16.
        roles: the parts to load; None means all.
        loras: what is added to the transformers, in this order.
    """
    import torch

    from flowedit.wan import vendor
    from flowedit.wan.vae import encode_clips

    located = locate(name_or_path, roles)
    check_loras(loras, located.checkpoint)
    if "text" in located.files and located.tokenizer is None:
        raise ModelError(
            f"The tokenizer folder {TOKENIZER[1]} is not on this machine. Run `flowedit models fetch "
            f"{located.checkpoint.name}`, or put it beside the text encoder."
        )
    device, placed = (place, None) if isinstance(place, str) else (place.device, place)
    configs = [
        vendor.ModelConfig(path=[str(path) for path in file.paths], **(placed.arguments(role) if placed else {}))
        for role, file in located.files.items()
    ]
    tokenizer = vendor.ModelConfig(path=str(located.tokenizer)) if "text" in located.files else None
    # The vendor's annotations leave out None, which is its own way of saying "without".
    without: dict[str, Any] = {"tokenizer_config": tokenizer, "vram_limit": placed.vram_limit if placed else None}
    with vendor.prints_logged():
        pipe = vendor.WanVideoPipeline.from_pretrained(
            torch_dtype=dtype or (placed.dtype if placed else torch.bfloat16),
            device=device,
            model_configs=configs,
            redirect_common_files=False,
            **without,
        )
    pipe.height_division_factor = pipe.width_division_factor = located.checkpoint.size_multiple
    if pipe.vae is not None:
        vars(pipe.vae)["encode"] = partial(encode_clips, pipe.vae)
    load_loras(pipe, loras)
    return Loaded(pipe, located.checkpoint)


def _wanted(checkpoint: Checkpoint, roles: Sequence[Role] | None) -> list[Part]:
    asked = set(roles or ()) | ({"dit2"} if "dit" in (roles or ()) else set())
    return [part for part in checkpoint.parts if roles is None or part.role in asked]


def _given_path(name_or_path: str | Path) -> Path | None:
    """The folder or file that was given; None for a name."""
    path = Path(name_or_path)
    if str(name_or_path) in {*ALIASES, *CHECKPOINTS} or not (path.exists() or len(path.parts) > 1):
        return None
    if not path.exists():
        raise ModelError(f"There is no file or folder {path}. Check the path, or give a checkpoint's name.")
    return path


def _weights_at(path: Path) -> list[WeightFile]:
    return scan(path) if path.is_dir() else [read_weights([path])]


def _entry_of(found: Sequence[WeightFile], path: Path) -> Checkpoint:
    """The registry entry of the transformers at a path; where two look alike, the one that the path names."""
    transformers = [file for file in found if file.role == "dit"]
    if not transformers:
        held = "; ".join(f"{file.paths[0].name} holds {file.describe()}" for file in found)
        raise ModelError(f"{path} holds no Wan transformer: {held}. Give the folder or file of a transformer.")
    hashes = {file.hash for file in transformers}
    if len(hashes) > 1:
        held = " and ".join(sorted(file.describe() for file in transformers))
        raise ModelError(f"{path} mixes checkpoints: it holds {held}. Give the folder or file of one.")
    entries = [entry for entry in CHECKPOINTS.values() if entry.part("dit").hash in hashes]
    if not entries:
        known, name = ", ".join(CHECKPOINTS), transformers[0].paths[0].name
        raise ModelError(f"{name} is a Wan transformer that flowedit does not drive. It drives {known}.")
    entry = next((entry for entry in entries if entry.name in str(path)), entries[0])
    if entry.family == "bernini" and "bernini" not in str(path).lower():
        raise ModelError(
            f"{path} looks like {entry.name}, and like the model that this was made from, in the layout of diffusers. "
            "Put it in a folder whose name says Bernini, or give the other as Wan's authors have it."
        )
    return entry


def _file_of(part: Part, checkpoint: Checkpoint, found: Sequence[WeightFile], path: Path) -> WeightFile:
    """The file of a part among those at a path, or else among the fetched ones."""
    own = [file for file in found if file.role == ("dit" if part.role == "dit2" else part.role)]
    fitting = [file for file in own if file.hash == part.hash]
    if own and not fitting:
        raise ModelError(
            f"{path} mixes checkpoints: {own[0].paths[0].name} holds {own[0].describe()}, which {checkpoint.name} "
            "does not use. Keep each checkpoint in a folder of its own."
        )
    if not fitting:
        return read_fetched(part, checkpoint, models_folder())
    if checkpoint.boundary is None or part.role not in ("dit", "dit2"):
        return fitting[0]
    word = "high" if part.role == "dit" else "low"
    named = [file for file in fitting if word in f"{file.paths[0].parent.name}/{file.paths[0].name}"]
    if len(named) != 1:
        raise ModelError(
            f"{checkpoint.name} has two experts of one shape, told apart by name; {len(named)} of the files here say "
            f"{word!r}. Keep them in folders high_noise_model and low_noise_model."
        )
    return named[0]
