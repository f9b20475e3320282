// One collection of a tier, ready to run: parsed, its extractor bound, its table at hand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "extract/extract.h"
#include "model/collection.h"
#include "mvs/mvs.h"
#include "pipeline/object_reader.h"

namespace quarry::pipeline {

using BindExtractor = std::function<Result<std::shared_ptr<const extract::BoundExtractor>>(const ExtractorConfig&)>;

// Immutable once made.
struct TierCollection {
  Collection collection;
  std::shared_ptr<const extract::BoundExtractor> extractor;
  std::optional<Error> unusable;                        // why it cannot run: the model is missing, the collection is frozen
  std::map<std::string, std::string> vector_by_output;  // extractor output -> the table's vector column
};

// Finds the extractor in the catalogue and binds it.
Result<std::shared_ptr<const extract::BoundExtractor>> bind_from_catalogue(const ExtractorConfig& config, extract::ModelRegistry& models);

// A failure to bind is kept in `unusable`; an absent table is made.
Result<TierCollection> prepare_collection(const json::object& body, const catalog::Scope& scope, std::string_view internal_id,
                                          mvs::VectorStore& vectors, const BindExtractor& bind);

// What the tier's extractors read of an object's blobs.
BlobDemand blob_demand(const std::vector<TierCollection>& collections);

// Where the documents of one source hang in the tree of their root object.
struct SourceLineage {
  Lineage parent;              // of the source document; for an object only the root fields are set
  std::string source_id;       // object or document
  std::string collection_id;   // of the source document; empty for an object
  TimestampUs changed_at = 0;  // when the source's content last changed
  TimestampUs read_at = 0;     // just before it was read: what is made of it is as new as this
};

// Runs the extractor over one source and names what comes out: ids, lineage, passed-through fields, vectors under the table's columns.
Result<std::vector<Document>> make_documents(const TierCollection& run, const ReadObject& source, const SourceLineage& lineage,
                                             const extract::Runtime& runtime);

}  // namespace quarry::pipeline
