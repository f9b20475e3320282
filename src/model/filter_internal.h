// What a condition carries ready-made for evaluation. Private to this folder.
#pragma once

#include <re2/re2.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/filter.h"
#include "model/geo.h"

namespace quarry {

struct GeoShape {
  // Radius: centre and metres. Box: top_left and bottom_right; left > right crosses the antimeridian. Polygon: rings, the first the outer
  // one.
  GeoPoint center, top_left, bottom_right;
  double radius_m = 0;
  std::vector<std::vector<GeoPoint>> rings;
};

// Immutable once built, so that any thread may evaluate it.
struct CompiledOperand {
  std::unique_ptr<re2::RE2> regex;
  std::vector<std::string> words;        // text, phrase, words
  std::string folded;                    // contains, starts_with, ends_with without case
  std::optional<TimestampUs> timestamp;  // ordering operators on a string that is one
  std::vector<json::value> sorted;       // in, nin: by compare_json
  std::vector<Filter> parts;             // contains with an array value
  GeoShape shape;
};

// Errors: plain text saying what is wrong with the operand.
Result<GeoShape> parse_geo_shape(FilterOp op, const json::value& value);
bool shape_contains(FilterOp op, const GeoShape& shape, GeoPoint point);

// The value at `path` whose first step is an index into `array`; null if it is not one or nothing is there.
const json::value* find_element(const json::array& array, std::string_view path);

// Refuses what a filter from outside may not compare with: values nested too deep, and dynamic ones that were never bound. 422 as
// compile_condition().
Status check_operand(const Filter& condition, const json::array& location);

// Checks `condition.value` against `condition.op` and fills `condition.compiled`. Errors: 422 at `location` + "value".
Status compile_condition(Filter& condition, const json::array& location);

}  // namespace quarry
