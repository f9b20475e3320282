// Listings of extractors and features, and a search by one feature.
#include <fmt/format.h>

#include "service/binding.h"
#include "service/collections.h"
#include "service/extractor_view.h"
#include "service/json_access.h"
#include "service/namespaces.h"
#include "service/retrieval_environment.h"

namespace quarry::service {
namespace {

Result<Reply> list_extractors(const RequestContext&, const Request&, const Dependencies& deps) {
  json::array shown;
  for (const extract::Extractor* extractor : extract::list_extractors()) shown.push_back(show_extractor(*extractor, deps));
  return Reply(std::move(shown));
}

Result<Reply> get_extractor(const RequestContext&, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* extractor, find_listed_extractor(request.param("feature_extractor_id")));
  return Reply(show_extractor(*extractor, deps));
}

json::object unified_listing(const Request& request, const Dependencies& deps, std::string_view namespace_id) {
  json::array shown;
  std::string_view source = string_member(request.query, "source", "builtin");
  if (source == "builtin" || source == "all")
    for (const extract::Extractor* extractor : extract::list_extractors()) shown.push_back(show_extractor(*extractor, deps));
  size_t count = shown.size();
  return {{"success", true},  {"extractors", std::move(shown)}, {"total", count}, {"namespace_id", namespace_id}, {"builtin_count", count},
          {"custom_count", 0}};
}

Result<Reply> list_org_extractors(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return Reply(unified_listing(request, deps, context.namespace_id));
}

Result<Reply> list_namespace_extractors(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_id"), kRead));
  return Reply(unified_listing(request, deps, ns.resource.id));
}

Result<Reply> get_namespace_extractor(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(open_namespace(context, deps, request.param("namespace_id"), kRead));
  QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* extractor, find_listed_extractor(request.param("extractor_id")));
  return Reply(show_extractor(*extractor, deps));
}

// By kind of input: what can be extracted from it, under names that a collection's `features` takes.
Result<Reply> discover_features(const RequestContext&, const Request&, const Dependencies& deps) {
  std::map<std::string, json::array> by_modality;
  for (const extract::Extractor* extractor : extract::list_extractors()) {
    json::object shown = show_extractor(*extractor, deps);
    json::object feature{{"feature", extractor->name()}};
    copy_members(feature, shown,
                 {"feature_extractor_id", "feature_extractor_name", "version", "description", "feature_uri", "realtime_available"});
    for (const auto& type : extractor->input_types()) by_modality[type].push_back(feature);
  }
  json::array modalities;
  for (auto& [modality, features] : by_modality)
    modalities.push_back(json::object{{"modality", modality}, {"features", std::move(features)}});
  return Reply(json::object{{"modalities", std::move(modalities)}, {"custom_features", json::array{}}, {"full_res_multiplier", 1.0}});
}

Result<Reply> describe_features(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_identifier")));
  const Collection& collection = opened.collection;
  std::string made_by = fmt::format("{}@{}", collection.extractor.name, collection.extractor.version);
  json::array features;
  for (const auto& vector : collection.vectors)
    features.push_back(json::object{{"feature_address", vector.feature_uri},
                                    {"feature_uri", vector.feature_uri},
                                    {"feature_extractor_name", collection.extractor.name},
                                    {"version", collection.extractor.version},
                                    {"vector_index", vector_index_of(vector, made_by)},
                                    {"primary", features.empty()}});
  return Reply(json::object{{"features", std::move(features)}});
}

Result<json::object> query_of(const json::object& query) {
  std::string_view mode = string_member(query, "input_mode", "text");
  if (query.contains("vector")) return json::object{{"input_mode", "vector"}, {"value", query.at("vector")}};
  if (query.contains("url") || query.contains("image"))
    return Error{ErrorKind::kNotImplemented, "queries by media are not built yet; send text or a vector"};
  if (mode != "text")
    return validation_error("value_error", {"body", "query", "input_mode"},
                            fmt::format("input_mode '{}' needs a member of that name", mode));
  std::string_view text = string_member(query, "text");
  if (text.empty()) return validation_error("missing", {"body", "query", "text"}, "the query's text is missing");
  return json::object{{"input_mode", "text"}, {"value", text}};
}

Result<Reply> feature_search(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  const json::object* query = object_member(body, "query");
  QUARRY_ASSIGN_OR_RETURN(json::object bound_query, query_of(query ? *query : json::object{}));
  auto top_k = static_cast<size_t>(integer_member(body, "top_k").value_or(25));
  json::object search{{"feature_uri", string_member(body, "feature_uri", "mixpeek://text_extractor@v1/embedding")},
                      {"query", std::move(bound_query)},
                      {"top_k", top_k}};
  json::object stage{{"stage_name", "feature_search"}, {"stage_type", "filter"}};
  stage["config"] =
      json::object{{"stage_id", "feature_search"}, {"parameters", {{"searches", json::array{std::move(search)}}, {"final_top_k", top_k}}}};
  json::object retriever{{"retriever_name", "feature_search"}, {"stages", json::array{std::move(stage)}}};
  copy_members(retriever, body, {"collection_identifiers"});
  QUARRY_ASSIGN_OR_RETURN(auto parsed, retrieval::parse_retriever(retriever));
  QUARRY_RETURN_IF_ERROR(settle_collections(context, deps, parsed));
  retrieval::ExecuteOptions options;
  if (const json::value* filters = body.if_contains("filters")) options.filters = *filters;
  QUARRY_ASSIGN_OR_RETURN(auto result, retrieval::execute(context, retrieval_environment(deps), parsed, options));
  size_t total = result.results.size();
  json::object reply = retrieval::to_json(std::move(result), "", wants_stage_map(request));
  reply["total"] = total;
  return with_documents(std::move(reply));
}

}  // namespace

void bind_features(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "discover_features", discover_features);
  bind_operation(table, deps, "list_feature_extractors", list_extractors);
  bind_operation(table, deps, "get_feature_extractor_by", get_extractor);
  bind_operation(table, deps, "list_org_extractors", list_org_extractors);
  bind_operation(table, deps, "list_extractors_namespaces", list_namespace_extractors);
  bind_operation(table, deps, "get_extractor_namespaces", get_namespace_extractor);
  bind_operation(table, deps, "describe_collection_features", describe_features);
  bind_operation(table, deps, "feature_search", feature_search);
}

}  // namespace quarry::service
