// Points on the earth, and the shapes that geo conditions ask about.
#pragma once

#include <optional>
#include <string_view>

#include "model/filter.h"

namespace quarry {

struct GeoPoint {
  double lat = 0, lon = 0;  // degrees
};

// west > east: across the antimeridian.
struct GeoBounds {
  double south = -90, north = 90, west = -180, east = 180;
};

inline bool is_geo(FilterOp op) {
  return op == FilterOp::kGeoRadius || op == FilterOp::kGeoBoundingBox || op == FilterOp::kGeoPolygon;
}

// A point as documents and filters write it: {lat, lon}, {latitude, longitude}, {lat, lng}, [lon, lat], or GeoJSON {type: "Point",
// coordinates}.
std::optional<GeoPoint> read_geo_point(const json::value& value);

// Of a geo condition: whether its shape holds the point, and bounds outside of which it holds none.
bool geo_matches(const Filter& condition, GeoPoint point);
GeoBounds geo_bounds(const Filter& condition);

// What geo conditions on `path` look at in a document: nothing that could match, one point (written to `point`), or something that only the
// document answers for, as a list of points.
enum class GeoContent { kNothing, kPoint, kOther };
GeoContent read_geo_content(const json::object& document, std::string_view path, GeoPoint& point);

}  // namespace quarry
