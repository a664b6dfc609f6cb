"""Codes that learned embeddings start from."""

import torch

from models.positions import picture_code, triplane_code


def test_every_cell_has_a_code_of_its_own():
    code = picture_code(8, 6, 48)
    assert code.shape == (48, 48)
    assert torch.cdist(code, code).fill_diagonal_(9).min() > 0.1


def test_planes_share_the_code_of_a_shared_coordinate():
    """Axes xy, xz, zy: across, along. Groups of the width: x, y, z, and a remainder of zeros."""
    code = triplane_code(("xy", "xz", "zy"), 4, 20).reshape(3, 4, 4, 20)  # plane, row, column
    x, y, z = code[..., :6], code[..., 6:12], code[..., 12:18]
    assert torch.equal(x[0], x[1]) and not x[2].any()
    assert torch.equal(y[0], y[2]) and not y[1].any()
    assert torch.equal(z[1], z[2].transpose(0, 1)) and not z[0].any()
    assert not code[..., 18:].any()


def test_plane_xy_starts_with_the_code_of_the_patch_that_shows_it():
    """The picture's first row is the upper one; the plane's first row is the lowest y."""
    picture = picture_code(4, 4, 20).reshape(4, 4, 20)
    plane = triplane_code(("xy", "xz", "zy"), 4, 20)[:16].reshape(4, 4, 20)
    assert torch.equal(picture.flip(0), plane)
