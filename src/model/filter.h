// Filters: trees of AND / OR / NOT over {field, operator, value}, parsed once, evaluated against JSON documents here and against columns in
// mvs/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace quarry {

enum class FilterOp {
  kEq,
  kNe,
  kGt,
  kLt,
  kGte,
  kLte,
  kIn,
  kNin,
  kContains,
  kStartsWith,
  kEndsWith,
  kRegex,
  kExists,
  kIsNull,
  kText,
  kPhrase,
  kWords,
  kGeoRadius,
  kGeoBoundingBox,
  kGeoPolygon,
};

std::string_view to_string(FilterOp op);

// A compiled regular expression (RE2: linear time) or tokenised text; shared by copies of the filter.
struct CompiledOperand;

struct Filter {
  enum class Kind { kAnd, kOr, kNot, kCondition };
  Kind kind = Kind::kAnd;        // an AND without children matches everything
  std::vector<Filter> children;  // kAnd, kOr; kNot matches when none of its children does
  std::string field;             // dotted path: "metadata.author"; array elements are each tried
  FilterOp op = FilterOp::kEq;
  json::value value;
  bool case_sensitive = false;  // string operators; eq/ne/in/nin on strings are always exact
  std::shared_ptr<const CompiledOperand> compiled;

  bool matches_all() const { return kind == Kind::kAnd && children.empty(); }
};

// Accepts the contract's forms: {"AND":[...]}, {"OR":[...]}, {"NOT":[...]} (together: all must hold), {field, operator, value}, a bare
// object of equalities, an array (AND), null (all). `case_sensitive` stands on a condition or on a tree, whose parts inherit it.
// `{type:"dynamic"}` values must have been bound before. Errors: 422 with the location inside the filter; depth is limited to 32, nodes to
// 1,000.
Result<Filter> parse_filter(const json::value& source);

Filter all_of(std::vector<Filter> filters);
Filter equals(std::string field, json::value value);
// Values that in, nin and contains take at most.
inline constexpr size_t kMaxFilterValues = 10'000;
// One condition built in code, of a value nested however deep; 422 if `value` does not suit `op`.
Result<Filter> condition(std::string field, FilterOp op, json::value value);

// Missing fields match only ne, nin, is_null, exists:false and NOT; null counts as missing (a column cannot tell them apart), so eq null
// means is_null and ne null means exists. Numbers compare by value; strings that both parse as timestamps compare as times under the
// ordering operators; an array field matches when one element does (ne and nin: when none equals). `contains` with an array value asks for
// all of it. text: every word of the value, in any order; words: at least one; phrase: all, consecutive. Regular expressions match anywhere
// in the string.
bool matches(const Filter& filter, const json::object& document);
// As matches() for one condition whose field's value is at hand; nullptr: missing.
bool matches_condition(const Filter& condition, const json::value* field_value);

// Of a condition whose operator is text, words or phrase: the words of its value, folded; at least one.
const std::vector<std::string>& words_of(const Filter& condition);

// The value at a dotted path, or null. A literal key that contains the dots wins over the path.
const json::value* find_path(const json::object& document, std::string_view path);

// As find_path(); where nothing lies there but the path leads through arrays of objects, as in a filter, the array of all values that it
// reaches (arrays among them taken apart, nulls left out), made in `scratch`. Null pointer: there are none.
const json::value* read_path(const json::object& document, std::string_view path, json::value& scratch);

// The value that a condition on `path` is about where there is at most one; null pointer: nothing or null lies there. nullopt: there are
// several.
std::optional<const json::value*> find_single(const json::object& document, std::string_view path);

// Total order over JSON values used by sorts: null < bool < number < string < array < object; numbers by value, strings by bytes.
int compare_json(const json::value& a, const json::value& b);

}  // namespace quarry
