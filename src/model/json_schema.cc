#include "model/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/filter.h"
#include "model/nearest_name.h"

namespace quarry {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxReported = 100;
constexpr size_t kMaxShown = 300;  // bytes of a value or list quoted in a message

std::string path_of(const json::array& at) {
  std::string path;
  for (size_t i = 0; i < at.size(); ++i) {
    if (i == 0 && at[i].is_string() && (at[i].get_string() == "body" || at[i].get_string() == "query")) continue;
    if (!path.empty()) path.push_back('.');
    path += at[i].is_string() ? std::string(at[i].get_string()) : json::serialize(at[i]);
  }
  return path;
}

std::string_view article_kind(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "an integer";
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "a value";
}

bool is_whole(const json::value& v) {
  if (v.is_int64() || v.is_uint64()) return true;
  return v.is_double() && std::abs(v.get_double()) < 9007199254740992.0 && v.get_double() == std::trunc(v.get_double());
}

bool has_type(std::string_view type, const json::value& v) {
  if (type == "string") return v.is_string();
  if (type == "integer") return is_whole(v);
  if (type == "number") return v.is_number();
  if (type == "boolean") return v.is_bool();
  if (type == "array") return v.is_array();
  if (type == "object") return v.is_object();
  return type == "null" && v.is_null();
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string shown(const json::value& v) {
  std::string text = json::serialize(v);
  if (text.size() > kMaxShown) text.resize(kMaxShown);
  return text;
}

const json::value* keyword(const json::object& schema, std::string_view name) { return schema.if_contains(name); }

class SchemaChecker {
 public:
  SchemaChecker(const json::object& root, const SchemaOptions& options) : root_(root), options_(options) {}

  void check(const json::object& written, json::value& value, json::array& at, int depth) {
    if (depth > kMaxDepth) return report("too_deep", at, fmt::format("is nested more than {} deep", kMaxDepth));
    const json::object& schema = resolve(written);
    if (options_.allow_templates && value.is_string() && value.get_string().find("{{") != json::string::npos) return;
    if (const json::value* options = keyword(schema, "anyOf")) return any_of(options->as_array(), value, at, depth);
    if (!check_type(schema, value, at) || !check_values(schema, value, at)) return;
    if (value.is_number()) check_bounds(schema, value, at);
    if (value.is_string()) check_length(schema, code_points(value.get_string()), "minLength", "maxLength", "characters", at);
    if (value.is_array()) check_array(schema, value.get_array(), at, depth);
    if (value.is_object()) check_object(schema, value.get_object(), at, depth);
  }

  Status finish() && {
    if (problems_.empty()) return Ok{};
    std::string message(problems_.front().at("message").as_string());
    if (total_ > 1) message += fmt::format(" (and {} more)", total_ - 1);
    return Error{ErrorKind::kValidation, std::move(message), json::object{{"validation_errors", std::move(problems_)}}};
  }

  size_t total() const { return total_; }

 private:
  const json::object& resolve(const json::object& schema) const {
    const json::value* ref = keyword(schema, "$ref");
    if (ref == nullptr) return schema;
    std::string_view name = ref->as_string();
    QUARRY_CHECK(name.starts_with("#/$defs/"));
    return root_.at("$defs").as_object().at(name.substr(8)).as_object();
  }

  bool check_type(const json::object& schema, json::value& value, const json::array& at) {
    const json::value* type = keyword(schema, "type");
    if (type == nullptr) return true;
    if (type->is_string()) {
      if (!has_type(type->get_string(), value)) {
        report("type_error", at, fmt::format("must be of type {}, not {}", std::string_view(type->get_string()), article_kind(value)));
        return false;
      }
      if (type->get_string() == "integer" && value.is_double()) value = static_cast<int64_t>(value.get_double());
      return true;
    }
    for (const json::value& one : type->as_array())
      if (has_type(one.as_string(), value)) return true;
    report("type_error", at, fmt::format("must be of one of the types {}, not {}", json::serialize(*type), article_kind(value)));
    return false;
  }

  bool check_values(const json::object& schema, const json::value& value, const json::array& at) {
    if (const json::value* only = keyword(schema, "const"); only != nullptr && compare_json(*only, value) != 0) {
      report("enum", at, "must be " + shown(*only));
      return false;
    }
    const json::value* allowed = keyword(schema, "enum");
    if (allowed == nullptr) return true;
    for (const json::value& one : allowed->as_array())
      if (compare_json(one, value) == 0) return true;
    report("enum", at, fmt::format("must be one of {}, not {}", shown(*allowed), shown(value)));
    return false;
  }

  void check_bounds(const json::object& schema, const json::value& value, const json::array& at) {
    auto bound = [&](std::string_view name, auto wrong, std::string_view words) {
      const json::value* limit = keyword(schema, name);
      if (limit != nullptr && wrong(compare_json(value, *limit)))
        report("value_error", at, fmt::format("must be {} {}", words, shown(*limit)));
    };
    bound(
        "minimum", [](int c) { return c < 0; }, "at least");
    bound(
        "maximum", [](int c) { return c > 0; }, "at most");
    bound(
        "exclusiveMinimum", [](int c) { return c <= 0; }, "greater than");
    bound(
        "exclusiveMaximum", [](int c) { return c >= 0; }, "less than");
  }

  void check_length(const json::object& schema, size_t length, std::string_view least, std::string_view most, std::string_view unit,
                    const json::array& at) {
    if (const json::value* limit = keyword(schema, least); limit != nullptr && length < limit->to_number<uint64_t>())
      report("value_error", at, fmt::format("must have at least {} {}", shown(*limit), unit));
    if (const json::value* limit = keyword(schema, most); limit != nullptr && length > limit->to_number<uint64_t>())
      report("value_error", at, fmt::format("must have at most {} {}", shown(*limit), unit));
  }

  void check_array(const json::object& schema, json::array& values, json::array& at, int depth) {
    check_length(schema, values.size(), "minItems", "maxItems", "items", at);
    const json::value* items = keyword(schema, "items");
    if (items == nullptr) return;
    for (size_t i = 0; i < values.size() && problems_.size() < kMaxReported; ++i) {
      at.push_back(i);
      check(items->as_object(), values[i], at, depth + 1);
      at.pop_back();
    }
  }

  void check_object(const json::object& schema, json::object& members, json::array& at, int depth) {
    static const json::object kNone;
    const json::value* listed = keyword(schema, "properties");
    const json::object& properties = listed != nullptr ? listed->as_object() : kNone;
    drop_nulls(properties, members);
    for (auto& member : members) {
      at.push_back(json::string(member.key()));
      if (const json::value* known = properties.if_contains(member.key())) {
        check(known->as_object(), member.value(), at, depth + 1);
      } else if (listed != nullptr || schema.contains("additionalProperties")) {
        check_unlisted(schema, properties, member, at, depth);
      }
      at.pop_back();
      if (problems_.size() >= kMaxReported) return;
    }
    fill_absent(schema, properties, members, at);
  }

  void drop_nulls(const json::object& properties, json::object& members) const {
    for (const auto& property : properties) {
      const json::value* value = members.if_contains(property.key());
      if (value != nullptr && value->is_null() && !takes_null(property.value().as_object())) members.erase(property.key());
    }
  }

  bool takes_null(const json::object& written) const {
    const json::object& schema = resolve(written);
    const json::value* type = keyword(schema, "type");
    if (type == nullptr) return false;  // null means absent unless the schema names it
    if (type->is_string()) return type->get_string() == "null";
    return std::any_of(type->as_array().begin(), type->as_array().end(), [](const json::value& t) { return t.as_string() == "null"; });
  }

  void check_unlisted(const json::object& schema, const json::object& properties, json::key_value_pair& member, json::array& at,
                      int depth) {
    const json::value* extra = keyword(schema, "additionalProperties");
    if (extra != nullptr && extra->is_object()) return check(extra->get_object(), member.value(), at, depth + 1);
    if (extra != nullptr && extra->is_bool() && extra->get_bool()) return;
    std::vector<std::string> known;
    for (const auto& property : properties) known.emplace_back(property.key());
    std::string_view nearest = nearest_name(member.key(), known);
    report("unknown_field", at,
           nearest.empty() ? std::string("is not known here") : fmt::format("is not known here; did you mean '{}'?", nearest));
  }

  void fill_absent(const json::object& schema, const json::object& properties, json::object& members, json::array& at) {
    if (options_.fill_defaults) {
      for (const auto& property : properties) {
        const json::value* fallback = keyword(resolve(property.value().as_object()), "default");
        if (const json::value* own = keyword(property.value().as_object(), "default")) fallback = own;
        if (fallback != nullptr && !members.contains(property.key())) members[property.key()] = *fallback;
      }
    }
    const json::value* required = keyword(schema, "required");
    if (required == nullptr) return;
    for (const json::value& name : required->as_array()) {
      if (members.contains(name.as_string())) continue;
      at.push_back(name);
      report("missing", at, "is required");
      at.pop_back();
    }
  }

  // The first alternative that fits. If none does, the problems of the one that fits best by type, else the list of types.
  void any_of(const json::array& alternatives, json::value& value, json::array& at, int depth) {
    std::vector<const json::object*> candidates;
    for (const json::value& alternative : alternatives)
      if (const json::object& schema = resolve(alternative.as_object()); may_fit(schema, value)) candidates.push_back(&schema);
    if (candidates.size() == 1 && has_one_type(*candidates[0])) return check(*candidates[0], value, at, depth + 1);
    std::optional<SchemaChecker> closest;
    for (const json::object* schema : candidates) {
      json::value copy = value;  // a check fills defaults in
      SchemaChecker attempt(root_, options_);
      attempt.check(*schema, copy, at, depth + 1);
      if (attempt.total() == 0) {
        value = std::move(copy);
        return;
      }
      if (has_one_type(*schema) && (!closest || attempt.total() < closest->total())) closest.emplace(std::move(attempt));
    }
    if (closest) return take(*closest);
    report("type_error", at,
           fmt::format("must be of one of the types {}, not {}", fmt::join(types_of(alternatives), ", "), article_kind(value)));
  }

  static bool has_one_type(const json::object& schema) {
    const json::value* type = keyword(schema, "type");
    return type != nullptr && type->is_string();
  }

  static bool may_fit(const json::object& schema, const json::value& value) {
    return !has_one_type(schema) || has_type(schema.at("type").get_string(), value);
  }

  std::vector<std::string> types_of(const json::array& alternatives) const {
    std::vector<std::string> types;
    for (const json::value& alternative : alternatives)
      if (const json::value* type = keyword(resolve(alternative.as_object()), "type")) types.push_back(json::serialize(*type));
    return types;
  }

  void take(SchemaChecker& other) {
    total_ += other.total_;
    for (json::value& problem : other.problems_)
      if (problems_.size() < kMaxReported) problems_.push_back(std::move(problem));
  }

  void report(std::string_view type, const json::array& at, std::string_view what) {
    ++total_;
    if (problems_.size() >= kMaxReported) return;
    problems_.push_back(json::object{{"type", type}, {"location", at}, {"message", fmt::format("field '{}' {}", path_of(at), what)}});
  }

  const json::object& root_;
  const SchemaOptions& options_;
  json::array problems_;
  size_t total_ = 0;
};

}  // namespace

Status check_json(const json::object& schema, json::value& value, const json::array& location, const SchemaOptions& options) {
  SchemaChecker checker(schema, options);
  json::array at = location;
  checker.check(schema, value, at, 0);
  return std::move(checker).finish();
}

Status check_json(const json::object& schema, json::object& value, const json::array& location, const SchemaOptions& options) {
  json::value wrapped(std::move(value));
  Status status = check_json(schema, wrapped, location, options);
  value = std::move(wrapped.get_object());
  return status;
}

}  // namespace quarry
