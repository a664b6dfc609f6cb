"""Fits a field to all pictures of an object and judges it: the per-scene row of the results table.

    python -m models.fit --rendered data/packed/heldout --objects 3 --out fit.json
    python -m models.fit --rendered data/packed/heldout --names eTeks-sofa --out fit.json --fields fitted

The measures are those of `python -m models.evaluate`, on the same views; with --leave-out no ray of the
views it is judged on is fitted to, while inside and outside and the surface's points are still read off
all views. --fields keeps every field (models/evaluation/fitted.py reads them).
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.evaluation.fitted import FittedReconstruction, save_field
from models.evaluation.judging import evaluate_object, frame_of_input, targets_of
from models.evaluation.objects import TestObject, rendered_objects
from models.evaluation.report import save_json, save_sheet, summarise, table
from models.render import RenderSpec
from models.training.fitting import FitOptions, fit
from models.training.progress import progress_bar

RATIO = 0.85  # the subject's share of the input crop; it only decides the frame
RENDER = RenderSpec(step="unit", samples=128, box_scale=0.999)  # TripoSR's


@dataclass(frozen=True)
class FitMethod:
    """A method (models/evaluation/judging.py) that may look at `views` of the object itself."""

    obj: TestObject
    views: list[int]
    options: FitOptions
    keep: Path | None

    def __call__(self, picture: np.ndarray) -> FittedReconstruction:
        with progress_bar(self.options.steps, title=self.obj.name[:32]) as bar:

            def report(step: int, loss: float) -> None:
                bar.update()
                if step % 25 == 0:
                    bar.set_postfix(loss=f"{loss:.4f}", refresh=False)

            field = fit(
                self.obj.pictured(), self.views, frame_of_input(self.obj, RATIO), self.options, report
            )
        if self.keep is not None:
            save_field(field, self.keep / f"{self.obj.name}.safetensors")
        return FittedReconstruction(field, RENDER, self.options.threshold)


def chosen_objects(folder: Path, names: list[str] | None, count: int | None) -> list[TestObject]:
    """Raises SystemExit if a name is not there."""
    found = rendered_objects(folder)
    if not names:
        return list(itertools.islice(found, count))
    chosen = [obj for obj in found if obj.name in names]
    missing = sorted(set(names) - {obj.name for obj in chosen})
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not in {folder}")
    return chosen


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rendered", type=Path, required=True, metavar="DIR", help="packed renders")
    parser.add_argument("--names", nargs="*", help="of objects; default: all")
    parser.add_argument("--objects", type=int, help="only the first N")
    parser.add_argument("--views", type=int, default=6, help="compared per object; default: 6")
    parser.add_argument("--leave-out", action="store_true", help="do not fit rays of the compared views")
    parser.add_argument("--steps", type=int, default=FitOptions.steps)
    parser.add_argument("--resolution", type=int, default=FitOptions.resolution, help="texels a side")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--fields", type=Path, metavar="DIR", help="keep the fields here")
    return parser.parse_args()


def main() -> None:
    args = read_arguments()
    options = FitOptions(steps=args.steps, resolution=args.resolution)
    if args.fields is not None:
        args.fields.mkdir(parents=True, exist_ok=True)
    results, rows = {}, []
    for obj in chosen_objects(args.rendered, args.names, args.objects):
        count = len(obj.views.rgba)
        targets = targets_of(count, args.views)
        views = [v for v in range(count) if not (args.leave_out and v in targets)]
        method = FitMethod(obj, views, options, args.fields)
        results[obj.name], row = evaluate_object(obj, {"fit": method}, targets, RATIO)
        rows.append(row)
    summary = summarise(list(results.values()))
    print(table(summary))
    command = "python -m models.fit " + shlex.join(sys.argv[1:])
    threads = {"threads": torch.get_num_threads(), "steps": options.steps}
    save_json(args.out, {"command": command, **threads, "summary": summary, "objects": results})
    save_sheet(args.out.with_suffix(".png"), rows)


if __name__ == "__main__":
    main()
