#include "service/extractor_view.h"

#include <fmt/format.h>

#include "model/feature_uri.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

std::string icon_of(const std::vector<std::string>& types) {
  if (types.size() != 1) return "box";
  if (types[0] == "image" || types[0] == "video") return types[0];
  return types[0] == "audio" ? "music" : "type";
}

json::object input_schema(const std::vector<std::string>& types) {
  json::object properties;
  for (const auto& type : types)
    properties[type] = json::object{{"type", "string"}, {"description", fmt::format("A property of type {}", type)}};
  return {{"type", "object"}, {"properties", std::move(properties)}};
}

json::object defaults_of(const json::object& parameter_schema) {
  json::object defaults;
  if (const json::object* properties = object_member(parameter_schema, "properties"))
    for (const auto& property : *properties)
      if (const json::object* schema = property.value().if_object())
        if (const json::value* value = schema->if_contains("default")) defaults[property.key()] = *value;
  return defaults;
}

json::array index_definitions(const std::vector<extract::FeatureOutput>& outputs, std::string_view made_by) {
  json::array out;
  for (const auto& output : outputs)
    out.push_back(json::object{{"feature_uri", output.feature_uri},
                               {"name", output.name},
                               {"description", fmt::format("Vectors of {} dimensions made by {}", output.dimension, made_by)},
                               {"type", "single"},
                               {"index", vector_index_of(output.name, output.dimension, output.metric, made_by)}});
  return out;
}

// What it gives with default parameters; a model that is missing is said so.
void add_outputs(const extract::Extractor& extractor, const Dependencies& deps, json::object& shown) {
  std::string made_by = fmt::format("{}@{}", extractor.name(), extractor.version());
  ExtractorConfig config;
  config.name = extractor.name();
  config.version = extractor.version();
  auto bound = extractor.bind(config, *deps.models);
  shown["validation_status"] = bound.ok() ? "ready" : bound.error().message;
  shown["realtime_available"] = bound.ok();
  shown["deployed"] = bound.ok();
  json::object output = bound.ok() ? to_json((*bound)->output_fields()) : json::object{};
  output["type"] = "object";
  shown["output_schema"] = std::move(output);
  shown["required_vector_indexes"] = bound.ok() ? index_definitions((*bound)->outputs(), made_by) : json::array{};
  if (bound.ok() && !(*bound)->outputs().empty()) shown["feature_uri"] = (*bound)->outputs().front().feature_uri;
}

}  // namespace

json::object vector_index_of(const CollectionVector& vector, std::string_view made_by) {
  if (vector.type == "dense") return vector_index_of(vector.name, vector.dimension, vector.metric, made_by);
  json::object out{{"name", vector.name},
                   {"description", fmt::format("{} vectors made by {}", vector.type == "sparse" ? "Sparse" : "Multi-dense", made_by)},
                   {"type", vector.type},
                   {"distance", vector.metric},
                   {"datatype", "float32"},
                   {"inference_name", vector.name}};
  if (vector.dimension > 0) out["dimensions"] = vector.dimension;
  if (vector.type == "sparse") out["purpose"] = "sparse";
  return out;
}

json::object vector_index_of(const std::string& name, uint32_t dimension, std::string_view metric, std::string_view made_by) {
  return {{"name", name},
          {"description", fmt::format("Dense vectors of {} dimensions made by {}", dimension, made_by)},
          {"dimensions", dimension},
          {"type", "dense"},
          {"distance", metric},
          {"datatype", "float32"},
          {"inference_name", name}};
}

json::object show_extractor(const extract::Extractor& extractor, const Dependencies& deps) {
  auto types = extractor.input_types();
  json::object shown{{"feature_extractor_name", extractor.name()}, {"version", extractor.version()}, {"source", "builtin"}};
  shown["feature_extractor_id"] = fmt::format("{}_{}", extractor.name(), extractor.version());
  shown["description"] = extractor.description();
  shown["icon"] = icon_of(types);
  shown["category"] = types.size() == 1 ? types.front() : "general";
  shown["input_schema"] = input_schema(types);
  shown["parameter_schema"] = extractor.parameter_schema();
  shown["default_parameters"] = defaults_of(extractor.parameter_schema());
  json::object max_inputs, expected;
  for (const auto& type : types) max_inputs[type] = 1, expected[type] = type;
  shown["supported_input_types"] = to_array(types);
  shown["max_inputs"] = std::move(max_inputs);
  shown["expected_input_types"] = std::move(expected);
  shown["required_payload_indexes"] = json::array{};
  add_outputs(extractor, deps, shown);
  return shown;
}

Result<const extract::Extractor*> find_listed_extractor(std::string_view identifier) {
  ExtractorName name = normalize_extractor(identifier, "");
  auto found = extract::find_extractor(name.name, name.version);
  if (found.ok()) return found;
  return Error{ErrorKind::kNotFound, found.error().message, found.error().details};
}

}  // namespace quarry::service
