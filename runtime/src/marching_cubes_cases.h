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
//
// Only the language is used here, no standard header, so that NVRTC can compile it; the table is
// made by the compiler on either side.
#pragma once

#if defined(__CUDACC__)
#define LRM_AT_COMPILE_TIME __host__ __device__ constexpr
#else
#define LRM_AT_COMPILE_TIME constexpr
#endif

namespace lrm {

struct CellEdge {
  int axis;  // 0 x, 1 y, 2 z
  int low;   // corner where it begins
  int high;  // corner where it ends: low + 1 along the axis
};

constexpr int cell_edge_count = 12;
constexpr int max_case_triangles = 5;

struct CellCase {
  unsigned char triangle_count;
  unsigned char edges[3 * max_case_triangles];  // counter-clockwise seen from outside
};

LRM_AT_COMPILE_TIME CellEdge cell_edge(int edge) {
  const int axis = edge / 4;
  const int u = (axis + 1) % 3, v = (axis + 2) % 3;
  const int low = (edge & 1) << u | (edge >> 1 & 1) << v;
  return {axis, low, low | 1 << axis};
}

// The corners of the face on the low (side 0) or high (side 1) end of an axis, as a mask.
LRM_AT_COMPILE_TIME int face_corners(int axis, int side) {
  int mask = 0;
  for (int corner = 0; corner < 8; ++corner) {
    if ((corner >> axis & 1) == side) mask |= 1 << corner;
  }
  return mask;
}

namespace cases {

constexpr int none = -1;

// The edge between two neighbouring corners.
LRM_AT_COMPILE_TIME int edge_between(int a, int b) {
  for (int edge = 0; edge < cell_edge_count; ++edge) {
    const CellEdge e = cell_edge(edge);
    if ((e.low == a && e.high == b) || (e.low == b && e.high == a)) return edge;
  }
  return none;
}

// Corner k of 4 of a face, counter-clockwise seen from outside the cell.
LRM_AT_COMPILE_TIME int face_corner(int axis, int side, int k) {
  const int turn = side == 1 ? k : 3 - k;
  const int u = turn == 1 || turn == 2, v = turn >= 2;
  return side << axis | u << (axis + 1) % 3 | v << (axis + 2) % 3;
}

struct Links {
  int next[cell_edge_count] = {};  // the crossing that follows on the polygon, or none
};

// Around a face each run of inside corners is left over one crossing and, after a run of outside
// corners, the next one entered over another; the contour goes from the second to the first, around
// the outside corners between them.
LRM_AT_COMPILE_TIME void link_face(int mask, int axis, int side, Links& links) {
  for (int k = 0; k < 4; ++k) {
    const int before = face_corner(axis, side, k), first = face_corner(axis, side, (k + 1) % 4);
    if (!(mask >> before & 1) || (mask >> first & 1)) continue;
    int last = k + 1;
    while (!(mask >> face_corner(axis, side, (last + 1) % 4) & 1)) ++last;
    const int entry =
        edge_between(face_corner(axis, side, last % 4), face_corner(axis, side, (last + 1) % 4));
    links.next[entry] = edge_between(before, first);
  }
}

LRM_AT_COMPILE_TIME Links link_crossings(int mask) {
  Links links;
  for (int& next : links.next) next = none;
  for (int axis = 0; axis < 3; ++axis) {
    for (int side = 0; side < 2; ++side) link_face(mask, axis, side, links);
  }
  return links;
}

LRM_AT_COMPILE_TIME bool share_face(int a, int b) {
  const int corners = 1 << cell_edge(a).low | 1 << cell_edge(a).high | 1 << cell_edge(b).low |
                      1 << cell_edge(b).high;
  for (int axis = 0; axis < 3; ++axis) {
    for (int side = 0; side < 2; ++side) {
      if ((corners & ~face_corners(axis, side)) == 0) return true;
    }
  }
  return false;
}

// Whether all diagonals of the fan run through the interior of the cell. One that lay in a face
// could meet the neighbour's there: four triangles on one edge.
LRM_AT_COMPILE_TIME bool is_interior_fan(const int* polygon, int size, int start) {
  for (int k = 2; k + 1 < size; ++k) {
    if (share_face(polygon[start], polygon[(start + k) % size])) return false;
  }
  return true;
}

struct Point {
  int xyz[3] = {};
};

// The middle of an edge, from the middle of the cell, in half cells.
LRM_AT_COMPILE_TIME Point middle(int edge) {
  const CellEdge e = cell_edge(edge);
  Point point;
  for (int axis = 0; axis < 3; ++axis) {
    point.xyz[axis] = axis == e.axis ? 0 : 2 * (e.low >> axis & 1) - 1;
  }
  return point;
}

LRM_AT_COMPILE_TIME int determinant(const Point& a, const Point& b, const Point& c) {
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    sum += a.xyz[i] * (b.xyz[j] * c.xyz[k] - b.xyz[k] * c.xyz[j]);
  }
  return sum;
}

// Six times the volume between the fan and the middle of the cell, negative where the fan faces it.
LRM_AT_COMPILE_TIME int fan_volume(const int* polygon, int size, int start) {
  int sum = 0;
  for (int k = 1; k + 1 < size; ++k) {
    sum += determinant(middle(polygon[start]), middle(polygon[(start + k) % size]),
                       middle(polygon[(start + k + 1) % size]));
  }
  return sum;
}

// The corner from which the fan gives most room to the inside where fewer corners are inside than
// outside, and else to the outside: the volumes of the classic table.
LRM_AT_COMPILE_TIME int fan_start(int mask, const int* polygon, int size) {
  int inside = 0;
  for (int corner = 0; corner < 8; ++corner) inside += mask >> corner & 1;
  int best = none, most = 0;
  for (int start = 0; start < size; ++start) {
    if (!is_interior_fan(polygon, size, start)) continue;
    const int room = fan_volume(polygon, size, start) * (inside < 4 ? 1 : -1);
    if (best != none && room <= most) continue;
    best = start;
    most = room;
  }
  return best;  // never none: add_fan would read polygon[-1], which no constant may
}

LRM_AT_COMPILE_TIME void add_fan(int mask, const int* polygon, int size, CellCase& result) {
  const int start = fan_start(mask, polygon, size);
  for (int k = 1; k + 1 < size; ++k) {
    const int edges[3] = {polygon[start], polygon[(start + k) % size],
                          polygon[(start + k + 1) % size]};
    for (int i = 0; i < 3; ++i) {
      result.edges[3 * result.triangle_count + i] = static_cast<unsigned char>(edges[i]);
    }
    ++result.triangle_count;
  }
}

LRM_AT_COMPILE_TIME CellCase make_case(int mask) {
  CellCase result{};
  Links links = link_crossings(mask);
  for (int first = 0; first < cell_edge_count; ++first) {
    int polygon[cell_edge_count] = {};
    int size = 0;
    for (int edge = first; links.next[edge] != none;) {
      polygon[size++] = edge;
      const int next = links.next[edge];
      links.next[edge] = none;
      edge = next;
    }
    if (size > 0) add_fan(mask, polygon, size, result);
  }
  return result;
}

}  // namespace cases

struct CaseTable {
  CellCase cases[256];
};

LRM_AT_COMPILE_TIME CaseTable make_case_table() {
  CaseTable table{};
  for (int mask = 0; mask < 256; ++mask) table.cases[mask] = cases::make_case(mask);
  return table;
}

}  // namespace lrm
