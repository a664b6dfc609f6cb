"""A field of one object as a file, and as something that can be judged: through the native stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lrm_sdk import EmptySurfaceError, native
from models.evaluation.measures import Picture
from models.evaluation.methods import sample_surface
from models.field import FieldDecoder, FieldSpec, Triplane
from models.render import RenderSpec

MESH_RESOLUTION = 128


def save_field(field: Triplane, path: Path) -> None:
    """One safetensors file in float16: planes, decoder, and the field's description as metadata."""
    tensors = {"planes": field.planes[0]} | field.decoder.state_dict()
    temporary = path.with_name(path.name + ".part")
    metadata = {"field": json.dumps(field.spec.to_json())}
    save_file({k: v.detach().half().contiguous() for k, v in tensors.items()}, temporary, metadata)
    temporary.replace(path)


def load_field(path: Path) -> Triplane:
    """float32, batch 1, not to be trained."""
    with safe_open(path, "pt") as file:
        spec = FieldSpec(**json.loads(file.metadata()["field"]))
        tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118, not a dict
    planes = tensors.pop("planes")
    decoder = FieldDecoder(spec)
    decoder.load_state_dict(tensors)
    return Triplane(planes[None], decoder).requires_grad_(False)


def native_field(field: Triplane, threads: int) -> native.Field:
    spec = field.spec
    options = native.FieldOptions(
        axes=spec.axes, radius=spec.radius, activation=spec.activation, density_bias=spec.density_bias,
        density_activation=spec.density_activation, reduction=spec.reduction, thread_count=threads,
    )  # fmt: skip
    layers = field.decoder.layers
    weights, biases = ([getattr(x, n).detach().numpy() for x in layers] for n in ("weight", "bias"))
    return native.Field(options, field.planes[0].detach().numpy(), weights, biases)


class FittedReconstruction:
    """A Reconstruction (models/evaluation/methods.py) whose field's box is the unit box times its radius."""

    def __init__(self, field: Triplane, render: RenderSpec, threshold: float) -> None:
        self.field, self.radius = native_field(field, torch.get_num_threads()), field.spec.radius
        self.render, self.threshold = render, threshold

    def draw(self, camera_to_world: np.ndarray, focal: float, side: int) -> Picture:
        pose = np.array(camera_to_world, np.float64)
        pose[:3, 3] *= self.radius
        camera = native.CameraParameters(side, side, focal, focal, side / 2, side / 2, pose)
        spec = self.render
        options = native.RenderOptions(
            step=spec.step, sample_count=spec.samples, box_scale=spec.box_scale, background=(1, 1, 1)
        )
        rgb, alpha, depth = self.field.render(camera, options)
        return Picture(rgb, alpha, depth / self.radius)

    def surface(self) -> np.ndarray:
        try:
            mesh = self.field.mesh(native.MeshOptions(MESH_RESOLUTION, self.threshold))
        except EmptySurfaceError:
            return np.zeros((0, 3))
        return sample_surface(mesh.vertices / self.radius, mesh.faces)
