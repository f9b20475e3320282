#include "http/query.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "http/percent.h"
#include "http/suggest.h"
#include "http/validator.h"

namespace quarry::http {
namespace {

json::value parse_number(std::string_view text, bool integer) {
  const char* end = text.data() + text.size();
  int64_t whole = 0;
  if (auto [p, ec] = std::from_chars(text.data(), end, whole); ec == std::errc() && p == end) return whole;
  double real = 0;
  if (auto [p, ec] = std::from_chars(text.data(), end, real); !integer && ec == std::errc() && p == end && std::isfinite(real)) return real;
  return json::string(text);  // the validator says what is wrong with it
}

json::value parse_bool(std::string_view text) {
  for (std::string_view yes : {"true", "True", "TRUE", "1", "yes", "on"})
    if (text == yes) return true;
  for (std::string_view no : {"false", "False", "FALSE", "0", "no", "off"})
    if (text == no) return false;
  return json::string(text);
}

void append_items(json::array& array, std::string_view text, const Schema& schema) {
  static const Schema any;
  const Schema& item = schema.items != nullptr ? *schema.items : any;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) array.push_back(parse_scalar(text.substr(begin, end - begin), item));
    begin = end + 1;
  }
}

const Parameter* find_parameter(const std::vector<Parameter>& parameters, std::string_view name) {
  // "ids[]" is how some clients write a repeated parameter.
  if (name.ends_with("[]")) name.remove_suffix(2);
  for (const Parameter& parameter : parameters)
    if (parameter.name == name) return &parameter;
  return nullptr;
}

json::object unknown_parameter(std::string_view name, const std::vector<Parameter>& parameters) {
  std::vector<std::string_view> known;
  for (const Parameter& parameter : parameters) known.push_back(parameter.name);
  std::string_view near = nearest_name(name, known);
  std::string message = near.empty() ? "unknown query parameter" : fmt::format("unknown query parameter; did you mean '{}'?", near);
  return {{"type", "extra_forbidden"}, {"location", json::array{"query", name}}, {"message", message}};
}

void put(json::object& out, const Parameter& parameter, std::string_view text) {
  if ((parameter.schema->types & kArrayType) == 0) {
    out[parameter.name] = parse_scalar(text, *parameter.schema);
    return;
  }
  json::value& slot = out[parameter.name];
  if (!slot.is_array()) slot.emplace_array();
  append_items(slot.get_array(), text, *parameter.schema);
}

Status check(json::object& out, const std::vector<Parameter>& parameters, json::array& errors) {
  for (const Parameter& parameter : parameters) {
    json::value* value = out.if_contains(parameter.name);
    if (value == nullptr) {
      if (parameter.required)
        errors.push_back(json::object{{"type", "missing"}, {"location", json::array{"query", parameter.name}}, {"message", "is required"}});
      continue;
    }
    Status status = validate_value(*parameter.schema, *value, "query");
    if (status.ok()) continue;
    Error error = std::move(status).error();
    for (json::value& item : error.details.at("validation_errors").as_array()) {
      json::array& location = item.as_object().at("location").as_array();
      location.insert(location.begin() + 1, json::value(parameter.name));
      errors.push_back(std::move(item));
    }
  }
  if (!errors.empty()) return make_validation_error(std::move(errors));
  return Ok{};
}

}  // namespace

json::value parse_scalar(std::string_view text, const Schema& schema) {
  uint8_t types = schema.types;
  for (const Schema* branch : schema.any_of) types |= branch->types;
  if ((types & kStringType) != 0 || types == kAnyType) return json::string(text);
  if ((types & kNumberType) != 0) return parse_number(text, false);
  if ((types & kIntegerType) != 0) return parse_number(text, true);
  if ((types & kBoolType) != 0) return parse_bool(text);
  return json::string(text);
}

Result<json::object> parse_query(std::string_view query, const std::vector<Parameter>& parameters) {
  json::object out;
  json::array errors;
  size_t count = 0;
  std::string name, value;
  for (size_t begin = 0; begin < query.size();) {
    size_t end = std::min(query.find('&', begin), query.size());
    std::string_view pair = query.substr(begin, end - begin);
    begin = end + 1;
    if (pair.empty()) continue;
    if (++count > kMaxQueryParameters) return bad_request(fmt::format("more than {} query parameters", kMaxQueryParameters));
    size_t equals = std::min(pair.find('='), pair.size());
    name.clear();
    value.clear();
    bool decoded =
        percent_decode(pair.substr(0, equals), true, name) && percent_decode(pair.substr(std::min(equals + 1, pair.size())), true, value);
    if (!decoded) return bad_request("the query string is not percent-encoded UTF-8");
    if (const Parameter* parameter = find_parameter(parameters, name))
      put(out, *parameter, value);
    else if (errors.size() < kMaxReportedErrors)
      errors.push_back(unknown_parameter(name, parameters));
  }
  QUARRY_RETURN_IF_ERROR(check(out, parameters, errors));
  return out;
}

}  // namespace quarry::http
