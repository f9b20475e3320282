// Evaluates filters against JSON documents.
#include <algorithm>
#include <boost/container/small_vector.hpp>

#include "model/filter_internal.h"
#include "model/text.h"

namespace quarry {
namespace {

constexpr size_t kMaxLeaves = 100'000;  // values that one path may reach through arrays of objects

bool missing(const json::value* v) { return v == nullptr || v->is_null(); }

std::string_view view(const json::value& v) { return v.get_string(); }

bool in_list(const CompiledOperand& operand, const json::value& v) {
  auto less = [](const json::value& a, const json::value& b) { return compare_json(a, b) < 0; };
  return std::binary_search(operand.sorted.begin(), operand.sorted.end(), v, less);
}

bool ordered(FilterOp op, int comparison) {
  switch (op) {
    case FilterOp::kGt: return comparison > 0;
    case FilterOp::kLt: return comparison < 0;
    case FilterOp::kGte: return comparison >= 0;
    default: return comparison <= 0;
  }
}

bool matches_ordering(const Filter& c, const json::value& v) {
  if (v.is_number() && c.value.is_number()) return ordered(c.op, compare_json(v, c.value));
  if (!v.is_string() || !c.value.is_string()) return false;
  if (c.compiled && c.compiled->timestamp) {
    if (auto t = parse_timestamp(view(v)); t.ok())
      return ordered(c.op, *t < *c.compiled->timestamp ? -1 : *t > *c.compiled->timestamp ? 1 : 0);
  }
  return ordered(c.op, compare_json(v, c.value));
}

bool compare_text(FilterOp op, std::string_view text, std::string_view part) {
  switch (op) {
    case FilterOp::kStartsWith: return text.starts_with(part);
    case FilterOp::kEndsWith: return text.ends_with(part);
    default: return text.find(part) != std::string_view::npos;
  }
}

bool matches_affix(const Filter& c, const json::value& v) {
  if (!v.is_string()) return false;
  if (c.case_sensitive) return compare_text(c.op, view(v), view(c.value));
  return compare_text(c.op, fold_text(view(v)), c.compiled->folded);
}

bool contains_words(FilterOp op, const std::vector<std::string>& words, const std::vector<std::string>& wanted) {
  auto present = [&](const std::string& word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  switch (op) {
    case FilterOp::kText: return std::all_of(wanted.begin(), wanted.end(), present);
    case FilterOp::kWords: return std::any_of(wanted.begin(), wanted.end(), present);
    default: return std::search(words.begin(), words.end(), wanted.begin(), wanted.end()) != words.end();
  }
}

bool matches_regex(const Filter& c, const json::value& v) {
  return v.is_string() && re2::RE2::PartialMatch(re2::StringPiece(view(v).data(), view(v).size()), *c.compiled->regex);
}

// One value that is not null and, unless the operator is about points, not an array.
bool matches_value(const Filter& c, const json::value& v) {
  switch (c.op) {
    case FilterOp::kEq:
    case FilterOp::kNe: return compare_json(v, c.value) == 0;
    case FilterOp::kIn:
    case FilterOp::kNin: return in_list(*c.compiled, v);
    case FilterOp::kGt:
    case FilterOp::kLt:
    case FilterOp::kGte:
    case FilterOp::kLte: return matches_ordering(c, v);
    case FilterOp::kContains:
    case FilterOp::kStartsWith:
    case FilterOp::kEndsWith: return matches_affix(c, v);
    case FilterOp::kRegex: return matches_regex(c, v);
    case FilterOp::kText:
    case FilterOp::kPhrase:
    case FilterOp::kWords: return v.is_string() && contains_words(c.op, fold_words(view(v)), c.compiled->words);
    case FilterOp::kExists:
    case FilterOp::kIsNull: return true;
    case FilterOp::kGeoRadius:
    case FilterOp::kGeoBoundingBox:
    case FilterOp::kGeoPolygon: {
      auto point = read_geo_point(v);
      return point && shape_contains(c.op, c.compiled->shape, *point);
    }
  }
  return false;
}

bool is_element(const Filter& c, const json::value& element) {
  if (!c.value.is_string() || !element.is_string() || c.case_sensitive) return compare_json(element, c.value) == 0;
  return fold_text(view(element)) == c.compiled->folded;
}

bool matches_contains(const Filter& c, const json::value& v) {
  if (c.value.is_array())
    return std::all_of(c.compiled->parts.begin(), c.compiled->parts.end(), [&](const Filter& part) { return matches_contains(part, v); });
  if (const json::array* a = v.if_array()) return std::any_of(a->begin(), a->end(), [&](const json::value& e) { return is_element(c, e); });
  return v.is_string() && c.value.is_string() && matches_affix(c, v);
}

// The positive sense of the operator: ne and nin ask whether something equals.
bool matches_any(const Filter& c, const json::value& v) {
  if (c.op == FilterOp::kContains) return matches_contains(c, v);
  const json::array* a = v.if_array();
  if (a == nullptr || (is_geo(c.op) && read_geo_point(v))) return matches_value(c, v);
  bool is_equality = c.op == FilterOp::kEq || c.op == FilterOp::kNe || c.op == FilterOp::kIn || c.op == FilterOp::kNin;
  if (is_equality && matches_value(c, v)) return true;  // the whole array
  return std::any_of(a->begin(), a->end(), [&](const json::value& e) { return !e.is_null() && matches_value(c, e); });
}

bool wanted(const Filter& c) { return !c.value.is_bool() || c.value.get_bool(); }

// Null equals null: a list with null in it, or null itself, takes in what is missing.
bool takes_missing(const Filter& c) {
  if (c.op == FilterOp::kEq || c.op == FilterOp::kNe) return c.value.is_null();
  return (c.op == FilterOp::kIn || c.op == FilterOp::kNin) && in_list(*c.compiled, json::value());
}

bool is_negative(FilterOp op) { return op == FilterOp::kNe || op == FilterOp::kNin; }

using Leaves = boost::container::small_vector<const json::value*, 8>;

// A condition over every value its path reaches; none means missing.
bool matches_leaves(const Filter& c, const Leaves& leaves) {
  bool present = std::any_of(leaves.begin(), leaves.end(), [](const json::value* v) { return !missing(v); });
  if (c.op == FilterOp::kExists) return present == wanted(c);
  if (c.op == FilterOp::kIsNull) return present != wanted(c);
  bool found = !present
                   ? takes_missing(c)
                   : std::any_of(leaves.begin(), leaves.end(), [&](const json::value* v) { return !missing(v) && matches_any(c, *v); });
  return found != is_negative(c.op);
}

void collect(const json::value& value, std::string_view path, Leaves& out);

void collect_in_object(const json::object& object, std::string_view path, Leaves& out) {
  if (const json::value* literal = object.if_contains(path)) {
    out.push_back(literal);
    return;
  }
  size_t dot = path.find('.');
  if (dot == std::string_view::npos) return;
  if (const json::value* child = object.if_contains(path.substr(0, dot))) collect(*child, path.substr(dot + 1), out);
}

void collect(const json::value& value, std::string_view path, Leaves& out) {
  if (const json::object* object = value.if_object()) return collect_in_object(*object, path, out);
  const json::array* array = value.if_array();
  if (array == nullptr) return;
  if (const json::value* element = find_element(*array, path)) out.push_back(element);  // "items.0.name"
  for (const json::value& element : *array) {
    if (out.size() >= kMaxLeaves) return;
    collect(element, path, out);
  }
}

void add_values(const json::value& value, json::array& out) {
  if (const json::array* list = value.if_array()) {
    for (const json::value& element : *list)
      if (!element.is_null()) out.push_back(element);
  } else if (!value.is_null()) {
    out.push_back(value);
  }
}

}  // namespace

const json::value* read_path(const json::object& document, std::string_view path, json::value& scratch) {
  const json::value* found = find_path(document, path);
  if (found != nullptr || path.find('.') == std::string_view::npos) return found;
  Leaves leaves;
  collect_in_object(document, path, leaves);
  if (leaves.empty()) return nullptr;
  json::array values;
  for (const json::value* leaf : leaves) add_values(*leaf, values);
  if (values.empty()) return nullptr;
  scratch = std::move(values);
  return &scratch;
}

std::optional<const json::value*> find_single(const json::object& document, std::string_view path) {
  Leaves leaves;
  collect_in_object(document, path, leaves);
  leaves.erase(std::remove_if(leaves.begin(), leaves.end(), missing), leaves.end());
  if (leaves.size() > 1) return std::nullopt;
  return leaves.empty() ? nullptr : leaves.front();
}

GeoContent read_geo_content(const json::object& document, std::string_view path, GeoPoint& point) {
  Leaves leaves;
  collect_in_object(document, path, leaves);
  if (std::all_of(leaves.begin(), leaves.end(), missing)) return GeoContent::kNothing;
  const auto found = leaves.size() == 1 ? read_geo_point(*leaves.front()) : std::nullopt;
  if (!found) return GeoContent::kOther;
  point = *found;
  return GeoContent::kPoint;
}

const std::vector<std::string>& words_of(const Filter& condition) { return condition.compiled->words; }

bool matches_condition(const Filter& condition, const json::value* field_value) {
  Leaves leaves;
  if (field_value != nullptr) leaves.push_back(field_value);
  return matches_leaves(condition, leaves);
}

bool matches(const Filter& filter, const json::object& document) {
  auto match = [&](const Filter& child) { return matches(child, document); };
  switch (filter.kind) {
    case Filter::Kind::kAnd: return std::all_of(filter.children.begin(), filter.children.end(), match);
    case Filter::Kind::kOr: return std::any_of(filter.children.begin(), filter.children.end(), match);
    case Filter::Kind::kNot: return std::none_of(filter.children.begin(), filter.children.end(), match);
    case Filter::Kind::kCondition: break;
  }
  Leaves leaves;
  collect_in_object(document, filter.field, leaves);
  return matches_leaves(filter, leaves);
}

}  // namespace quarry
