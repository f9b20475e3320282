// The points of a field, packed so that those within bounds lie in a few stretches.
#pragma once

#include <vector>

#include "model/geo.h"
#include "mvs/warm/deletion_vector.h"

namespace quarry::mvs {

struct GeoRow {
  GeoPoint point;
  uint32_t row = 0;
};

// Immutable; thread-safe. Bands of latitude with about as many points each, in each band the points by longitude (sort-tile-recursive
// packing, Leutenegger et al., ICDE 1997).
class GeoIndex {
 public:
  // `other`: rows whose field is neither a point nor missing.
  GeoIndex(std::vector<GeoRow> points, Bitmap other);

  const Bitmap& other() const { return other_; }
  // Sets the rows whose point a geo condition holds in `out`, which has a bit per row.
  void add_rows(const Filter& condition, Bitmap& out) const;
  uint64_t memory_bytes() const { return points_.capacity() * sizeof(GeoRow) + bands_.capacity() * sizeof(Band) + other_.memory_bytes(); }

 private:
  struct Band {
    double south, north;
    uint32_t first, last;  // in points_
  };

  void add_stretch(const Band& band, double west, double east, const Filter& condition, const GeoBounds& bounds, Bitmap& out) const;

  std::vector<GeoRow> points_;
  std::vector<Band> bands_;
  Bitmap other_;
};

}  // namespace quarry::mvs
