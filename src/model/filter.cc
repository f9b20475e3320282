#include "model/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/filter_internal.h"

namespace quarry {
namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxNodes = 1'000;
constexpr size_t kMaxFieldLength = 512;

constexpr std::array<std::pair<FilterOp, std::string_view>, 20> kOperators{{
    {FilterOp::kEq, "eq"},
    {FilterOp::kNe, "ne"},
    {FilterOp::kGt, "gt"},
    {FilterOp::kLt, "lt"},
    {FilterOp::kGte, "gte"},
    {FilterOp::kLte, "lte"},
    {FilterOp::kIn, "in"},
    {FilterOp::kNin, "nin"},
    {FilterOp::kContains, "contains"},
    {FilterOp::kStartsWith, "starts_with"},
    {FilterOp::kEndsWith, "ends_with"},
    {FilterOp::kRegex, "regex"},
    {FilterOp::kExists, "exists"},
    {FilterOp::kIsNull, "is_null"},
    {FilterOp::kText, "text"},
    {FilterOp::kPhrase, "phrase"},
    {FilterOp::kWords, "words"},
    {FilterOp::kGeoRadius, "geo_radius"},
    {FilterOp::kGeoBoundingBox, "geo_bounding_box"},
    {FilterOp::kGeoPolygon, "geo_polygon"},
}};

json::array extended(const json::array& location, json::value step) {
  json::array out = location;
  out.push_back(std::move(step));
  return out;
}

class Parser {
 public:
  Result<Filter> node(const json::value& source, const json::array& at, bool case_sensitive, int depth) {
    if (depth > kMaxDepth) return validation_error("filter_too_deep", at, fmt::format("filters may be nested at most {} deep", kMaxDepth));
    if (++nodes_ > kMaxNodes) return validation_error("filter_too_large", at, fmt::format("a filter may have at most {} parts", kMaxNodes));
    if (source.is_null()) return Filter{};
    if (source.is_array()) return group(Filter::Kind::kAnd, source, at, case_sensitive, depth);
    if (!source.is_object())
      return validation_error("type_error", at, "a filter must be an object: {field, operator, value}, {AND}, {OR} or {NOT}");
    const json::object& o = source.get_object();
    if (o.contains("field") && (o.contains("operator") || o.contains("value"))) return condition(o, at, case_sensitive);
    return tree(o, at, case_sensitive, depth);
  }

 private:
  Result<Filter> group(Filter::Kind kind, const json::value& source, const json::array& at, bool case_sensitive, int depth) {
    Filter out;
    out.kind = kind;
    if (source.is_object()) {
      QUARRY_ASSIGN_OR_RETURN(Filter child, node(source, at, case_sensitive, depth + 1));
      out.children.push_back(std::move(child));
      return out;
    }
    if (!source.is_array()) return validation_error("type_error", at, "AND, OR and NOT take a list of filters");
    for (const json::value& item : source.get_array()) {
      QUARRY_ASSIGN_OR_RETURN(Filter child, node(item, extended(at, out.children.size()), case_sensitive, depth + 1));
      out.children.push_back(std::move(child));
    }
    return out;
  }

  // {AND, OR, NOT, case_sensitive} and equalities on any other member; all must hold.
  Result<Filter> tree(const json::object& o, const json::array& at, bool inherited, int depth) {
    bool is_logical = o.contains("AND") || o.contains("OR") || o.contains("NOT");
    bool case_sensitive = inherited;
    if (is_logical) {
      QUARRY_ASSIGN_OR_RETURN(case_sensitive, case_flag(o, at, inherited));
    }
    std::vector<Filter> parts;
    for (const auto& member : o) {
      if (is_logical && member.key() == "case_sensitive") continue;
      json::array here = extended(at, json::string(member.key()));
      if (auto kind = logical_kind(member.key())) {
        if (member.value().is_null()) continue;
        QUARRY_ASSIGN_OR_RETURN(Filter part, group(*kind, member.value(), here, case_sensitive, depth));
        parts.push_back(std::move(part));
        continue;
      }
      QUARRY_ASSIGN_OR_RETURN(Filter part, equality(member, here));
      parts.push_back(std::move(part));
    }
    return all_of(std::move(parts));
  }

  static std::optional<Filter::Kind> logical_kind(std::string_view key) {
    if (key == "AND") return Filter::Kind::kAnd;
    if (key == "OR") return Filter::Kind::kOr;
    if (key == "NOT") return Filter::Kind::kNot;
    return std::nullopt;
  }

  Result<Filter> equality(const json::key_value_pair& member, const json::array& at) {
    if (++nodes_ > kMaxNodes) return validation_error("filter_too_large", at, fmt::format("a filter may have at most {} parts", kMaxNodes));
    const json::object* o = member.value().if_object();
    if (o != nullptr && !o->empty() && o->begin()->key().starts_with('$')) {
      return validation_error(
          "unknown_operator", at,
          fmt::format("'{}' is not known here; write {{\"field\", \"operator\", \"value\"}}", std::string_view(o->begin()->key())));
    }
    Filter out;
    out.kind = Filter::Kind::kCondition;
    out.field = member.key();
    out.value = member.value();
    QUARRY_RETURN_IF_ERROR(check_field(out.field, at));
    QUARRY_RETURN_IF_ERROR(check_operand(out, at));
    QUARRY_RETURN_IF_ERROR(compile_condition(out, at));
    return out;
  }

  static Result<bool> case_flag(const json::object& o, const json::array& at, bool inherited) {
    const json::value* v = o.if_contains("case_sensitive");
    if (v == nullptr || v->is_null()) return inherited;
    if (v->is_bool()) return v->get_bool();
    return validation_error("type_error", extended(at, "case_sensitive"), "case_sensitive must be true or false");
  }

  static Status check_field(std::string_view field, const json::array& at) {
    if (!field.empty() && field.size() <= kMaxFieldLength) return Ok{};
    return validation_error("value_error", at, fmt::format("a field path has 1 to {} bytes", kMaxFieldLength));
  }

  Result<Filter> condition(const json::object& o, const json::array& at, bool inherited) {
    Filter out;
    out.kind = Filter::Kind::kCondition;
    for (const auto& member : o) {
      std::string_view key = member.key();
      if (key == "field" || key == "operator" || key == "value" || key == "case_sensitive") continue;
      return validation_error("unknown_field", extended(at, json::string(key)),
                              fmt::format("unknown field '{}' in a filter condition; known: field, operator, value, case_sensitive", key));
    }
    const json::value& field = o.at("field");
    if (!field.is_string()) return validation_error("type_error", extended(at, "field"), "'field' must be a string");
    out.field = field.get_string();
    QUARRY_RETURN_IF_ERROR(check_field(out.field, extended(at, "field")));
    QUARRY_ASSIGN_OR_RETURN(out.case_sensitive, case_flag(o, at, inherited));
    if (const json::value* op = o.if_contains("operator"); op != nullptr && !op->is_null()) {
      QUARRY_ASSIGN_OR_RETURN(out.op, parse_operator(*op, extended(at, "operator")));
    }
    if (const json::value* value = o.if_contains("value")) {
      out.value = *value;
    } else if (out.op != FilterOp::kExists && out.op != FilterOp::kIsNull) {
      return validation_error("missing", extended(at, "value"), fmt::format("operator '{}' needs a value", to_string(out.op)));
    }
    QUARRY_RETURN_IF_ERROR(check_operand(out, at));
    QUARRY_RETURN_IF_ERROR(compile_condition(out, at));
    return out;
  }

  static Result<FilterOp> parse_operator(const json::value& source, const json::array& at) {
    std::string known;
    for (const auto& [op, name] : kOperators) {
      if (source.is_string() && source.get_string() == name) return op;
      known.append(known.empty() ? "" : ", ").append(name);
    }
    std::string given = source.is_string() ? std::string(source.get_string()) : json::serialize(source);
    return validation_error("unknown_operator", at, fmt::format("unknown operator '{}'; known: {}", clip(given, 64), known));
  }

  size_t nodes_ = 0;
};

}  // namespace

std::string_view to_string(FilterOp op) {
  for (const auto& [candidate, name] : kOperators)
    if (candidate == op) return name;
  return "unknown";
}

Result<Filter> parse_filter(const json::value& source) { return Parser().node(source, {}, false, 1); }

Filter all_of(std::vector<Filter> filters) {
  Filter out;
  for (Filter& f : filters)
    if (!f.matches_all()) out.children.push_back(std::move(f));
  if (out.children.size() == 1) {
    Filter only = std::move(out.children.front());
    return only;
  }
  return out;
}

Filter equals(std::string field, json::value value) {
  Filter out;
  out.kind = Filter::Kind::kCondition;
  out.field = std::move(field);
  out.value = std::move(value);
  return out;
}

Result<Filter> condition(std::string field, FilterOp op, json::value value) {
  Filter out = equals(std::move(field), std::move(value));
  out.op = op;
  QUARRY_RETURN_IF_ERROR(compile_condition(out, {}));
  return out;
}

}  // namespace quarry
