// Retrievers: a pipeline of stages, parsed when stored, bound to inputs when executed, run within a budget.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "extract/extract.h"
#include "model/collection.h"
#include "model/context.h"
#include "mvs/mvs.h"

namespace quarry::retrieval {

enum class StageCategory { kFilter, kSort, kReduce, kApply, kEnrich };
std::string_view to_string(StageCategory category);

// What the listing, the documentation and the validation of a stage are made from.
struct StageDefinition {
  std::string stage_id;  // "feature_search"
  std::string description;
  StageCategory category = StageCategory::kFilter;
  std::string icon;
  json::object parameter_schema;
};
std::vector<StageDefinition> list_stages();

// Checks and normalises the forms that clients send (see the contract's README): returns stages as
// {stage_name, stage_type, config: {stage_id, parameters}}. 422 with the location; 501 for a stage of the contract that is not built.
Result<json::array> normalize_stages(const json::array& stages);

struct ParsedStage {
  std::string stage_id, stage_name, output_alias;
  StageCategory category = StageCategory::kFilter;
  json::object parameters;  // with templates
  std::string on_error;     // "", "skip", "fail"
};

struct ParsedRetriever {
  std::string retriever_id, retriever_name;
  std::vector<std::string> collection_ids;  // identifiers as stored
  ObjectSchema input_schema;
  std::vector<ParsedStage> stages;
  std::optional<int64_t> max_time_ms;
  std::optional<double> max_credits;
};

Result<ParsedRetriever> parse_retriever(const json::object& body);

using Collections = std::shared_ptr<const std::vector<Collection>>;

// What a retriever may touch. Everything outlives the execution.
struct Environment {
  catalog::Catalog* catalog = nullptr;
  mvs::VectorStore* vectors = nullptr;
  extract::ModelRegistry* models = nullptr;
  Executor* executor = nullptr;
  // What load_collections() would read, perhaps read before. May be empty.
  std::function<Result<Collections>(const RequestContext&, const std::vector<std::string>& identifiers)> find_collections;
  // Called with every collection that an execution reads, before it does: makes its table known to `vectors`. May be empty.
  std::function<void(const RequestContext&, const Collection&)> open_collection;
  // Called with every collection that an execution targets, archived ones aside. May be empty.
  std::function<void(const Collection&)> note_query;
  // A URL at which `key` of the object store can be read for a while.
  std::function<std::string(const RequestContext&, std::string_view key)> presign;
  // Where the API shows the object that a document came from.
  std::function<std::string(const Lineage&)> object_url;
};

// How replies show what a document came from, in listings and in results alike. The blobs are {field, role, type, source_blob_id?, url?,
// filename?, content_type?, size_bytes?, checksum?, created_at?, presigned_url?}: storage keys stay inside, and only keys under the
// namespace's own prefix are signed, whatever a payload says.
json::array show_source_blobs(const Document& document, const RequestContext& request, const Environment& env, bool presigned);
// Fills `source.url` of `shown`, where there is a `source` without one.
void add_source_url(const Document& document, const Environment& env, json::object& shown);

struct ExecuteOptions {
  json::object inputs;
  json::value filters;  // ANDed to every search
  size_t limit = 0;     // 0: the last stage decides
  size_t offset = 0;
  std::string after_document_id;  // the page begins behind this result, `offset` aside; empty page if there is no such result
  bool return_vectors = false;
  bool return_presigned_urls = false;
  bool exact = false;
  std::string target_collection_id;     // narrows to one of the retriever's collections
  bool explain = false;                 // adds explain_plan to the result
  std::optional<uint64_t> random_seed;  // of stages that draw without a seed of their own; absent: from the operating system
};

struct StageReport {
  std::string name, stage_id;
  uint64_t input_count = 0, output_count = 0;
  double duration_ms = 0;
  std::string error;
  json::object metadata;  // source_tiers, warnings, ...

  double efficiency() const { return input_count == 0 ? 0 : static_cast<double>(output_count) / static_cast<double>(input_count); }
};

struct ExecutionResult {
  std::string execution_id;
  std::string status;                 // COMPLETED, COMPLETED_WITH_ERRORS
  std::vector<json::object> results;  // document fields at top level, with document_id, collection_id, score, _source_tier, lineage
  bool has_more = false;
  uint64_t total = 0;  // rows after the last stage, before paging
  size_t limit = 0, offset = 0;
  std::vector<StageReport> stages;
  std::vector<std::string> warnings;
  json::array facets;         // [{key, values: [{value, count}]}]
  json::array degraded;       // the contract's DegradedEntry: what failed while the rest answered
  json::array limits;         // the contract's LimitEntry: what was asked for and cut
  json::object budget;        // {max_time_ms, time_used_ms, exceeded}
  json::object explain_plan;  // empty unless asked for
  double total_time_ms = 0;
};

// Errors: 422 for inputs and bound parameters, 400 for collections (archived_collection_ids), features and dimensions, 404 for absent
// collections, kTimeout when the request's own deadline passes, else the first stage's error unless its on_error is "skip".
//
// The retriever's max_time_ms is a budget, not an error: when it runs out, no further stage reads collections or models, filters, sorts and
// cuts over the documents at hand still run, and the result says budget.exceeded and COMPLETED_WITH_ERRORS. Order: score descending, then
// document_id ascending.
Result<ExecutionResult> execute(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever,
                                ExecuteOptions options);

// The plan that `execute` would follow, without running it: stages with bound parameters, collections, tiers, estimated candidates.
Result<json::object> explain(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever,
                             const ExecuteOptions& options);

// The contract's reply: stage_statistics.stages as a list (seeds) or a map by name (`as_map`). Results stand under `results`, as in the
// seeds; whoever sends the reply gives them under `documents`, too.
json::object to_json(ExecutionResult result, std::string_view retriever_id, bool as_map);

// Collections named by id or name; kNotFound names the first that is absent.
Result<std::vector<Collection>> load_collections(const RequestContext& context, catalog::Catalog& catalog,
                                                 const std::vector<std::string>& identifiers);

}  // namespace quarry::retrieval
