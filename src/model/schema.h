// Field schemas of buckets, collections and retriever inputs: {"properties": {name: {type, required, enum, items, properties, default}}}.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace quarry {

enum class FieldType {
  kString,
  kNumber,
  kInteger,
  kFloat,
  kBoolean,
  kObject,
  kArray,
  kDate,
  kDatetime,
  kText,
  kImage,
  kAudio,
  kVideo,
  kPdf,
  kExcel,
  kDocumentReference,
};

std::string_view to_string(FieldType type);
Result<FieldType> parse_field_type(std::string_view name);
bool is_media(FieldType type);  // image, audio, video, pdf, excel: bytes, not JSON

struct FieldSchema {
  FieldType type = FieldType::kString;
  bool required = false;
  json::value default_value;
  json::array enum_values;
  std::shared_ptr<FieldSchema> items;             // of arrays
  std::map<std::string, FieldSchema> properties;  // of objects
  json::object annotations;                       // description, examples and whatever else was given; kept and shown, not checked
};

struct ObjectSchema {
  std::map<std::string, FieldSchema> properties;
};

// Accepts {"properties": {...}} and the bare map; `required` also as a list of names beside `properties`. Depth limit 16, 1,000 fields.
// Errors: 422 with the location inside the schema.
Result<ObjectSchema> parse_schema(const json::value& source);
json::object to_json(const ObjectSchema& schema);

// 422 naming each field that is missing, ill-typed or outside its enum (the first 100). Fields the schema does not name are allowed. Fills
// defaults; null means absent. A media field or a document reference takes a string or an object: what they point at is not read here.
Status validate(const ObjectSchema& schema, json::object& values, std::string_view location);

}  // namespace quarry
