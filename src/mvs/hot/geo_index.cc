#include "mvs/hot/geo_index.h"

#include <algorithm>
#include <cmath>

namespace quarry::mvs {

GeoIndex::GeoIndex(std::vector<GeoRow> points, Bitmap other) : points_(std::move(points)), other_(std::move(other)) {
  std::sort(points_.begin(), points_.end(), [](const GeoRow& a, const GeoRow& b) { return a.point.lat < b.point.lat; });
  const size_t a_band = std::max<size_t>(size_t(std::sqrt(double(points_.size()))), 1);
  for (size_t first = 0; first < points_.size(); first += a_band) {
    const size_t last = std::min(points_.size(), first + a_band);
    bands_.push_back({points_[first].point.lat, points_[last - 1].point.lat, uint32_t(first), uint32_t(last)});
    std::sort(points_.begin() + ptrdiff_t(first), points_.begin() + ptrdiff_t(last),
              [](const GeoRow& a, const GeoRow& b) { return a.point.lon < b.point.lon; });
  }
}

void GeoIndex::add_rows(const Filter& condition, Bitmap& out) const {
  const GeoBounds bounds = geo_bounds(condition);
  for (const Band& band : bands_) {
    if (band.north < bounds.south || band.south > bounds.north) continue;
    if (bounds.west <= bounds.east) {
      add_stretch(band, bounds.west, bounds.east, condition, bounds, out);
    } else {
      add_stretch(band, -180, bounds.east, condition, bounds, out);
      add_stretch(band, bounds.west, 180, condition, bounds, out);
    }
  }
}

void GeoIndex::add_stretch(const Band& band, double west, double east, const Filter& condition, const GeoBounds& bounds,
                           Bitmap& out) const {
  const auto end = points_.begin() + band.last;
  auto at = std::lower_bound(points_.begin() + band.first, end, west, [](const GeoRow& r, double lon) { return r.point.lon < lon; });
  for (; at != end && at->point.lon <= east; ++at) {
    const double lat = at->point.lat;
    if (lat >= bounds.south && lat <= bounds.north && geo_matches(condition, at->point)) out.set(at->row);
  }
}

}  // namespace quarry::mvs
