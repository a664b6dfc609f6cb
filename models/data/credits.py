"""Writes models/data/split.json and CREDITS.md: python -m models.data.credits --renders DIR --objects DIR."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from models.data.furniture import Entry, entries
from models.data.split import split_of

HERE = Path(__file__).parent
HEADER = """# Credits

The objects that lrm-tiny was trained on, and those held out, come from Debian's package
`sweethome3d-furniture`. Names are `<catalogue>-<model>`; made by `python -m models.data.credits`.

| object | creator | licence |
|---|---|---|
"""


def split_lists(found: list[Entry], dropped: dict[str, str]) -> dict:
    lists: dict = {"train": [], "heldout": [], "unseen": []}
    for entry in found:
        if entry.name not in dropped:
            lists[split_of(entry.model)].append(entry.name)
    return lists | {"dropped": dropped}


def credit_table(found: list[Entry]) -> str:
    rows = (f"| {e.name} | {e.creator} | {e.license} |\n" for e in found)
    return HEADER + "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=Path, required=True, help="models.data.render's --out")
    parser.add_argument("--objects", type=Path, required=True, help="unpacked catalogues")
    args = parser.parse_args()
    found = entries(args.objects)
    dropped = json.loads((args.renders / "dropped.json").read_text())
    (HERE / "split.json").write_text(json.dumps(split_lists(found, dropped), indent=1) + "\n")
    (HERE / "CREDITS.md").write_text(credit_table([e for e in found if e.name not in dropped]))


if __name__ == "__main__":
    main()
