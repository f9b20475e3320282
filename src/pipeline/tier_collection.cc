#include "pipeline/tier_collection.h"

#include <fmt/format.h>

#include "model/feature_uri.h"
#include "model/ids.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

std::optional<Error> refuses_writes(const Collection& collection) {
  if (collection.lifecycle == LifecycleState::kActive || collection.lifecycle == LifecycleState::kCold) return std::nullopt;
  return bad_request(fmt::format("collection '{}' is {} and takes no documents", collection.name, to_string(collection.lifecycle)));
}

Status ensure_table(const Collection& collection, std::string_view internal_id, mvs::VectorStore& vectors) {
  mvs::TableSpec spec = table_spec(collection, internal_id);
  auto attached = vectors.attach_table(spec);
  if (attached.ok() || attached.error().kind != ErrorKind::kNotFound) return attached;
  auto created = vectors.create_table(spec);
  if (created.ok() || created.error().kind != ErrorKind::kAlreadyExists) return created;
  return vectors.attach_table(spec);  // another worker made it meanwhile
}

std::map<std::string, std::string> vector_columns(const Collection& collection, const extract::BoundExtractor& extractor) {
  std::map<std::string, std::string> out;
  for (const extract::FeatureOutput& output : extractor.outputs()) {
    const CollectionVector* vector = collection.find_vector(output.feature_uri);
    out[output.name] = vector ? vector->name : output.name;
  }
  return out;
}

Lineage child_lineage(const SourceLineage& source, const Collection& collection) {
  Lineage out = source.parent;
  bool from_document = !source.collection_id.empty();
  out.source_type = from_document ? "collection" : "bucket";
  out.source_object_id = from_document ? "" : source.source_id;
  out.source_collection_id = source.collection_id;
  out.source_document_id = from_document ? source.source_id : "";
  std::string base = from_document ? source.parent.lineage_path : source.parent.root_bucket_id;
  out.lineage_path = base + "/" + collection.collection_id;
  out.processing_tier = from_document ? source.parent.processing_tier + 1 : 1;
  return out;
}

json::object make_payload(const TierCollection& run, const ReadObject& source, json::object extracted) {
  json::object payload = extract::passthrough_fields(run.collection.extractor, source.item.fields);
  for (auto& [name, value] : extracted) payload[name] = std::move(value);
  for (const auto& [name, value] : source.document_fields)
    if (!payload.contains(name)) payload[name] = value;
  return payload;
}

}  // namespace

Result<std::shared_ptr<const extract::BoundExtractor>> bind_from_catalogue(const ExtractorConfig& config, extract::ModelRegistry& models) {
  QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* extractor, extract::find_extractor(config.name, config.version));
  return extractor->bind(config, models);
}

Result<TierCollection> prepare_collection(const json::object& body, const catalog::Scope& scope, std::string_view internal_id,
                                          mvs::VectorStore& vectors, const BindExtractor& bind) {
  TierCollection run;
  QUARRY_ASSIGN_OR_RETURN(run.collection, parse_collection(body, scope.organization_id, scope.namespace_id));
  run.unusable = refuses_writes(run.collection);
  if (run.unusable) return run;
  auto extractor = bind(run.collection.extractor);
  if (!extractor.ok()) {
    run.unusable = std::move(extractor).error().with_context(fmt::format("collection '{}'", run.collection.name));
    return run;
  }
  run.extractor = std::move(extractor).value();
  run.vector_by_output = vector_columns(run.collection, *run.extractor);
  QUARRY_RETURN_IF_ERROR(ensure_table(run.collection, internal_id, vectors));
  return run;
}

BlobDemand blob_demand(const std::vector<TierCollection>& collections) {
  BlobDemand demand;
  for (const TierCollection& run : collections) {
    const ExtractorConfig& config = run.collection.extractor;
    for (const auto& [input, property] : config.input_mappings) demand.properties.insert(property.substr(0, property.find('.')));
    if (!config.input_mappings.empty()) continue;
    auto extractor = extract::find_extractor(config.name, config.version);
    if (!extractor.ok()) {
      demand.all = true;
      continue;
    }
    for (const std::string& type : (*extractor)->input_types())
      if (auto parsed = parse_field_type(type); parsed.ok()) demand.types.insert(*parsed);
  }
  return demand;
}

Result<std::vector<Document>> make_documents(const TierCollection& run, const ReadObject& source, const SourceLineage& lineage,
                                             const extract::Runtime& runtime) {
  QUARRY_ASSIGN_OR_RETURN(extract::ExtractOutput output, run.extractor->extract(source.item, runtime));
  std::vector<Document> documents;
  documents.reserve(output.documents.size());
  for (extract::ExtractedDocument& extracted : output.documents) {
    Document document;
    document.document_id = derive_document_id(run.collection.collection_id, lineage.source_id, extracted.position);
    document.lineage = child_lineage(lineage, run.collection);
    document.payload = make_payload(run, source, std::move(extracted.fields));
    document.vectors = std::move(extracted.vectors);
    for (DenseVector& vector : document.vectors)
      if (auto it = run.vector_by_output.find(vector.name); it != run.vector_by_output.end()) vector.name = it->second;
    document.created_at = document.updated_at = lineage.read_at;
    documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace quarry::pipeline
