// Older and shorter ways to write a feature_search, rewritten into the schema's:
//   {feature_uri, input | query, limit}                                   one search at the top level
//   {feature_extractor: {type: "text"}, query, collection_ids, limit}     the published client's
//   {feature_uris: [{uri, input}], limit}                                 a list under another name
//   facets ["brand"], group_by "brand" or {field, group_size}
#include "model/feature_uri.h"
#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSearchMembers[] = {"feature_uri", "query",   "top_k", "min_score", "weight",   "lexical", "optional",
                                               "on_empty",    "filters", "exact", "effort",    "fields", "operator", "prefix"};

bool is_numbers(const json::value& v) {
  const json::array* list = v.if_array();
  return list != nullptr && !list->empty() && list->front().is_number();
}

// Adds input_mode where the members tell it, and lifts {input: {text}} and bare vectors.
void normalize_query(json::value& query) {
  if (is_numbers(query)) {
    query = json::object{{"input_mode", "vector"}, {"value", std::move(query)}};
    return;
  }
  json::object* o = query.if_object();
  if (o == nullptr) return;
  if (o->size() == 1 && o->contains("input")) {
    query = json::value(o->at("input"));
    return normalize_query(query);
  }
  rename_member(*o, "document_reference", "document_ref");
  rename_member(*o, "vector", "value");
  if (o->contains("input_mode")) return;
  if (o->contains("text")) {
    (*o)["input_mode"] = "text";
  } else if (o->contains("document_ref")) {
    (*o)["input_mode"] = "document";
  } else if (o->contains("document_id")) {
    query = json::object{{"input_mode", "document"}, {"document_ref", *o}};
  } else if (o->contains("url") || o->contains("base64")) {
    query = json::object{{"input_mode", "content"}, {"content", *o}};
  } else if (o->contains("content")) {
    (*o)["input_mode"] = "content";
  } else if (o->contains("values")) {
    (*o)["input_mode"] = "multi_content";
  } else if (const json::value* value = o->if_contains("value")) {
    // A template's type is known once it is bound.
    if (!value->is_string() || !has_template(value->get_string())) (*o)["input_mode"] = value->is_array() ? "vector" : "text";
  }
}

// {input_mode: "document", value: "doc_x" | {document_id, collection_id}}
void normalize_document_query(json::value& query) {
  json::object* o = query.if_object();
  if (o == nullptr || text_of(*o, "input_mode") != "document" || o->contains("document_ref")) return;
  auto value = o->find("value");
  if (value == o->end()) return;
  json::value ref = value->value().is_string() ? json::value(json::object{{"document_id", value->value()}}) : value->value();
  o->erase("value");
  (*o)["document_ref"] = std::move(ref);
}

// "text", {type: "text"}, {name | feature_extractor_name, version} -> the alias of that extractor's default output.
std::string uri_of_extractor(const json::value& extractor) {
  std::string name, version;
  if (extractor.is_string()) name = extractor.get_string();
  if (const json::object* o = extractor.if_object()) {
    for (std::string_view member : {"feature_extractor_name", "name", "type"})
      if (name.empty()) name = text_of(*o, member);
    version = text_of(*o, "version");
  }
  if (name.empty()) return "";
  if (name.find("extractor") == std::string::npos) name += "_extractor";
  ExtractorName normal = normalize_extractor(name, version);
  return FeatureUri{normal.name, normal.version, "embedding"}.to_string();
}

void normalize_search(json::value& search) {
  json::object* o = search.if_object();
  if (o == nullptr) return;
  rename_member(*o, "uri", "feature_uri");
  rename_member(*o, "feature_address", "feature_uri");
  rename_member(*o, "input", "query");
  rename_member(*o, "limit", "top_k");
  rename_member(*o, "collection_ids", "collection_identifiers");
  if (auto extractor = o->find("feature_extractor"); extractor != o->end() && !o->contains("feature_uri")) {
    std::string uri = uri_of_extractor(extractor->value());
    if (!uri.empty()) {
      o->erase("feature_extractor");
      (*o)["feature_uri"] = uri;
    }
  }
  if (json::value* query = o->if_contains("query")) {
    normalize_query(*query);
    normalize_document_query(*query);
  }
}

// Members of a search that stand beside the stage's own become its only search.
void lift_single_search(json::object& parameters) {
  rename_member(parameters, "input", "query");
  json::object search;
  if (auto extractor = parameters.find("feature_extractor"); extractor != parameters.end()) {
    search["feature_extractor"] = extractor->value();
    parameters.erase("feature_extractor");
  }
  for (std::string_view name : kSearchMembers) {
    auto found = parameters.find(name);
    if (found == parameters.end()) continue;
    search[name] = found->value();
    parameters.erase(name);
  }
  if (search.empty()) return;
  if (const json::value* k = search.if_contains("top_k"); k != nullptr && !parameters.contains("final_top_k"))
    parameters["final_top_k"] = *k;
  parameters["searches"] = json::array{std::move(search)};
}

void normalize_group(json::object& parameters) {
  json::value* group = parameters.if_contains("group_by");
  if (group == nullptr) return;
  if (group->is_string()) *group = json::object{{"field", *group}};
  if (json::object* o = group->if_object()) rename_member(*o, "group_size", "max_per_group");
}

void normalize_facets(json::object& parameters) {
  json::value* facets = parameters.if_contains("facets");
  if (facets == nullptr || !facets->is_array()) return;
  for (json::value& facet : facets->get_array()) {
    if (facet.is_string()) facet = json::object{{"key", facet}};
    if (json::object* o = facet.if_object()) rename_member(*o, "field", "key");
  }
}

}  // namespace

Status normalize_feature_search(json::object& parameters, const json::array&) {
  rename_member(parameters, "collection_ids", "collection_identifiers");
  rename_member(parameters, "feature_uris", "searches");
  bool lifts = !parameters.contains("searches");
  if (parameters.contains("limit")) {
    json::value limit = parameters.at("limit");
    if (lifts && !parameters.contains("top_k")) parameters["top_k"] = limit;
    rename_member(parameters, "limit", "final_top_k");
  }
  if (lifts) lift_single_search(parameters);
  if (json::value* searches = parameters.if_contains("searches"); searches != nullptr && searches->is_array())
    for (json::value& search : searches->get_array()) normalize_search(search);
  normalize_group(parameters);
  normalize_facets(parameters);
  return Ok{};
}

}  // namespace quarry::retrieval
