"""Draws an object offscreen through OpenGL (moderngl on EGL; Mesa's software driver will do).

Colours: textures and Kd are sRGB; lighting happens in linear light; pictures are sRGB again. Alpha
is straight, from supersampling. Depth is along the camera's axis, in world units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import moderngl
import numpy as np
from PIL import Image

from models.data.obj import Material, Part
from models.data.objects import Object
from models.data.viewpoints import Viewpoint

SUPERSAMPLING = 2  # per axis; alpha gets four more levels than the texture filter gives
NEAR, FAR = 0.5, 10.0
LARGEST_TEXTURE = 1024  # pixels; more is not visible in pictures of this size
# Directions of the lights in the camera's frame: nearly flat light, so that colour is close to albedo.
KEY, FILL = (0.4, 0.6, 0.7), (-0.7, 0.3, 0.5)

VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in vec3 color;
uniform mat4 clip_from_world; uniform mat4 camera_from_world;
out vec3 world_normal; out vec2 texcoord; out vec3 tint; out float depth;
void main() {
  gl_Position = clip_from_world * vec4(position, 1.0);
  world_normal = normal;
  texcoord = uv;
  tint = color;
  depth = -(camera_from_world * vec4(position, 1.0)).z;
}"""

FRAGMENT = """#version 330
in vec3 world_normal; in vec2 texcoord; in vec3 tint; in float depth;
uniform vec3 base_color; uniform bool textured; uniform sampler2D base_texture;
uniform vec3 key; uniform vec3 fill; uniform vec3 back;
layout(location = 0) out vec4 out_color;
layout(location = 1) out float out_depth;
vec3 linear(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 srgb(vec3 c) { return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c)); }
void main() {
  vec3 albedo = linear(base_color);
  if (textured) {
    vec4 texel = texture(base_texture, texcoord);
    if (texel.a < 0.5) discard;
    albedo = linear(texel.rgb);
  }
  albedo *= tint;
  // Furniture is often modelled with single sheets: both sides are lit.
  vec3 n = normalize(world_normal);
  if (dot(n, back) < 0.0 && !gl_FrontFacing) n = -n;
  float light = 0.62 + 0.28 * max(dot(n, key), 0.0) + 0.14 * max(dot(n, fill), 0.0) + 0.08 * n.y;
  out_color = vec4(srgb(clamp(albedo * light, 0.0, 1.0)), 1.0);
  out_depth = depth;
}"""


def perspective(fov: float) -> np.ndarray:
    """[4, 4] OpenGL projection of a square view; fov in radians."""
    k = 1 / math.tan(fov / 2)
    matrix = np.diag([k, k, -(FAR + NEAR) / (FAR - NEAR), 0.0])
    matrix[2, 3], matrix[3, 2] = -2 * FAR * NEAR / (FAR - NEAR), -1.0
    return matrix


@dataclass(frozen=True)
class _Mesh:
    """One part on the device."""

    vertices: moderngl.VertexArray
    buffer: moderngl.Buffer
    texture: moderngl.Texture | None
    material: Material

    def release(self) -> None:
        for resource in (self.vertices, self.buffer, self.texture):
            if resource is not None:
                resource.release()


class Rasterizer:
    """Square pictures of one size. Raises RuntimeError where no OpenGL context can be had."""

    def __init__(self, size: int) -> None:
        self.size, self.side = size, size * SUPERSAMPLING
        try:
            self.context = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:  # moderngl raises plain Exception for every driver problem
            message = f"expected an EGL driver such as Debian's libegl1 + libgl1-mesa-dri ({error})"
            raise RuntimeError(message) from error
        self.program = self.context.program(VERTEX, FRAGMENT)
        shape = (self.side, self.side)
        layers = [self.context.texture(shape, 4), self.context.texture(shape, 1, dtype="f4")]
        self.target = self.context.framebuffer(layers, self.context.depth_renderbuffer(shape))
        self.context.enable(moderngl.DEPTH_TEST)

    def __enter__(self) -> Rasterizer:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.context.release()

    def draw(self, obj: Object, views: list[Viewpoint]) -> tuple[np.ndarray, np.ndarray]:
        """uint8 RGBA [V, S, S, 4] and depth float32 [V, S, S], 0 = background."""
        meshes = [self._upload(part) for part in obj.parts]
        try:
            pairs = [self._view(meshes, view) for view in views]
        finally:
            for mesh in meshes:
                mesh.release()
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])

    def _upload(self, part: Part) -> _Mesh:
        colors = np.ones_like(part.positions) if part.colors is None else part.colors
        data = np.concatenate([part.positions, part.normals, part.uvs, colors], axis=-1).astype("f4")
        buffer = self.context.buffer(data.tobytes())
        layout = [(buffer, "3f 3f 2f 3f", "position", "normal", "uv", "color")]
        vertices = self.context.vertex_array(self.program, layout)
        return _Mesh(vertices, buffer, self._texture(part.material), part.material)

    def _texture(self, material: Material) -> moderngl.Texture | None:
        if material.texture is None:
            return None
        pixels = read_texture(material.texture)
        flipped = np.ascontiguousarray(pixels[::-1])  # OpenGL's first row is the lowest
        texture = self.context.texture((pixels.shape[1], pixels.shape[0]), 4, flipped.tobytes())
        texture.build_mipmaps()
        texture.anisotropy = 4.0
        return texture

    def _view(self, meshes: list[_Mesh], view: Viewpoint) -> tuple[np.ndarray, np.ndarray]:
        camera_from_world = np.linalg.inv(view.camera_to_world)
        rotation = view.camera_to_world[:3, :3]
        program = self.program
        program["camera_from_world"].write(camera_from_world.T.astype("f4").tobytes())
        program["clip_from_world"].write((perspective(view.fov) @ camera_from_world).T.astype("f4").tobytes())
        program["key"], program["fill"] = (tuple(rotation @ _unit(d)) for d in (KEY, FILL))
        program["back"] = tuple(rotation[:, 2])
        self.target.use()
        self.target.clear(0.0, 0.0, 0.0, 0.0)
        for mesh in meshes:
            program["base_color"] = mesh.material.color
            program["textured"] = mesh.texture is not None
            if mesh.texture is not None:
                mesh.texture.use(0)
            mesh.vertices.render()
        return self._read()

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.side, self.side)
        color = np.frombuffer(self.target.read(components=4, attachment=0), np.uint8)
        depth = np.frombuffer(self.target.read(components=1, attachment=1, dtype="f4"), np.float32)
        return downsample(color.reshape(*shape, 4)[::-1], depth.reshape(shape)[::-1])


def downsample(rgba: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Supersampled RGBA uint8 and depth -> one pixel each: premultiplied mean, nearest depth."""
    offsets = [(i, j) for i in range(SUPERSAMPLING) for j in range(SUPERSAMPLING)]
    color, cover, nearest = 0.0, 0.0, np.float32(np.inf)
    for i, j in offsets:  # NumPy sums whole pictures far faster than it reduces short inner axes
        pixels = rgba[i::SUPERSAMPLING, j::SUPERSAMPLING].astype(np.float32)
        alpha, near = pixels[..., 3:] / 255, depth[i::SUPERSAMPLING, j::SUPERSAMPLING]
        color, cover = color + pixels[..., :3] * alpha, cover + alpha
        nearest = np.minimum(nearest, np.where(near > 0, near, np.inf))
    color, alpha = color / np.maximum(cover, 1e-6), cover * (255 / len(offsets))
    picture = np.concatenate([color, alpha], axis=-1).round().astype(np.uint8)
    return picture, np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


def read_texture(source: Path | Image.Image) -> np.ndarray:
    """uint8 RGBA [H, W, 4]. Raises ValueError if the file is not a picture."""
    if isinstance(source, Image.Image):
        pixels = source.convert("RGBA")
    else:
        try:
            with Image.open(source) as picture:
                pixels = picture.convert("RGBA")
        except OSError as error:
            raise ValueError(f"texture {source.name} cannot be read ({error})") from error
    pixels.thumbnail((LARGEST_TEXTURE, LARGEST_TEXTURE), Image.Resampling.BOX)
    return np.array(pixels)


def _unit(direction: tuple[float, float, float]) -> np.ndarray:
    return np.array(direction) / np.linalg.norm(direction)
