"""Measures per object -> mean and spread, a table, JSON, and a sheet of pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

MEASURES = ("psnr", "ssim", "psnr_union", "iou", "depth_error", "chamfer", "f_score", "seconds")


def summarise(objects: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Per object method -> measure -> value; gives method -> measure -> mean, std (NaN left out)."""
    return {
        method: {measure: _spread([o[method][measure] for o in objects]) for measure in MEASURES}
        for method in objects[0]
    }


def _spread(values: list[float]) -> dict[str, float]:
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return {"mean": math.nan, "std": math.nan}
    return {"mean": float(np.mean(known)), "std": float(np.std(known))}


def table(summary: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = [f"{'':10}" + "".join(f"{measure:>18}" for measure in MEASURES)]
    for method, measures in summary.items():
        cells = [f"{measures[m]['mean']:.3f} +- {measures[m]['std']:.3f}" for m in MEASURES]
        lines.append(f"{method:10}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def save_json(path: Path, report: dict) -> None:
    """NaN, which JSON does not know, becomes null. Complete or absent."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(_plain(report), indent=1) + "\n")
    temporary.replace(path)


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 5)
    return value


def save_sheet(path: Path, rows: list[list[np.ndarray]]) -> None:
    """rows of pictures [S, S, 3] in [0, 1]."""
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    Image.fromarray(np.rint(255 * sheet.clip(0, 1)).astype(np.uint8)).save(path)
