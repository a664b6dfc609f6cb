"""The objects of Debian's package `sweethome3d-furniture`: 820 models by artists, CC0 and CC-BY.

Each `.sh3f` is a zip of OBJ, MTL, textures and a catalogue (`PluginFurnitureCatalog.properties`).
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PACKAGE = "sweethome3d-furniture"
CATALOGUE = "PluginFurnitureCatalog.properties"


@dataclass(frozen=True)
class Entry:
    """One object of a catalogue."""

    name: str  # "<catalogue>-<model>", unique
    model: str  # the OBJ's stem; objects of one stem share a side of the split
    title: str
    obj: Path
    rotation: np.ndarray  # [3, 3], from the OBJ's frame to the catalogue's: +Y up, front to +Z
    creator: str
    license: str


def install(folder: Path) -> Path:
    """Downloads and unpacks the package below `folder` (no root needed); returns the objects' root.

    Raises RuntimeError where apt-get is missing or fails.
    """
    root = folder / "objects"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        message = (
            f"expected Debian's apt-get to download {PACKAGE} ({error}); run `apt-get update`, "
            f"or unpack the package's .sh3f files into {root} by hand"
        )
        raise RuntimeError(message) from error
    (archive,) = folder.glob(f"{PACKAGE}_*.deb")
    subprocess.run(["dpkg", "-x", str(archive), str(folder / "package")], check=True)
    partial = folder / "objects.part"
    for sh3f in sorted(folder.glob("package/**/*.sh3f")):
        with zipfile.ZipFile(sh3f) as content:
            content.extractall(partial / sh3f.stem)
    return partial.rename(root)


def entries(root: Path) -> list[Entry]:
    """Every movable object below `root`, by name; doors and windows are parts of walls."""
    found = {}
    for catalogue in sorted(root.glob(f"*/{CATALOGUE}")):
        text = catalogue.read_text(encoding="latin-1")
        license = re.search(r"^license=(.*)$", text, re.MULTILINE)
        for item in _items(text):
            obj = catalogue.parent / item.get("model", "").lstrip("/")
            if not obj.is_file() or item.get("doorOrWindow") == "true":
                continue
            entry = _entry(catalogue.parent.name, item, obj, license.group(1) if license else "")
            found.setdefault(entry.name, entry)
    return [found[name] for name in sorted(found)]


def _items(text: str) -> list[dict[str, str]]:
    items: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.MULTILINE):
        items.setdefault(number, {})[key] = value.strip()
    return list(items.values())


def _entry(catalogue: str, item: dict[str, str], obj: Path, license: str) -> Entry:
    rotation = np.array(item.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), np.float32)
    return Entry(
        name=f"{catalogue}-{obj.stem}", model=obj.stem, title=item.get("name", obj.stem), obj=obj,
        rotation=rotation.reshape(3, 3), creator=item.get("creator", "unknown"),
        license=item.get("license", license).replace("\ufffd", "").strip(),
    )  # fmt: skip
