#include "extract/extractors/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "model/nearest_name.h"

namespace quarry::extract {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxFaults = 50;

json::array base_location() { return {"body", "feature_extractor", "parameters"}; }

std::vector<std::string> names_of(const json::object& members) {
  std::vector<std::string> out;
  for (const auto& member : members) out.emplace_back(member.key());
  return out;
}

std::string_view text_at(const json::object& schema, std::string_view key) {
  const json::value* value = schema.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

bool is_of_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "integer")
    return value.is_int64() || value.is_uint64() ||
           (value.is_double() &&
            value.get_double() == static_cast<double>(static_cast<int64_t>(std::clamp(value.get_double(), -9e15, 9e15))));
  return true;
}

class Checker {
 public:
  json::object object(const json::object& schema, const json::object& given, const json::array& at, int depth) {
    const json::value* known_value = schema.if_contains("properties");
    json::object out;
    if (known_value == nullptr) return given;
    const json::object& known = known_value->get_object();
    for (const auto& entry : given) {
      const json::value* rule = known.if_contains(entry.key());
      if (rule == nullptr) {
        fault("extra_forbidden", at, entry.key(),
              fmt::format("'{}' is not known; the nearest is '{}'", entry.key(), nearest_name(entry.key(), names_of(known))));
      } else if (!entry.value().is_null()) {
        out[entry.key()] = value(rule->get_object(), entry.value(), extended(at, entry.key()), depth + 1);
      }
    }
    for (const auto& entry : known) {
      const json::value* fallback = entry.value().get_object().if_contains("default");
      if (fallback != nullptr && !out.contains(entry.key())) out[entry.key()] = *fallback;
    }
    check_required(schema, out, at);
    return out;
  }

  bool ok() const { return faults_.empty(); }
  Error error() && {
    std::string message = faults_.size() == 1 ? first_ : fmt::format("{} (and {} more)", first_, faults_.size() - 1);
    return {ErrorKind::kValidation, std::move(message), {{"validation_errors", std::move(faults_)}}};
  }

 private:
  static json::array extended(json::array at, json::value step) {
    at.push_back(std::move(step));
    return at;
  }

  void check_required(const json::object& schema, const json::object& object, const json::array& at) {
    const json::value* required = schema.if_contains("required");
    if (required == nullptr) return;
    for (const json::value& name : required->get_array())
      if (!object.contains(name.get_string()))
        fault("missing", at, name.get_string(), fmt::format("'{}' is required", std::string_view(name.get_string())));
  }

  json::value value(const json::object& rule, const json::value& given, const json::array& at, int depth) {
    std::string_view type = text_at(rule, "type");
    if (depth > kMaxDepth || !is_of_type(given, type)) return fault("type_error", at, fmt::format("must be of type {}", type)), nullptr;
    if (const json::value* allowed = rule.if_contains("enum")) {
      const json::array& list = allowed->get_array();
      if (std::find(list.begin(), list.end(), given) == list.end())
        return fault("enum", at, fmt::format("must be one of {}", json::serialize(list))), nullptr;
    }
    if (given.is_number()) return number(rule, given, at);
    if (given.is_string() && rule.contains("minLength") && given.get_string().size() < rule.at("minLength").to_number<size_t>())
      fault("string_too_short", at, "must not be empty");
    if (given.is_string() && rule.contains("maxLength") && given.get_string().size() > rule.at("maxLength").to_number<size_t>())
      fault("string_too_long", at, fmt::format("must have at most {} bytes", json::serialize(rule.at("maxLength"))));
    if (given.is_array() && rule.contains("items")) return array(rule.at("items").get_object(), given.get_array(), at, depth);
    if (given.is_object()) return object(rule, given.get_object(), at, depth);
    return given;
  }

  json::value number(const json::object& rule, const json::value& given, const json::array& at) {
    const double number = given.to_number<double>();
    if (const json::value* least = rule.if_contains("minimum"); least != nullptr && number < least->to_number<double>())
      fault("greater_than_equal", at, fmt::format("must be at least {}", json::serialize(*least)));
    if (const json::value* most = rule.if_contains("maximum"); most != nullptr && number > most->to_number<double>())
      fault("less_than_equal", at, fmt::format("must be at most {}", json::serialize(*most)));
    if (text_at(rule, "type") == "integer" && given.is_double()) return static_cast<int64_t>(number);
    return given;
  }

  json::value array(const json::object& rule, const json::array& given, const json::array& at, int depth) {
    json::array out;
    for (size_t i = 0; i < given.size() && faults_.size() < kMaxFaults; ++i)
      out.push_back(value(rule, given[i], extended(at, i), depth + 1));
    return out;
  }

  void fault(std::string_view type, const json::array& at, std::string_view name, std::string message) {
    fault(type, extended(at, json::string(name)), std::move(message));
  }

  void fault(std::string_view type, const json::array& at, std::string message) {
    if (faults_.size() >= kMaxFaults) return;
    std::string path;
    for (size_t i = 2; i < at.size(); ++i)
      path += (path.empty() ? "" : ".") + (at[i].is_string() ? std::string(at[i].get_string()) : json::serialize(at[i]));
    message = path + ": " + message;
    if (first_.empty()) first_ = message;
    faults_.push_back(json::object{{"type", type}, {"location", at}, {"message", std::move(message)}});
  }

  json::array faults_;
  std::string first_;
};

}  // namespace

Result<json::object> check_parameters(const json::object& schema, const json::object& given) {
  Checker checker;
  json::object checked = checker.object(schema, given, base_location(), 0);
  if (!checker.ok()) return std::move(checker).error();
  return checked;
}

Error bad_parameter(std::string_view name, std::string message) {
  json::array at = base_location();
  at.push_back(json::string(name));
  return validation_error("value_error", std::move(at), fmt::format("parameters.{}: {}", name, message));
}

}  // namespace quarry::extract
