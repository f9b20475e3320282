// The parsed view of a collection's catalog body: what background work and retrieval need to know of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/filter.h"
#include "model/payload_index.h"
#include "model/schema.h"
#include "model/tiering_rules.h"

namespace quarry {

struct FieldPassthrough {
  std::string source_path;
  std::string target_path;    // empty: as source_path
  json::value default_value;  // null: none
  bool required = false;
};

struct CollectionSource {
  std::string type = "bucket";              // "bucket", "collection" or "none" (documents are written directly)
  std::vector<std::string> bucket_ids;      // type bucket
  std::vector<std::string> collection_ids;  // type collection
  Filter filter;                            // source_filters
};

struct ExtractorConfig {
  std::string name;     // normalised: "text_extractor"
  std::string version;  // "v1"
  json::object parameters;
  std::map<std::string, std::string> input_mappings;  // extractor input -> property of the source ("text" -> "content")
  std::vector<FieldPassthrough> field_passthrough;
  bool include_all_source_fields = false;
};

inline constexpr size_t kMaxVectors = 100;  // of one collection

struct CollectionVector {
  std::string name;         // the table's vector column
  std::string feature_uri;  // canonical
  uint32_t dimension = 0;   // 0 for sparse ones
  std::string metric = "cosine";
  std::string type = "dense";  // "dense", "sparse", "multi_dense"

  // {name, feature_uri, type, index: {dimensions, distance}}: an entry of the body's vector_indexes.
  json::object to_json() const;
};

enum class LifecycleState { kActive, kCold, kArchived, kFrozen };
std::string_view to_string(LifecycleState state);
Result<LifecycleState> parse_lifecycle_state(std::string_view name);

struct Collection {
  std::string collection_id;
  std::string name;
  std::string organization_id;
  std::string namespace_id;
  CollectionSource source;
  ExtractorConfig extractor;
  std::vector<CollectionVector> vectors;
  ObjectSchema output_schema;
  std::string text_language = "en";  // whose stems searches by words compare: what text_language names, or else the extractor's `language`
  std::vector<PayloadIndex> payload_indexes;  // of the namespace, that the table has taken over; none is taken back
  LifecycleState lifecycle = LifecycleState::kActive;
  bool is_cold = false;         // served from the cold tier: a cold collection, and a frozen one that was cold
  std::string transitioned_at;  // when the lifecycle last changed, as text that orders by time; empty: never
  std::string restored_by;      // the restore that made the table it has now; empty: the table is the one it was created with
  TieringRules tiering;
  bool archive_announced = false;  // auto_archive has set a time; the next query takes it back
  bool enabled = true;

  // By canonical URI, by the alias ".../embedding" of an extractor's first output, or by the column's name (own vectors); null if there is
  // none.
  const CollectionVector* find_vector(std::string_view feature_uri) const;

  // What the vector store calls its table, and the last part of the table's key prefix: collection_id, or collection_id '@' restored_by.
  std::string table_id() const;
};

// The contract's feature extractor object: name and version are normalised, `params` stands for `parameters`, input_mappings may be an
// object
// {"text": "content"} or a list of {input_key, path}. A passthrough extractor that names no fields passes all of them on. 422 otherwise.
Result<ExtractorConfig> parse_extractor_config(const json::object& source);

// `body` is a catalog resource's body of kind collection (fields as in the contract's CollectionResponse). kInternal if it is not one.
Result<Collection> parse_collection(const json::object& body, std::string_view organization_id, std::string_view namespace_id);

}  // namespace quarry
