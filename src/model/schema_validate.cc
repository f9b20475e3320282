// Checks values against a schema.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "model/filter.h"
#include "model/schema.h"

namespace quarry {
namespace {

constexpr size_t kMaxReported = 100;

bool is_whole(const json::value& v) {
  if (v.is_int64() || v.is_uint64()) return true;
  return v.is_double() && std::abs(v.get_double()) < 9007199254740992.0 && v.get_double() == std::trunc(v.get_double());
}

bool is_time(const json::value& v, bool date_only) {
  if (!v.is_string()) return false;
  std::string_view text = v.get_string();
  return parse_timestamp(text).ok() && (!date_only || text.size() == 10);
}

bool has_type(FieldType type, const json::value& v) {
  switch (type) {
    case FieldType::kString:
    case FieldType::kText: return v.is_string();
    case FieldType::kNumber:
    case FieldType::kFloat: return v.is_number();
    case FieldType::kInteger: return is_whole(v);
    case FieldType::kBoolean: return v.is_bool();
    case FieldType::kObject: return v.is_object();
    case FieldType::kArray: return v.is_array();
    case FieldType::kDate: return is_time(v, true);
    case FieldType::kDatetime: return is_time(v, false);
    case FieldType::kImage:
    case FieldType::kAudio:
    case FieldType::kVideo:
    case FieldType::kPdf:
    case FieldType::kExcel:
    case FieldType::kDocumentReference: return v.is_string() || v.is_object();
  }
  return false;
}

std::string_view expectation(FieldType type) {
  switch (type) {
    case FieldType::kDate: return "date (YYYY-MM-DD)";
    case FieldType::kDatetime: return "datetime (ISO 8601)";
    default: return to_string(type);
  }
}

std::string_view kind_name(const json::value& v) {
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

class Checker {
 public:
  using Fields = std::map<std::string, FieldSchema>;

  void object(const Fields& fields, json::object& values, json::array& at) {
    for (const auto& [name, field] : fields) {
      json::value* v = values.if_contains(name);
      at.push_back(json::string(name));
      if (v == nullptr || v->is_null()) {
        absent(field, values, name, at);
      } else {
        value(field, *v, at);
      }
      at.pop_back();
    }
  }

  Status finish() && {
    if (problems_.empty()) return Ok{};
    std::string message(problems_.front().at("message").as_string());
    if (total_ > 1) message += fmt::format(" (and {} more)", total_ - 1);
    return Error{ErrorKind::kValidation, std::move(message), json::object{{"validation_errors", std::move(problems_)}}};
  }

 private:
  void absent(const FieldSchema& field, json::object& values, const std::string& name, const json::array& at) {
    if (!field.default_value.is_null()) {
      values[name] = field.default_value;
    } else if (field.required) {
      report("missing", at, "is required");
    }
  }

  void value(const FieldSchema& field, json::value& v, json::array& at) {
    if (!has_type(field.type, v))
      return report("type_error", at, fmt::format("must be of type {}, not {}", expectation(field.type), kind_name(v)));
    if (field.type == FieldType::kInteger && v.is_double()) v = static_cast<int64_t>(v.get_double());
    auto equal = [&](const json::value& allowed) { return compare_json(allowed, v) == 0; };
    if (!field.enum_values.empty() && std::none_of(field.enum_values.begin(), field.enum_values.end(), equal))
      return report("enum", at, fmt::format("must be one of {}", clip(json::serialize(field.enum_values), 500)));
    if (field.type == FieldType::kObject) object(field.properties, v.get_object(), at);
    if (field.type == FieldType::kArray && field.items) elements(*field.items, v.get_array(), at);
  }

  void elements(const FieldSchema& items, json::array& values, json::array& at) {
    for (size_t i = 0; i < values.size() && problems_.size() < kMaxReported; ++i) {
      at.push_back(i);
      value(items, values[i], at);
      at.pop_back();
    }
  }

  void report(std::string_view type, const json::array& at, std::string_view what) {
    ++total_;
    if (problems_.size() >= kMaxReported) return;
    std::string field;
    for (size_t i = 1; i < at.size(); ++i) {
      if (i > 1) field.push_back('.');
      field += at[i].is_string() ? std::string(at[i].get_string()) : json::serialize(at[i]);
    }
    problems_.push_back(json::object{{"type", type}, {"location", at}, {"message", fmt::format("field '{}' {}", field, what)}});
  }

  json::array problems_;
  size_t total_ = 0;
};

}  // namespace

Status validate(const ObjectSchema& schema, json::object& values, std::string_view location) {
  Checker checker;
  json::array at{json::string(location)};
  checker.object(schema.properties, values, at);
  return std::move(checker).finish();
}

}  // namespace quarry
