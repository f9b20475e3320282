// Turns the operand of a condition into what evaluation needs, once.
#include <fmt/format.h>

#include <algorithm>

#include "model/filter_internal.h"
#include "model/text.h"

namespace quarry {
namespace {

constexpr int kMaxValueDepth = 32;
constexpr size_t kMaxPatternLength = 2'048;
constexpr int64_t kRegexMemoryBytes = 1 << 20;

struct Failure {
  std::string type;
  std::string message;
};

using Compiled = std::variant<std::shared_ptr<CompiledOperand>, Failure>;

bool deeper_than(const json::value& v, int levels) {
  if (!v.is_structured()) return false;
  if (levels == 0) return true;
  if (const json::array* a = v.if_array())
    return std::any_of(a->begin(), a->end(), [&](const auto& item) { return deeper_than(item, levels - 1); });
  const json::object& o = v.get_object();
  return std::any_of(o.begin(), o.end(), [&](const auto& member) { return deeper_than(member.value(), levels - 1); });
}

bool is_unbound_dynamic(const json::value& v) {
  if (const json::array* list = v.if_array()) return std::any_of(list->begin(), list->end(), is_unbound_dynamic);
  const json::object* o = v.if_object();
  const json::value* type = o == nullptr ? nullptr : o->if_contains("type");
  return type != nullptr && type->is_string() && type->get_string() == "dynamic" && o->contains("field");
}

Compiled compile_ordering(const Filter& c) {
  if (c.value.is_number()) return std::shared_ptr<CompiledOperand>();
  if (!c.value.is_string())
    return Failure{"type_error", fmt::format("operator '{}' needs a number, a string or a date-time", to_string(c.op))};
  auto out = std::make_shared<CompiledOperand>();
  if (auto t = parse_timestamp(c.value.get_string()); t.ok()) out->timestamp = *t;
  return out;
}

Compiled compile_list(const Filter& c) {
  auto out = std::make_shared<CompiledOperand>();
  if (const json::array* list = c.value.if_array()) {
    if (list->size() > kMaxFilterValues)
      return Failure{"value_error", fmt::format("operator '{}' takes at most {} values", to_string(c.op), kMaxFilterValues)};
    out->sorted.assign(list->begin(), list->end());
  } else {
    out->sorted.push_back(c.value);
  }
  std::sort(out->sorted.begin(), out->sorted.end(), [](const auto& a, const auto& b) { return compare_json(a, b) < 0; });
  return out;
}

Compiled compile_contains(const Filter& c) {
  auto out = std::make_shared<CompiledOperand>();
  if (c.value.is_string() && !c.case_sensitive) out->folded = fold_text(c.value.get_string());
  const json::array* list = c.value.if_array();
  if (list == nullptr) return out;
  if (list->size() > kMaxFilterValues)
    return Failure{"value_error", fmt::format("operator 'contains' takes at most {} values", kMaxFilterValues)};
  for (const json::value& item : *list) {
    if (item.is_array()) return Failure{"type_error", "operator 'contains' takes a value or a flat list of values"};
    Filter part = c;
    part.value = item;
    Compiled compiled = compile_contains(part);
    if (auto* failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
    part.compiled = std::get<0>(std::move(compiled));
    out->parts.push_back(std::move(part));
  }
  return out;
}

Compiled compile_affix(const Filter& c) {
  if (!c.value.is_string()) return Failure{"type_error", fmt::format("operator '{}' needs a string", to_string(c.op))};
  auto out = std::make_shared<CompiledOperand>();
  if (!c.case_sensitive) out->folded = fold_text(c.value.get_string());
  return out;
}

Compiled compile_regex(const Filter& c) {
  if (!c.value.is_string()) return Failure{"type_error", "operator 'regex' needs a string"};
  const json::string& pattern = c.value.get_string();
  if (pattern.size() > kMaxPatternLength)
    return Failure{"value_error", fmt::format("a regular expression has at most {} bytes", kMaxPatternLength)};
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryBytes);
  options.set_case_sensitive(c.case_sensitive);
  auto out = std::make_shared<CompiledOperand>();
  out->regex = std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!out->regex->ok()) return Failure{"invalid_regex", fmt::format("invalid regular expression: {}", out->regex->error())};
  return out;
}

Compiled compile_words(const Filter& c) {
  if (!c.value.is_string()) return Failure{"type_error", fmt::format("operator '{}' needs a string", to_string(c.op))};
  auto out = std::make_shared<CompiledOperand>();
  out->words = fold_words(c.value.get_string());
  if (out->words.empty()) return Failure{"value_error", fmt::format("operator '{}' needs at least one word", to_string(c.op))};
  return out;
}

Compiled compile_flag(const Filter& c) {
  if (c.value.is_null() || c.value.is_bool()) return std::shared_ptr<CompiledOperand>();
  return Failure{"type_error", fmt::format("operator '{}' takes true, false or no value", to_string(c.op))};
}

Compiled compile_geo(const Filter& c) {
  auto shape = parse_geo_shape(c.op, c.value);
  if (!shape.ok()) return Failure{"value_error", shape.error().message};
  auto out = std::make_shared<CompiledOperand>();
  out->shape = std::move(shape).value();
  return out;
}

Compiled compile(const Filter& c) {
  switch (c.op) {
    case FilterOp::kEq:
    case FilterOp::kNe: return std::shared_ptr<CompiledOperand>();
    case FilterOp::kGt:
    case FilterOp::kLt:
    case FilterOp::kGte:
    case FilterOp::kLte: return compile_ordering(c);
    case FilterOp::kIn:
    case FilterOp::kNin: return compile_list(c);
    case FilterOp::kContains: return compile_contains(c);
    case FilterOp::kStartsWith:
    case FilterOp::kEndsWith: return compile_affix(c);
    case FilterOp::kRegex: return compile_regex(c);
    case FilterOp::kExists:
    case FilterOp::kIsNull: return compile_flag(c);
    case FilterOp::kText:
    case FilterOp::kPhrase:
    case FilterOp::kWords: return compile_words(c);
    case FilterOp::kGeoRadius:
    case FilterOp::kGeoBoundingBox:
    case FilterOp::kGeoPolygon: return compile_geo(c);
  }
  return Failure{"value_error", "unknown operator"};
}

Error operand_error(const Filter& condition, json::array at, Failure failure) {
  at.push_back("value");
  return validation_error(std::move(failure.type), std::move(at), fmt::format("field '{}': {}", condition.field, failure.message));
}

}  // namespace

Status check_operand(const Filter& condition, const json::array& location) {
  if (deeper_than(condition.value, kMaxValueDepth))
    return operand_error(condition, location, {"value_error", fmt::format("the value is nested more than {} deep", kMaxValueDepth)});
  if (is_unbound_dynamic(condition.value))
    return operand_error(condition, location, {"unbound_value", "a dynamic value has no input to take its value from here"});
  return Ok{};
}

Status compile_condition(Filter& condition, const json::array& location) {
  Compiled compiled = compile(condition);
  if (auto* failure = std::get_if<Failure>(&compiled)) return operand_error(condition, location, std::move(*failure));
  condition.compiled = std::get<0>(std::move(compiled));
  return Ok{};
}

}  // namespace quarry
