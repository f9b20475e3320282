#include "model/schema.h"

#include <fmt/format.h>

#include <array>

namespace quarry {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxFields = 1'000;
constexpr size_t kMaxNameLength = 256;

constexpr std::array<std::pair<FieldType, std::string_view>, 16> kTypes{{
    {FieldType::kString, "string"},
    {FieldType::kNumber, "number"},
    {FieldType::kInteger, "integer"},
    {FieldType::kFloat, "float"},
    {FieldType::kBoolean, "boolean"},
    {FieldType::kObject, "object"},
    {FieldType::kArray, "array"},
    {FieldType::kDate, "date"},
    {FieldType::kDatetime, "datetime"},
    {FieldType::kText, "text"},
    {FieldType::kImage, "image"},
    {FieldType::kAudio, "audio"},
    {FieldType::kVideo, "video"},
    {FieldType::kPdf, "pdf"},
    {FieldType::kExcel, "excel"},
    {FieldType::kDocumentReference, "document_reference"},
}};

json::array extended(const json::array& location, json::value step) {
  json::array out = location;
  out.push_back(std::move(step));
  return out;
}

class Parser {
 public:
  using Fields = std::map<std::string, FieldSchema>;

  Result<Fields> fields(const json::object& source, const json::array& at, int depth) {
    if (depth > kMaxDepth) return validation_error("schema_too_deep", at, fmt::format("schemas may be nested at most {} deep", kMaxDepth));
    Fields out;
    for (const auto& member : source) {
      std::string name(member.key());
      json::array here = extended(at, json::string(name));
      if (name.empty() || name.size() > kMaxNameLength)
        return validation_error("value_error", here, fmt::format("a field name has 1 to {} bytes", kMaxNameLength));
      if (++count_ > kMaxFields)
        return validation_error("schema_too_large", at, fmt::format("a schema may have at most {} fields", kMaxFields));
      QUARRY_ASSIGN_OR_RETURN(FieldSchema parsed, field(member.value(), here, depth));
      out.emplace(std::move(name), std::move(parsed));
    }
    return out;
  }

  // "required": ["a", "b"] beside the properties, as JSON Schema has it.
  static Status apply_required(const json::value& names, Fields& fields, const json::array& at) {
    if (!names.is_array()) return validation_error("type_error", at, "'required' must be true, false or a list of field names");
    for (const json::value& name : names.get_array()) {
      auto found = name.is_string() ? fields.find(std::string(name.get_string())) : fields.end();
      if (found == fields.end())
        return validation_error("value_error", at,
                                fmt::format("'required' names {}, which is no field of the schema", json::serialize(name)));
      found->second.required = true;
    }
    return Ok{};
  }

 private:
  Result<FieldSchema> field(const json::value& source, const json::array& at, int depth) {
    if (!source.is_object()) return validation_error("type_error", at, "a field's schema must be an object with a 'type'");
    const json::object& o = source.get_object();
    const json::value* type = o.if_contains("type");
    if (type == nullptr || !type->is_string()) return validation_error("missing", extended(at, "type"), "a field's schema needs a 'type'");
    FieldSchema out;
    auto parsed = parse_field_type(type->get_string());
    if (!parsed.ok()) return validation_error("enum", extended(at, "type"), parsed.error().message);
    out.type = *parsed;
    for (const auto& member : o) QUARRY_RETURN_IF_ERROR(attribute(member, out, at, depth));
    if (const json::value* required = o.if_contains("required"))
      QUARRY_RETURN_IF_ERROR(required_attribute(*required, out, extended(at, "required")));
    return out;
  }

  Status attribute(const json::key_value_pair& member, FieldSchema& out, const json::array& at, int depth) {
    std::string_view key = member.key();
    const json::value& value = member.value();
    if (key == "type" || key == "required" || value.is_null()) return Ok{};
    json::array here = extended(at, json::string(key));
    if (key == "default") {
      out.default_value = value;
    } else if (key == "enum") {
      if (!value.is_array()) return validation_error("type_error", here, "'enum' must be a list");
      out.enum_values = value.get_array();
    } else if (key == "items") {
      if (depth >= kMaxDepth)
        return validation_error("schema_too_deep", here, fmt::format("schemas may be nested at most {} deep", kMaxDepth));
      QUARRY_ASSIGN_OR_RETURN(FieldSchema items, field(value, here, depth + 1));
      out.items = std::make_shared<FieldSchema>(std::move(items));
    } else if (key == "properties") {
      if (!value.is_object()) return validation_error("type_error", here, "'properties' must be an object");
      QUARRY_ASSIGN_OR_RETURN(out.properties, fields(value.get_object(), here, depth + 1));
    } else {
      out.annotations[key] = value;
    }
    return Ok{};
  }

  static Status required_attribute(const json::value& required, FieldSchema& out, const json::array& at) {
    if (required.is_null()) return Ok{};
    if (!required.is_bool()) return apply_required(required, out.properties, at);
    out.required = required.get_bool();
    return Ok{};
  }

  size_t count_ = 0;
};

json::object field_to_json(const FieldSchema& field);

json::object fields_to_json(const std::map<std::string, FieldSchema>& fields) {
  json::object out;
  for (const auto& [name, field] : fields) out[name] = field_to_json(field);
  return out;
}

json::object field_to_json(const FieldSchema& field) {
  json::object out{{"type", to_string(field.type)}, {"required", field.required}};
  if (!field.default_value.is_null()) out["default"] = field.default_value;
  if (!field.enum_values.empty()) out["enum"] = field.enum_values;
  if (field.items) out["items"] = field_to_json(*field.items);
  if (!field.properties.empty()) out["properties"] = fields_to_json(field.properties);
  for (const auto& member : field.annotations) out[member.key()] = member.value();
  return out;
}

}  // namespace

std::string_view to_string(FieldType type) {
  for (const auto& [candidate, name] : kTypes)
    if (candidate == type) return name;
  return "unknown";
}

Result<FieldType> parse_field_type(std::string_view name) {
  std::string known;
  for (const auto& [type, candidate] : kTypes) {
    if (candidate == name) return type;
    known.append(known.empty() ? "" : ", ").append(candidate);
  }
  return bad_request(fmt::format("unknown field type '{}'; known: {}", clip(name, 64), known));
}

bool is_media(FieldType type) {
  return type == FieldType::kImage || type == FieldType::kAudio || type == FieldType::kVideo || type == FieldType::kPdf ||
         type == FieldType::kExcel;
}

Result<ObjectSchema> parse_schema(const json::value& source) {
  if (source.is_null()) return ObjectSchema{};
  if (!source.is_object())
    return validation_error("type_error", {}, "a schema must be an object: {\"properties\": {name: {\"type\": ...}}}");
  const json::object& top = source.get_object();
  const json::value* wrapped = top.if_contains("properties");
  // A bare map may have a field called "properties": its schema then has a type, which is a string.
  const json::object* inner = wrapped == nullptr ? nullptr : wrapped->if_object();
  bool is_wrapped = inner != nullptr && !(inner->contains("type") && inner->at("type").is_string());
  if (wrapped != nullptr && inner == nullptr) return validation_error("type_error", {"properties"}, "'properties' must be an object");
  json::array at = is_wrapped ? json::array{"properties"} : json::array{};
  ObjectSchema out;
  QUARRY_ASSIGN_OR_RETURN(out.properties, Parser().fields(is_wrapped ? *inner : top, at, 1));
  if (const json::value* required = is_wrapped ? top.if_contains("required") : nullptr; required != nullptr && !required->is_null())
    QUARRY_RETURN_IF_ERROR(Parser::apply_required(*required, out.properties, {"required"}));
  return out;
}

json::object to_json(const ObjectSchema& schema) { return {{"properties", fields_to_json(schema.properties)}}; }

}  // namespace quarry
