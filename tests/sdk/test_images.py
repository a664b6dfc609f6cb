"""Every kind of picture becomes the same upright RGBA; Pillow is the judge."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from lrm_sdk.exif import orientation, webp_exif
from lrm_sdk.images import linear_from_srgb, load_image, srgb_from_linear
from tests.sdk import pictures
from tests.sdk.pictures import alpha_ramp, encode, gradient, png

RGB = gradient()
RGBA = np.dstack([RGB, alpha_ramp()])
GREY = RGB[..., 0]


def judge(data: bytes) -> np.ndarray:
    """What Pillow sees: uint8 [H, W, 4], upright."""
    image = Image.open(io.BytesIO(data))
    return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))


def assert_same(got: np.ndarray, expected: np.ndarray, tolerance: int = 0) -> None:
    assert got.dtype == np.uint8 and got.flags.c_contiguous
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= tolerance


def opaque(rgb: np.ndarray) -> np.ndarray:
    if rgb.ndim == 2:
        rgb = np.repeat(rgb[..., None], 3, axis=2)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


LOSSLESS = {
    "png rgb": encode(RGB, "png"),
    "png rgba": encode(RGBA, "png"),
    "png grey": encode(GREY, "png"),
    "png grey alpha": encode(Image.fromarray(RGBA).convert("LA"), "png"),
    "png palette": encode(Image.fromarray(RGB).quantize(16), "png"),
    "png palette transparent": encode(Image.fromarray(RGB).quantize(16), "png", transparency=3),
    "png palette with alphas": encode(
        Image.fromarray(RGB).quantize(16), "png", transparency=bytes(range(0, 256, 16))
    ),
    "png one bit": encode(Image.fromarray(GREY).convert("1"), "png"),
    "png colour key": encode(RGB, "png", transparency=tuple(int(v) for v in RGB[3, 3])),
    "bmp rgb": encode(RGB, "bmp"),
    "bmp rgba": encode(RGBA, "bmp"),
    "bmp grey": encode(GREY, "bmp"),
    "webp rgb": encode(RGB, "webp", lossless=True),
    "webp rgba": encode(RGBA, "webp", lossless=True, exact=True),
    "tiff rgb": encode(RGB, "tiff"),
    "tiff grey": encode(GREY, "tiff"),
    "tiff lzw": encode(RGB, "tiff", compression="tiff_lzw"),
    "tiff turned": encode(RGB, "tiff", tiffinfo={274: 6}),
    "gif": encode(Image.fromarray(RGB).quantize(16), "gif"),
    "ppm": encode(RGB, "ppm"),
    "pgm": encode(GREY, "ppm"),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_are_exact(name):
    assert_same(load_image(LOSSLESS[name]), judge(LOSSLESS[name]))


def test_tiff_alpha_is_straight():
    # libtiff multiplies 8-bit colours with alpha; undoing it costs a step or two where alpha is large.
    got = load_image(encode(RGBA, "tiff"))
    seen = RGBA[..., 3] >= 64
    assert np.array_equal(got[..., 3], RGBA[..., 3])
    assert_same(got[seen], RGBA[seen], tolerance=3)


def test_straight_alpha_keeps_colour_under_transparency():
    assert np.array_equal(load_image(encode(RGBA, "png"))[:2, :, :3], RGB[:2])


@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["grey", "grey+alpha", "rgb", "rgba"])
def test_png_of_16_bits(channels):
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    values = np.random.default_rng(0).integers(0, 65536, (24, 30, channels), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    got = load_image(png(30, 24, 16, color, rows))
    eight = np.rint(values / 257).astype(np.uint8)
    if channels <= 2:
        assert np.array_equal(got[..., :3], np.repeat(eight[..., :1], 3, axis=2))
    else:
        assert np.array_equal(got[..., :3], eight[..., :3])
    assert np.array_equal(got[..., 3], eight[..., -1] if channels in (2, 4) else np.full((24, 30), 255))


def test_tiff_of_16_bits():
    values = np.random.default_rng(0).integers(0, 65536, (24, 30, 3), dtype=np.uint16)
    done, data = cv2.imencode(".tiff", values[..., ::-1])
    assert done
    assert_same(load_image(data.tobytes()), opaque(np.rint(values / 257).astype(np.uint8)))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation(kind, turn):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[274] = turn
    data = encode(image, kind, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    expected = judge(data)
    assert expected.shape[:2] == ((56, 40) if turn >= 5 else (40, 56))  # the judge did turn it
    # Two JPEG decoders round differently; a wrong turn is off by up to 255.
    assert_same(load_image(data), expected, tolerance=4 if kind == "jpeg" else 0)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pil_images_are_turned_upright(turn):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[274] = turn
    data = encode(image, "png", exif=exif)
    with Image.open(io.BytesIO(data)) as lazy:
        assert_same(load_image(lazy), judge(data))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pil_modes(mode):
    image = Image.fromarray(RGBA if "A" in mode else RGB).convert(mode)
    assert_same(load_image(image), np.asarray(image.convert("RGBA")))


def test_pil_image_of_16_bits():
    values = np.random.default_rng(0).integers(0, 65536, (24, 30), dtype=np.uint16)
    assert_same(load_image(Image.fromarray(values)), opaque(np.rint(values / 257).astype(np.uint8)))


def test_jpeg_grey_and_colour_are_close():
    for pixels in (RGB, GREY):
        data = encode(pixels, "jpeg", quality=95)
        assert_same(load_image(data), judge(data), tolerance=4)


def test_jpeg_in_cmyk_is_close():
    data = encode(Image.fromarray(RGB).convert("CMYK"), "jpeg", quality=98)
    assert_same(load_image(data), judge(data), tolerance=8)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays(shape, dtype):
    top = np.iinfo(dtype).max
    array = np.random.default_rng(0).integers(0, top, shape, dtype=dtype, endpoint=True)
    eight = np.rint(array / (top / 255)).astype(np.uint8).reshape(20, 30, -1)
    expected = (
        eight if eight.shape[2] == 4 else opaque(np.repeat(eight, 3 if eight.shape[2] == 1 else 1, axis=2))
    )
    assert_same(load_image(array), expected)


def test_arrays_are_copied_whatever_their_strides():
    array = RGB[::2, ::-1]
    got = load_image(array)
    assert_same(got, opaque(array))
    got[:] = 0
    assert array.any()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_path_and_text_agree(tmp_path, wrap):
    data = encode(RGBA, "png")
    path = tmp_path / "a picture ü.png"
    path.write_bytes(data)
    for source in (wrap(data), path, str(path)):
        assert_same(load_image(source), RGBA)


def test_suffix_does_not_matter(tmp_path):
    path = tmp_path / "picture.txt"
    path.write_bytes(encode(RGB, "png"))
    assert_same(load_image(path), opaque(RGB))


def test_hdr_becomes_srgb():
    light = np.full((20, 20, 3), 0.25, np.float32)
    done, data = cv2.imencode(".hdr", light)
    assert done
    assert abs(int(load_image(data.tobytes())[0, 0, 0]) - 137) <= 1  # sRGB of linear 0.25


def test_srgb_curve_is_its_own_inverse_and_the_standards():
    encoded = np.linspace(0, 1, 1001)
    assert np.abs(srgb_from_linear(linear_from_srgb(encoded)) - encoded).max() < 1e-6
    assert linear_from_srgb(np.array(188 / 255)) == pytest.approx(0.5029, abs=1e-4)  # IEC 61966-2-1


@pytest.mark.parametrize("order", "<>")
def test_exif_block_in_both_byte_orders(order):
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    block = head + struct.pack(order + "HHHIHH", 1, 274, 3, 1, 6, 0) + bytes(4)
    assert orientation(block) == orientation(b"Exif\0\0" + block) == 6
    assert [orientation(block[:n]) for n in range(len(block) - 6)] == [1] * (len(block) - 6)


def test_exif_block_of_a_webp():
    """OpenCV before 5 does not give it, so it is read here."""
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[274] = 6
    data = encode(image, "webp", exif=exif)
    block = webp_exif(data)
    assert block is not None and orientation(block) == 6
    assert webp_exif(encode(RGB, "webp")) is None
    assert webp_exif(encode(image, "png", exif=exif)) is None
    for n in range(0, len(data), 7):
        webp_exif(data[:n])
    odd = b"VP8L" + (3).to_bytes(4, "little") + bytes(3 + 1) + b"EXIF" + (2).to_bytes(4, "little") + b"ab"
    assert webp_exif(b"RIFF" + len(odd).to_bytes(4, "little") + b"WEBP" + odd) == b"ab"


def test_webp_is_turned_without_opencvs_help(monkeypatch):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[274] = 6
    data = encode(image, "webp", exif=exif, lossless=True)
    decode = cv2.imdecodeWithMetadata
    monkeypatch.setattr(cv2, "imdecodeWithMetadata", lambda *a, **k: (decode(*a, **k)[0], (), ()))
    assert_same(load_image(data), judge(data))


def test_animated_pictures_give_their_first_frame():
    frames = [Image.fromarray(pictures.gradient()).quantize(8) for _ in range(2)]
    frames[1].paste(0, (0, 0, 56, 40))
    buffer = io.BytesIO()
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:])
    assert_same(load_image(buffer.getvalue()), np.asarray(frames[0].convert("RGBA")))


def test_example_pictures_load():
    root = Path(__file__).resolve().parents[2] / "examples"
    for path in sorted(root.glob("*.png")):
        assert_same(load_image(path), judge(path.read_bytes()))
