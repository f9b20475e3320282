#include "extract/extractors/passthrough_extractor.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "extract/extractors/parameters.h"
#include "model/collection.h"
#include "model/feature_uri.h"

namespace quarry::extract {
namespace {

constexpr std::string_view kName = "passthrough_extractor", kVersion = "v1";

struct VectorField {
  std::string field;
  FeatureOutput output;
};

json::object make_schema() {
  json::object vector_field{
      {"type", "object"},
      {"required", {"field", "name", "dimensions"}},
      {"properties",
       {{"field", {{"type", "string"}, {"minLength", 1}, {"description", "Property of the source that holds the numbers."}}},
        {"name", {{"type", "string"}, {"minLength", 1}, {"description", "Name of the output: letters, digits, '_', '-', '.'."}}},
        {"dimensions", {{"type", "integer"}, {"minimum", 1}, {"maximum", 65536}}},
        {"distance",
         {{"type", "string"},
          {"enum", {"cosine", "dot", "dotproduct", "dot_product", "euclidean", "euclid", "l2"}},
          {"default", "cosine"}}}}}};
  return {{"type", "object"},
          {"additionalProperties", false},
          {"properties",
           {{"extractor_type", {{"type", "string"}, {"enum", {kName}}, {"default", kName}}},
            {"preserve_metadata",
             {{"type", "boolean"}, {"default", true}, {"description", "Whether 'metadata' is passed on with the other fields."}}},
            {"vector_fields",
             {{"type", "array"},
              {"items", std::move(vector_field)},
              {"default", json::array{}},
              {"description", "Vectors that the source brings along."}}},
            {"row_format", {{"type", "string"}, {"description", "Rows of tabular files; not built."}}}}}};
}

std::string_view metric_of(std::string_view distance) {
  if (distance.starts_with("dot")) return "dot";
  return distance == "cosine" ? "cosine" : "euclidean";
}

Result<std::vector<float>> read_numbers(const json::value& value, const VectorField& wanted, const std::string& source_id) {
  auto fail = [&](std::string what) { return bad_request(fmt::format("source {}: vector field '{}' {}", source_id, wanted.field, what)); };
  const json::array* numbers = value.if_array();
  if (numbers == nullptr) return fail("is not a list of numbers");
  if (numbers->size() != wanted.output.dimension)
    return fail(fmt::format("has {} numbers; the collection's vector '{}' has {} dimensions", numbers->size(), wanted.output.name,
                            wanted.output.dimension));
  std::vector<float> out;
  out.reserve(numbers->size());
  for (const json::value& number : *numbers) {
    if (!number.is_number()) return fail(fmt::format("holds something else than a number at {}", out.size()));
    const auto narrow = static_cast<float>(number.to_number<double>());
    if (!std::isfinite(narrow)) return fail(fmt::format("holds a number at {} that no 32-bit float can", out.size()));
    out.push_back(narrow);
  }
  return out;
}

class BoundPassthroughExtractor : public BoundExtractor {
 public:
  explicit BoundPassthroughExtractor(std::vector<VectorField> fields) : fields_(std::move(fields)) {
    for (const VectorField& field : fields_) outputs_.push_back(field.output);
  }

  const std::vector<FeatureOutput>& outputs() const override { return outputs_; }
  ObjectSchema output_fields() const override { return {}; }

  Result<ExtractOutput> extract(const SourceItem& item, const Runtime&) const override {
    ExtractedDocument document;
    for (const VectorField& field : fields_) {
      QUARRY_ASSIGN_OR_RETURN(std::vector<float> values, read_vector(item, field));
      document.vectors.push_back({field.output.name, std::move(values)});
    }
    ExtractOutput out;
    out.documents.push_back(std::move(document));
    return out;
  }

 private:
  // From the source's fields, or the vector of that name which a source document carries.
  static Result<std::vector<float>> read_vector(const SourceItem& item, const VectorField& field) {
    if (const json::value* value = find_path(item.fields, field.field); value != nullptr && !value->is_null())
      return read_numbers(*value, field, item.source_id);
    for (const DenseVector& vector : item.vectors) {
      if (vector.name != field.field) continue;
      if (vector.values.size() != field.output.dimension)
        return bad_request(fmt::format("source {}: vector '{}' has {} dimensions, not {}", item.source_id, field.field,
                                       vector.values.size(), field.output.dimension));
      return vector.values;
    }
    return bad_request(fmt::format("source {}: vector field '{}' is missing", item.source_id, field.field));
  }

  const std::vector<VectorField> fields_;
  std::vector<FeatureOutput> outputs_;
};

class PassthroughExtractor : public Extractor {
 public:
  std::string_view name() const override { return kName; }
  std::string_view version() const override { return kVersion; }
  std::string_view description() const override { return "Passes a source's fields, and vectors it brings along, on to one document."; }
  std::vector<std::string> input_types() const override {
    return {"string", "text",     "number", "integer", "float", "boolean", "object", "array",
            "date",   "datetime", "image",  "audio",   "video", "pdf",     "excel"};
  }
  const json::object& parameter_schema() const override { return schema_; }

  Result<std::shared_ptr<const BoundExtractor>> bind(const ExtractorConfig& config, ModelRegistry&) const override {
    QUARRY_ASSIGN_OR_RETURN(json::object parameters, check_parameters(schema_, config.parameters));
    if (parameters.contains("row_format"))
      return Error{ErrorKind::kNotImplemented,
                   "parameters.row_format: rows of tabular files are not read yet",
                   {{"parameter", "row_format"}, {"retryable", false}}};
    QUARRY_ASSIGN_OR_RETURN(std::vector<VectorField> fields, read_fields(parameters.at("vector_fields").get_array()));
    return std::shared_ptr<const BoundExtractor>(std::make_shared<BoundPassthroughExtractor>(std::move(fields)));
  }

 private:
  static Result<std::vector<VectorField>> read_fields(const json::array& list) {
    if (list.size() > kMaxVectors) return bad_parameter("vector_fields", fmt::format("a collection has at most {} vectors", kMaxVectors));
    std::vector<VectorField> fields;
    std::set<std::string> names;
    for (const json::value& entry : list) {
      const json::object& object = entry.get_object();
      VectorField field;
      field.field = object.at("field").get_string();
      field.output.name = object.at("name").get_string();
      field.output.dimension = object.at("dimensions").to_number<uint32_t>();
      field.output.metric = metric_of(object.at("distance").get_string());
      field.output.feature_uri = FeatureUri{std::string(kName), std::string(kVersion), field.output.name}.to_string();
      if (!parse_feature_uri(field.output.feature_uri).ok())
        return bad_parameter("vector_fields",
                             fmt::format("the name '{}' holds other characters than letters, digits, '_', '-' and '.'", field.output.name));
      if (!names.insert(field.output.name).second)
        return bad_parameter("vector_fields", fmt::format("the name '{}' stands twice", field.output.name));
      fields.push_back(std::move(field));
    }
    return fields;
  }

  const json::object schema_ = make_schema();
};

}  // namespace

const Extractor& passthrough_extractor() {
  static const PassthroughExtractor extractor;
  return extractor;
}

}  // namespace quarry::extract
