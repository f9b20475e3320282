#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "model/filter_internal.h"

namespace quarry {
namespace {

constexpr double kMeanEarthRadiusM = 6371008.8;  // IUGG mean radius R1
constexpr size_t kMaxPoints = 10'000;
constexpr double kMarginDegrees = 1e-6;  // a tenth of a metre: far more than rounding takes

std::optional<double> number_at(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (v == nullptr || !v->is_number()) return std::nullopt;
  return v->to_number<double>();
}

std::optional<GeoPoint> point_of(std::optional<double> lat, std::optional<double> lon) {
  if (!lat || !lon || !(std::abs(*lat) <= 90) || !(std::abs(*lon) <= 180)) return std::nullopt;
  return GeoPoint{*lat, *lon};
}

std::optional<GeoPoint> point_of_object(const json::object& o) {
  if (const json::value* coordinates = o.if_contains("coordinates"))
    return coordinates->is_array() ? read_geo_point(*coordinates) : std::nullopt;
  if (o.contains("lat")) return point_of(number_at(o, "lat"), number_at(o, o.contains("lon") ? "lon" : "lng"));
  return point_of(number_at(o, "latitude"), number_at(o, "longitude"));
}

double radians(double degrees) { return degrees * (std::numbers::pi / 180.0); }

// Haversine formula (Sinnott, 1984).
double distance_m(GeoPoint a, GeoPoint b) {
  double half_lat = std::sin(radians(b.lat - a.lat) / 2), half_lon = std::sin(radians(b.lon - a.lon) / 2);
  double h = half_lat * half_lat + std::cos(radians(a.lat)) * std::cos(radians(b.lat)) * half_lon * half_lon;
  return 2 * kMeanEarthRadiusM * std::asin(std::min(1.0, std::sqrt(h)));
}

bool in_box(const GeoShape& box, GeoPoint p) {
  if (p.lat > box.top_left.lat || p.lat < box.bottom_right.lat) return false;
  double left = box.top_left.lon, right = box.bottom_right.lon;
  return left <= right ? p.lon >= left && p.lon <= right : p.lon >= left || p.lon <= right;
}

bool on_segment(GeoPoint a, GeoPoint b, GeoPoint p) {
  double cross = (b.lon - a.lon) * (p.lat - a.lat) - (b.lat - a.lat) * (p.lon - a.lon);
  return cross == 0 && p.lon >= std::min(a.lon, b.lon) && p.lon <= std::max(a.lon, b.lon) && p.lat >= std::min(a.lat, b.lat) &&
         p.lat <= std::max(a.lat, b.lat);
}

double degrees(double radians) { return radians * (180.0 / std::numbers::pi); }

// The meridians that touch the circle: sin(lon - center.lon) = sin(angle) / cos(center.lat).
GeoBounds bounds_of_circle(GeoPoint center, double radius_m) {
  const double angle = radius_m / kMeanEarthRadiusM, half = degrees(angle) + kMarginDegrees;
  if (half >= 89) return {};  // and more: distances of half the earth are too uncertain to be bounded
  GeoBounds out{center.lat - half, center.lat + half, -180, 180};
  if (out.south <= -90 || out.north >= 90) return out;  // about a pole
  const double reach = degrees(std::asin(std::min(1.0, std::sin(radians(half)) / std::cos(radians(center.lat))))) + kMarginDegrees;
  out.west = center.lon - reach;
  out.east = center.lon + reach;
  if (out.west >= -180 && out.east <= 180) return out;
  if (out.west < -180) out.west += 360;
  if (out.east > 180) out.east -= 360;
  return out;
}

enum class Side { kOutside, kEdge, kInside };

// Even-odd rule in the plane of longitude and latitude.
Side side_of(const std::vector<GeoPoint>& ring, GeoPoint p) {
  bool inside = false;
  for (size_t i = 0, j = ring.size() - 1; i < ring.size(); j = i++) {
    if (on_segment(ring[j], ring[i], p)) return Side::kEdge;
    if ((ring[i].lat > p.lat) == (ring[j].lat > p.lat)) continue;
    double crossing = (ring[j].lon - ring[i].lon) * (p.lat - ring[i].lat) / (ring[j].lat - ring[i].lat) + ring[i].lon;
    if (p.lon < crossing) inside = !inside;
  }
  return inside ? Side::kInside : Side::kOutside;
}

// The edge of the outer ring and of the holes belongs to the polygon.
bool in_polygon(const GeoShape& polygon, GeoPoint p) {
  if (side_of(polygon.rings.front(), p) == Side::kOutside) return false;
  for (size_t i = 1; i < polygon.rings.size(); ++i)
    if (side_of(polygon.rings[i], p) == Side::kInside) return false;
  return true;
}

Result<GeoPoint> required_point(const json::object& o, std::string_view key) {
  const json::value* v = o.if_contains(key);
  if (v == nullptr) return bad_request(fmt::format("'{}' is missing", key));
  if (auto point = read_geo_point(*v)) return *point;
  return bad_request(fmt::format("'{}' must be {{lat, lon}} with lat in [-90, 90] and lon in [-180, 180]", key));
}

// A ring is {points: [...]} or the bare list; its last point may repeat the first.
Result<std::vector<GeoPoint>> parse_ring(const json::value& source, size_t& points_left) {
  const json::value* list = &source;
  if (const json::object* o = source.if_object()) list = o->if_contains("points");
  if (list == nullptr || !list->is_array()) return bad_request("a polygon ring must be {points: [{lat, lon}, ...]}");
  const json::array& points = list->get_array();
  if (points.size() > points_left) return bad_request(fmt::format("a polygon may have at most {} points", kMaxPoints));
  points_left -= points.size();
  std::vector<GeoPoint> ring;
  for (const json::value& v : points) {
    auto point = read_geo_point(v);
    if (!point) return bad_request(fmt::format("point {} of the polygon is not {{lat, lon}} within range", ring.size()));
    ring.push_back(*point);
  }
  if (ring.size() > 1 && ring.front().lat == ring.back().lat && ring.front().lon == ring.back().lon) ring.pop_back();
  if (ring.size() < 3) return bad_request("a polygon ring needs at least 3 different points");
  return ring;
}

Result<GeoShape> parse_radius(const json::object& o) {
  GeoShape shape;
  if (o.contains("center")) {
    QUARRY_ASSIGN_OR_RETURN(shape.center, required_point(o, "center"));
  } else if (auto point = read_geo_point(o)) {
    shape.center = *point;
  } else {
    return bad_request("geo_radius needs {center: {lat, lon}, radius}");
  }
  auto radius = number_at(o, o.contains("radius") ? "radius" : "radius_meters");
  if (!radius || !(*radius >= 0)) return bad_request("geo_radius needs a 'radius' of at least 0 (meters)");
  shape.radius_m = *radius;
  return shape;
}

Result<GeoShape> parse_box(const json::object& o) {
  GeoShape shape;
  QUARRY_ASSIGN_OR_RETURN(shape.top_left, required_point(o, "top_left"));
  QUARRY_ASSIGN_OR_RETURN(shape.bottom_right, required_point(o, "bottom_right"));
  if (shape.top_left.lat < shape.bottom_right.lat) return bad_request("'top_left' lies south of 'bottom_right'");
  return shape;
}

Result<GeoShape> parse_polygon(const json::value& value) {
  GeoShape shape;
  size_t points_left = kMaxPoints;
  const json::object* o = value.if_object();
  const json::value* exterior = o == nullptr ? &value : o->contains("exterior") ? o->if_contains("exterior") : &value;
  QUARRY_ASSIGN_OR_RETURN(auto outer, parse_ring(*exterior, points_left));
  shape.rings.push_back(std::move(outer));
  const json::value* interiors = o == nullptr ? nullptr : o->if_contains("interiors");
  if (interiors == nullptr || interiors->is_null()) return shape;
  if (!interiors->is_array()) return bad_request("'interiors' must be a list of rings");
  for (const json::value& hole : interiors->get_array()) {
    QUARRY_ASSIGN_OR_RETURN(auto ring, parse_ring(hole, points_left));
    shape.rings.push_back(std::move(ring));
  }
  return shape;
}

}  // namespace

std::optional<GeoPoint> read_geo_point(const json::value& value) {
  if (const json::object* o = value.if_object()) return point_of_object(*o);
  const json::array* a = value.if_array();
  if (a == nullptr || a->size() != 2 || !(*a)[0].is_number() || !(*a)[1].is_number()) return std::nullopt;
  return point_of((*a)[1].to_number<double>(), (*a)[0].to_number<double>());
}

Result<GeoShape> parse_geo_shape(FilterOp op, const json::value& value) {
  if (op == FilterOp::kGeoPolygon) return parse_polygon(value);
  const json::object* o = value.if_object();
  if (o == nullptr) return bad_request(fmt::format("{} needs an object as its value", to_string(op)));
  return op == FilterOp::kGeoRadius ? parse_radius(*o) : parse_box(*o);
}

bool geo_matches(const Filter& condition, GeoPoint point) { return shape_contains(condition.op, condition.compiled->shape, point); }

GeoBounds geo_bounds(const Filter& condition) {
  const GeoShape& shape = condition.compiled->shape;
  if (condition.op == FilterOp::kGeoRadius) return bounds_of_circle(shape.center, shape.radius_m);
  if (condition.op == FilterOp::kGeoBoundingBox)
    return {shape.bottom_right.lat, shape.top_left.lat, shape.top_left.lon, shape.bottom_right.lon};
  GeoBounds out{90, -90, 180, -180};
  for (const GeoPoint& p : shape.rings.front())
    out = {std::min(out.south, p.lat), std::max(out.north, p.lat), std::min(out.west, p.lon), std::max(out.east, p.lon)};
  return {out.south - kMarginDegrees, out.north + kMarginDegrees, out.west - kMarginDegrees, out.east + kMarginDegrees};
}

bool shape_contains(FilterOp op, const GeoShape& shape, GeoPoint point) {
  switch (op) {
    case FilterOp::kGeoRadius: return distance_m(shape.center, point) <= shape.radius_m;
    case FilterOp::kGeoBoundingBox: return in_box(shape, point);
    default: return in_polygon(shape, point);
  }
}

}  // namespace quarry
