#include "marching_cubes_table.h"

#include <array>

namespace lrm {
namespace {

constexpr int none = -1;

// The edge between two neighbouring corners.
constexpr int edge_between(int a, int b) {
  for (int edge = 0; edge < cell_edge_count; ++edge) {
    const CellEdge e = cell_edge(edge);
    if ((e.low == a && e.high == b) || (e.low == b && e.high == a)) return edge;
  }
  return none;
}

// Corner k of 4 of a face, counter-clockwise seen from outside the cell.
constexpr int face_corner(int axis, int side, int k) {
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
constexpr void link_face(int mask, int axis, int side, Links& links) {
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

constexpr Links link_crossings(int mask) {
  Links links;
  for (int& next : links.next) next = none;
  for (int axis = 0; axis < 3; ++axis) {
    for (int side = 0; side < 2; ++side) link_face(mask, axis, side, links);
  }
  return links;
}

constexpr bool share_face(int a, int b) {
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
constexpr bool is_interior_fan(const int* polygon, int size, int start) {
  for (int k = 2; k + 1 < size; ++k) {
    if (share_face(polygon[start], polygon[(start + k) % size])) return false;
  }
  return true;
}

struct Point {
  int xyz[3] = {};
};

// The middle of an edge, from the middle of the cell, in half cells.
constexpr Point middle(int edge) {
  const CellEdge e = cell_edge(edge);
  Point point;
  for (int axis = 0; axis < 3; ++axis) {
    point.xyz[axis] = axis == e.axis ? 0 : 2 * (e.low >> axis & 1) - 1;
  }
  return point;
}

constexpr int determinant(const Point& a, const Point& b, const Point& c) {
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    sum += a.xyz[i] * (b.xyz[j] * c.xyz[k] - b.xyz[k] * c.xyz[j]);
  }
  return sum;
}

// Six times the volume between the fan and the middle of the cell, negative where the fan faces it.
constexpr int fan_volume(const int* polygon, int size, int start) {
  int sum = 0;
  for (int k = 1; k + 1 < size; ++k) {
    sum += determinant(middle(polygon[start]), middle(polygon[(start + k) % size]),
                       middle(polygon[(start + k + 1) % size]));
  }
  return sum;
}

// The corner from which the fan gives most room to the inside where fewer corners are inside than
// outside, and else to the outside: the volumes of the classic table.
constexpr int fan_start(int mask, const int* polygon, int size) {
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
  if (best == none) throw "every polygon of the 256 cases has such a corner";
  return best;
}

constexpr void add_fan(int mask, const int* polygon, int size, CellCase& result) {
  const int start = fan_start(mask, polygon, size);
  for (int k = 1; k + 1 < size; ++k) {
    const int edges[3] = {polygon[start], polygon[(start + k) % size],
                          polygon[(start + k + 1) % size]};
    for (int i = 0; i < 3; ++i) {
      result.edges[3 * result.triangle_count + i] = static_cast<std::uint8_t>(edges[i]);
    }
    ++result.triangle_count;
  }
}

constexpr CellCase make_case(int mask) {
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

constexpr std::array<CellCase, 256> make_table() {
  std::array<CellCase, 256> table{};
  for (int mask = 0; mask < 256; ++mask) table[static_cast<std::size_t>(mask)] = make_case(mask);
  return table;
}

constexpr std::array<CellCase, 256> table = make_table();

}  // namespace

const CellCase& cell_case(int inside_mask) { return table[static_cast<std::size_t>(inside_mask)]; }

}  // namespace lrm
