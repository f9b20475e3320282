#include <fmt/format.h>

#include <algorithm>

#include "pipeline/pipeline.h"

namespace quarry::pipeline {

std::string blob_key(std::string_view internal_id, std::string_view namespace_id, std::string_view bucket_id, std::string_view object_id,
                     std::string_view blob_id) {
  return fmt::format("{}/{}/blobs/{}/{}/{}", internal_id, namespace_id, bucket_id, object_id, blob_id);
}

std::string table_prefix(std::string_view internal_id, std::string_view namespace_id, std::string_view table_id) {
  return fmt::format("{}/{}/{}", internal_id, namespace_id, table_id);
}

mvs::TableSpec table_spec(const Collection& collection, std::string_view internal_id) {
  mvs::TableSpec spec;
  spec.table_id = collection.table_id();
  spec.prefix = table_prefix(internal_id, collection.namespace_id, spec.table_id);
  spec.tier = collection.is_cold ? mvs::Tier::kCold : mvs::Tier::kActive;
  spec.text_language = mvs::parse_text_language(collection.text_language).value_or("none");  // texts without a stemmer: words as they are
  for (const CollectionVector& vector : collection.vectors) {
    // A collection's body was checked when it was stored; a metric or type that is not known any more falls back to the default.
    mvs::Metric metric = mvs::parse_metric(vector.metric).value_or(mvs::Metric::kCosine);
    mvs::VectorKind kind = mvs::parse_vector_kind(vector.type).value_or(mvs::VectorKind::kDense);
    spec.vectors.push_back({vector.name, vector.feature_uri, vector.dimension, metric, kind});
  }
  // A column stays as it was made: a schema may name the field later, and an index may ask for another type.
  const auto is_indexed = [&](const std::string& name) {
    return std::any_of(collection.payload_indexes.begin(), collection.payload_indexes.end(),
                       [&](const auto& i) { return i.field == name; });
  };
  for (const auto& [name, field] : collection.output_schema.properties) spec.fields.push_back({name, field.type, is_indexed(name)});
  for (const PayloadIndex& index : collection.payload_indexes)
    if (!collection.output_schema.properties.contains(index.field)) spec.fields.push_back({index.field, index.type, true});
  return spec;
}

}  // namespace quarry::pipeline
