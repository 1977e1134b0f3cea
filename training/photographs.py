"""Photographs to train on: fetched from packages, kept only where their licence asks for no more than a name.

Debian's packages say in a machine-readable file which picture has which licence. Public domain, CC0 and CC BY are
taken; CC BY-SA and the GPL are not, since whether weights are a work "based on" their training pictures is an open
question, and these weights are given away under Apache-2.0. Every picture and its licence is listed in the data card.
"""

import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flowedit.errors import ModelError
from training.natural import image_folder

PACKAGES = ("lomiri-wallpapers-16.04", "gcompris-qt-data")
"""Debian packages (bookworm) with photographs and a copyright file in the machine-readable form."""
SCIKIT = {
    "astronaut.png": "public domain | NASA",
    "brick.png": "CC0 | CC0Textures",
    "camera.png": "CC0 | Lav Varshney",
    "chelsea.png": "CC0 | Stefan van der Walt",
    "coins.png": "no known restrictions | Brooklyn Museum",
    "grass.png": "CC0 | CC0Textures",
    "gravel.png": "CC0 | CC0Textures",
    "hubble_deep_field.jpg": "public domain | NASA",
    "ihc.png": "no known restrictions | CMBT University of Pennsylvania",
    "retina.jpg": "CC0 | Mikael Haeggstroem",
}
"""Pictures of scikit-image's wheel, with what its documentation says of licence and author; those of which it says
nothing, and `training.natural.HELD_OUT`, are left out."""
LICENCES = ("CC0", "CC-BY-1", "CC-BY-2", "CC-BY-3", "CC-BY-4", "public-domain")
"""Beginnings of the licences that are taken."""
SMALLEST, LARGEST = 200, 1024
"""Shortest side, in pixels, of a picture that is taken, and to which larger ones are reduced."""


class Picture(NamedTuple):
    """One picture of a package.

    Attributes:
        path: its path as the copyright file names it.
        data: the file's bytes.
    """

    path: str
    data: bytes


def fetch(folder: Path) -> list[str]:
    """Fetch the packages, and write every acceptable photograph into a folder as JPEG, with a card beside them.

    Args:
        folder: made if missing.

    Returns:
        The lines of the card: file, source, licence, author.

    Raises:
        ModelError: a package cannot be downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_copy(image_folder() / name, folder) for name in SCIKIT]
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as place:
            root = _unpack(package, Path(place))
            named = stanzas((root / f"usr/share/doc/{package}/copyright").read_text())
            for picture in _pictures(root):
                licence, author = terms(named, picture.path)
                if licence.startswith(LICENCES):
                    lines += _keep(picture, folder, f"{package}: {picture.path} | {licence} | {author}")
    (folder / "CARD.md").write_text("\n".join(["file | source | licence | author", *lines, ""]))
    return lines


def load_photographs(folder: Path, side: int = LARGEST) -> Tensor:
    """Read every photograph of a folder, its middle square.

    Args:
        folder: of :func:`fetch`.
        side: of the result, in pixels.

    Returns:
        ``(n, 3, side, side)``, uint8.
    """
    found = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            edge = min(image.size)
            left, top = (image.width - edge) // 2, (image.height - edge) // 2
            square = image.convert("RGB").crop((left, top, left + edge, top + edge))
            found.append(np.array(square.resize((side, side), Image.Resampling.BICUBIC)))
    if not found:
        raise ModelError(f"No photographs in {folder.name}: run python -m training photographs --out FOLDER.")
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def _copy(path: Path, folder: Path) -> str:
    """Take one of scikit-image's pictures."""
    _save(path.read_bytes(), folder / f"skimage-{path.stem}.jpg")
    return f"skimage-{path.stem}.jpg | scikit-image: {path.name} | {SCIKIT[path.name]}"


def _keep(picture: Picture, folder: Path, source: str) -> list[str]:
    """Write one picture if it is large enough; the card's line of it."""
    name = f"{Path(picture.path).stem}.jpg"
    return [f"{name} | {source}"] if _save(picture.data, folder / name) else []


def _save(data: bytes, path: Path) -> bool:
    """Write a picture as JPEG, reduced; refuse small ones and those with transparent parts."""
    with Image.open(BytesIO(data)) as image:
        if min(image.size) < SMALLEST or int(np.array(image.convert("RGBA"))[..., 3].min()) < 255:
            return False
        factor = min(1.0, LARGEST / min(image.size))
        size = (round(image.width * factor), round(image.height * factor))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, quality=90)
    return True


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


def stanzas(text: str) -> list[tuple[list[str], str, str]]:
    """Patterns, licence and holder of each paragraph of a copyright file, in order; a later match wins."""
    found = []
    for paragraph in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.strip("\n").splitlines():
            if line[:1].isspace() and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if "Files" in fields:
            licence = fields.get("License", "").split(" ")[0]
            found.append((fields["Files"].split(), licence, fields.get("Copyright", "")[:80]))
    return found


def terms(paragraphs: list[tuple[list[str], str, str]], path: str) -> tuple[str, str]:
    """Licence and holder of a file; pictures that were packed as WebP are still named by their old endings."""
    for patterns, licence, author in reversed(paragraphs):
        if any(fnmatch(path, p) or Path(p).with_suffix("") == Path(path).with_suffix("") for p in patterns):
            return licence, author
    return "", ""


def _pictures(root: Path) -> Iterator[Picture]:
    """Every picture of an unpacked package, those in Qt's resource bundles too."""
    for path in sorted(root.glob("usr/share/backgrounds/*.jpg")):
        yield Picture(f"16.04/{path.name}", path.read_bytes())
    for path in sorted(root.glob("usr/share/gcompris-qt/rcc/*.rcc")):
        for name, data in bundle(path.read_bytes()):
            if name.endswith((".jpg", ".jpeg", ".webp")):
                yield Picture("src/" + name.partition("/src/")[2], data)


def bundle(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Read a Qt resource bundle: names and contents of its files.

    Args:
        data: the bundle; a tree of entries, their names and their contents, big-endian.
    """
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
