// The 256 cases of marching cubes (Lorensen and Cline 1987), made by a rule instead of typed in.
//
// Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1). Edge e runs along axis e / 4 from the
// corner whose offsets along the next two axes (in the cyclic order x, y, z) are the bits of e % 4.
// A case is the mask of the corners that are inside.
//
// On each face of the cell the surface's contour is traced so that it keeps the inside on one hand;
// joined from face to face the pieces close to polygons, which are cut into fans. Where two inside
// corners sit diagonally on a face, the contour goes around each of them alone. That looks at the
// face only, so cells that share a face agree on it and the surface has no holes; and it is what
// the classic table in public use does (Bourke 1994), so face counts equal its.
#pragma once

#include <cstdint>

namespace lrm {

struct CellEdge {
  int axis;  // 0 x, 1 y, 2 z
  int low;   // corner where it begins
  int high;  // corner where it ends: low + 1 along the axis
};

constexpr int cell_edge_count = 12;
constexpr int max_case_triangles = 5;

struct CellCase {
  std::uint8_t triangle_count;
  std::uint8_t edges[3 * max_case_triangles];  // counter-clockwise seen from outside
};

constexpr CellEdge cell_edge(int edge) {
  const int axis = edge / 4;
  const int u = (axis + 1) % 3, v = (axis + 2) % 3;
  const int low = (edge & 1) << u | (edge >> 1 & 1) << v;
  return {axis, low, low | 1 << axis};
}

// The corners of the face on the low (side 0) or high (side 1) end of an axis, as a mask.
constexpr int face_corners(int axis, int side) {
  int mask = 0;
  for (int corner = 0; corner < 8; ++corner) {
    if ((corner >> axis & 1) == side) mask |= 1 << corner;
  }
  return mask;
}

const CellCase& cell_case(int inside_mask);

}  // namespace lrm
