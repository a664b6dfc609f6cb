"""Writes models/data/split.json and CREDITS.md: python -m models.data.credits --objects DIR."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from models.data.furniture import Entry, entries
from models.data.split import split_of

HERE = Path(__file__).parent
HEADER = """# Credits

The objects that lrm-tiny was trained on, those held out and those in `examples/` come from Debian's
package `sweethome3d-furniture`. `models/data/split.json` says which is which; `models.data.render`
leaves out some of them (flat, without materials, hardly visible). Names are `<catalogue>-<model>`.
This file is made by `python -m models.data.credits`.
They were changed: turned upright, centred, scaled and rendered to pictures. "Public domain" is
[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/); the others are
[CC-BY 3.0](https://creativecommons.org/licenses/by/3.0/).

| object | creator | licence |
|---|---|---|
"""


def split_lists(found: list[Entry]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {"train": [], "heldout": [], "unseen": []}
    for entry in found:
        lists[split_of(entry.model)].append(entry.name)
    return lists


def credit_table(found: list[Entry]) -> str:
    rows = (f"| {e.name} | {e.creator} | {e.license} |\n" for e in found)
    return HEADER + "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=Path, required=True, help="unpacked catalogues")
    found = entries(parser.parse_args().objects)
    (HERE / "split.json").write_text(json.dumps(split_lists(found), indent=1) + "\n")
    (HERE / "CREDITS.md").write_text(credit_table(found))


if __name__ == "__main__":
    main()
