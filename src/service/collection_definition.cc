#include "service/collection_definition.h"

#include <fmt/format.h>

#include <set>

#include "model/feature_uri.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

struct ResolvedSource {
  json::object config;  // as stored: ids, never names
  ObjectSchema input_schema;
  json::object bucket_schemas;  // by bucket id
  json::array lineage;          // of what feeds it
};

bool is_given(const json::object& o, std::string_view name) {
  const json::value* value = o.if_contains(name);
  if (!value || value->is_null()) return false;
  if (value->is_array()) return !value->get_array().empty();
  return !value->is_object() || !value->get_object().empty();
}

void merge_schema(ObjectSchema& to, const ObjectSchema& from) {
  for (const auto& [name, field] : from.properties) to.properties.emplace(name, field);
}

std::vector<std::string> unique(std::vector<std::string> names) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (auto& name : names)
    if (seen.insert(name).second) out.push_back(std::move(name));
  return out;
}

Status add_bucket(const RequestContext& context, const Dependencies& deps, const std::string& identifier, ResolvedSource& out,
                  json::array& ids) {
  QUARRY_ASSIGN_OR_RETURN(auto bucket, find_resource(context, deps, catalog::kind::kBucket, identifier));
  ids.emplace_back(bucket.id);
  const json::value* source = bucket.body.if_contains("bucket_schema");
  ObjectSchema schema;
  if (source && source->is_object()) {
    QUARRY_ASSIGN_OR_RETURN(schema, parse_schema(*source));
  }
  out.bucket_schemas[bucket.id] = to_json(schema);
  merge_schema(out.input_schema, schema);
  return Ok{};
}

Status add_collection(const RequestContext& context, const Dependencies& deps, const std::string& identifier, ResolvedSource& out,
                      std::set<std::string>& buckets, json::array& ids) {
  QUARRY_ASSIGN_OR_RETURN(auto upstream, find_resource(context, deps, catalog::kind::kCollection, identifier));
  ids.emplace_back(upstream.id);
  QUARRY_ASSIGN_OR_RETURN(auto parsed, parse_collection(upstream.body, context.organization_id, context.namespace_id));
  merge_schema(out.input_schema, parsed.output_schema);
  for (const auto& bucket : parsed.source.bucket_ids) buckets.insert(bucket);
  if (const json::object* source = object_member(upstream.body, "source"))
    for (const auto& bucket : strings_member(*source, "inherited_bucket_ids")) buckets.insert(bucket);
  if (const json::array* lineage = array_member(upstream.body, "source_lineage"); lineage && out.lineage.empty()) out.lineage = *lineage;
  return Ok{};
}

Status check_namespace_of(const RequestContext& context, const Dependencies& deps, const json::object& source) {
  std::string_view other = string_member(source, "source_namespace_id");
  if (other.empty() || other == context.namespace_id) return Ok{};
  auto found = deps.catalog->find(catalog::kind::kNamespace, organization_scope(context), other);
  if (found.ok() && found->id == context.namespace_id) return Ok{};
  return bad_request("a collection's source must lie in its own namespace: queries and processing never cross namespaces",
                     {{"source_namespace_id", other}, {"namespace_id", context.namespace_id}});
}

Status resolve_buckets(const RequestContext& context, const Dependencies& deps, const json::object& source, ResolvedSource& out) {
  auto identifiers = unique(strings_member(source, "bucket_ids"));
  if (identifiers.empty())
    return validation_error("missing", {"body", "source", "bucket_ids"}, "a source of type 'bucket' needs bucket_ids");
  json::array ids;
  for (const auto& identifier : identifiers) QUARRY_RETURN_IF_ERROR(add_bucket(context, deps, identifier, out, ids));
  out.config["bucket_ids"] = std::move(ids);
  return Ok{};
}

Status resolve_collections(const RequestContext& context, const Dependencies& deps, const json::object& source, std::string_view own_name,
                           ResolvedSource& out) {
  auto identifiers = strings_member(source, "collection_ids");
  if (auto single = string_member(source, "collection_id"); !single.empty()) identifiers.insert(identifiers.begin(), std::string(single));
  identifiers = unique(std::move(identifiers));
  if (identifiers.empty())
    return validation_error("missing", {"body", "source", "collection_ids"},
                            "a source of type 'collection' needs collection_id or collection_ids");
  json::array ids;
  std::set<std::string> buckets;
  for (const auto& identifier : identifiers) {
    if (identifier == own_name) return bad_request(fmt::format("collection '{}' cannot be its own source", own_name));
    QUARRY_RETURN_IF_ERROR(add_collection(context, deps, identifier, out, buckets, ids));
  }
  if (ids.size() == 1) out.config["collection_id"] = ids.front();
  out.config["collection_ids"] = std::move(ids);
  out.config["inherited_bucket_ids"] = to_array({buckets.begin(), buckets.end()});
  return Ok{};
}

Result<ResolvedSource> resolve_source(const RequestContext& context, const Dependencies& deps, const json::object& source,
                                      std::string_view own_name) {
  ResolvedSource out;
  std::string_view type = string_member(source, "type", "bucket");
  out.config["type"] = type;
  QUARRY_RETURN_IF_ERROR(check_namespace_of(context, deps, source));
  if (is_given(source, "field_map"))
    return Error{ErrorKind::kNotImplemented, "'source.field_map' is not built yet; use feature_extractor.field_passthrough"};
  if (type == "bucket")
    QUARRY_RETURN_IF_ERROR(resolve_buckets(context, deps, source, out));
  else if (type == "collection")
    QUARRY_RETURN_IF_ERROR(resolve_collections(context, deps, source, own_name, out));
  else if (type != "none" && type != "direct_upsert")
    return Error{ErrorKind::kNotImplemented, fmt::format("a source of type '{}' is not built yet", type)};
  if (const json::object* filters = object_member(source, "source_filters")) {
    const json::value* inner = filters->if_contains("filters");
    QUARRY_RETURN_IF_ERROR(parse_filter(inner ? *inner : json::value(*filters)));
    out.config["source_filters"] = inner ? *filters : json::object{{"filters", *filters}};
  }
  return out;
}

// "text_extractor", "mixpeek://text_extractor@v1/...", or what the discovery of features lists ("text", "text_embedding").
Result<const extract::Extractor*> extractor_of_feature(std::string_view feature) {
  if (auto uri = parse_feature_uri(feature); uri.ok()) return extract::find_extractor(uri->extractor, uri->version);
  ExtractorName name = normalize_extractor(feature, "");
  if (auto found = extract::find_extractor(name.name, name.version); found.ok()) return found;
  std::string_view modality = feature.substr(0, feature.find('_'));
  ExtractorName by_modality = normalize_extractor(std::string(modality) + "_extractor", "");
  if (auto found = extract::find_extractor(by_modality.name, by_modality.version); found.ok()) return found;
  return extract::find_extractor(name.name, name.version);  // for its error, which lists the known ones
}

Result<json::object> extractor_from_features(const std::vector<std::string>& features) {
  const extract::Extractor* chosen = nullptr;
  for (const auto& feature : features) {
    QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* found, extractor_of_feature(feature));
    if (chosen && chosen != found)
      return bad_request(
          fmt::format("the features come from two extractors, '{}' and '{}'; a collection runs one: make a collection for each",
                      chosen->name(), found->name()));
    chosen = found;
  }
  return json::object{{"feature_extractor_name", chosen->name()}, {"version", chosen->version()}};
}

Result<json::object> chosen_extractor(const json::object& request) {
  const json::object* given = object_member(request, "feature_extractor");
  auto features = strings_member(request, "features");
  if (given && !features.empty()) return bad_request("give either feature_extractor or features, not both");
  if (given) return *given;
  if (!features.empty()) return extractor_from_features(features);
  return json::object{{"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}};
}

json::object show_extractor(const ExtractorConfig& config, const json::object& given) {
  json::object shown{{"feature_extractor_name", config.name}, {"version", config.version}};
  shown["feature_extractor_id"] = fmt::format("{}_{}", config.name, config.version);
  shown["parameters"] = config.parameters;
  json::object mappings;
  for (const auto& [input, property] : config.input_mappings) mappings[input] = property;
  shown["input_mappings"] = std::move(mappings);
  const json::array* passthrough = array_member(given, "field_passthrough");
  shown["field_passthrough"] = passthrough ? *passthrough : json::array{};
  shown["include_all_source_fields"] = config.include_all_source_fields;
  return shown;
}

const FieldSchema* field_at(const ObjectSchema& schema, std::string_view path) {
  const std::map<std::string, FieldSchema>* level = &schema.properties;
  for (;;) {
    size_t dot = path.find('.');
    auto it = level->find(std::string(path.substr(0, dot)));
    if (it == level->end()) return nullptr;
    if (dot == std::string_view::npos) return &it->second;
    level = &it->second.properties;
    path.remove_prefix(dot + 1);
  }
}

// Fields of unknown type are left out: they are kept all the same, in the table's JSON column.
ObjectSchema output_schema(const ExtractorConfig& config, const ObjectSchema& input, const extract::BoundExtractor& bound) {
  ObjectSchema out = bound.output_fields();
  if (config.include_all_source_fields) merge_schema(out, input);
  for (const auto& field : config.field_passthrough) {
    const std::string& target = field.target_path.empty() ? field.source_path : field.target_path;
    const FieldSchema* source = field_at(input, field.source_path);
    if (target.find('.') != std::string::npos)
      out.properties.emplace(target.substr(0, target.find('.')), FieldSchema{FieldType::kObject});
    else if (source)
      out.properties.emplace(target, *source);
  }
  for (auto& [name, field] : out.properties) field.required = false;  // a source may lack it
  return out;
}

json::array unmapped_warnings(const ExtractorConfig& config, const ResolvedSource& source) {
  json::array warnings;
  if (source.input_schema.properties.empty()) return warnings;
  for (const auto& [input, property] : config.input_mappings)
    if (!field_at(source.input_schema, property))
      warnings.emplace_back(fmt::format("input_mappings: the source's schema has no property '{}' for the input '{}'", property, input));
  return warnings;
}

json::array vector_indexes(const std::vector<CollectionVector>& vectors) {
  json::array out;
  for (const auto& vector : vectors) out.push_back(vector.to_json());
  return out;
}

json::object schema_json(const ObjectSchema& schema) {
  json::object shown = to_json(schema);
  if (!shown.contains("properties")) shown = json::object{{"properties", std::move(shown)}};
  return shown;
}

void add_defaults(json::object& body) {
  body["lifecycle_state"] = "active";
  body["schema_version"] = 1;
  body["schema_sync_enabled"] = true;
  body["schema_validation"] = "off";
  body["tiering_rules"] = json::array{};
  if (!body.contains("enabled")) body["enabled"] = true;
}

Status add_text_language(const json::object& request, json::object& body) {
  if (!is_given(request, "text_language")) return Ok{};
  const std::string_view language = string_member(request, "text_language");
  if (auto known = mvs::parse_text_language(language); !known.ok())
    return validation_error("value_error", {"body", "text_language"}, known.error().message);
  body["text_language"] = language;
  return Ok{};
}

void add_lineage(json::object& body, json::array lineage) {
  lineage.push_back(json::object{
      {"source_config", body["source"]}, {"feature_extractor", body["feature_extractor"]}, {"output_schema", body["output_schema"]}});
  body["source_lineage"] = std::move(lineage);
}

}  // namespace

Status refuse_unbuilt_applications(const json::object& request) {
  for (std::string_view name :
       {"schedule", "taxonomy_applications", "cluster_applications", "alert_applications", "retriever_enrichments", "retriever_transform"})
    if (is_given(request, name)) return Error{ErrorKind::kNotImplemented, fmt::format("'{}' of a collection is not built yet", name)};
  return Ok{};
}

Result<json::object> define_collection(const RequestContext& context, const Dependencies& deps, std::string_view collection_id,
                                       const json::object& request) {
  std::string_view name = string_member(request, "collection_name");
  QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kCollection, name, 3, 100));
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt_applications(request));
  const json::object* given_source = object_member(request, "source");
  QUARRY_ASSIGN_OR_RETURN(auto source, resolve_source(context, deps, given_source ? *given_source : json::object{{"type", "none"}}, name));
  if (const json::object* schema = object_member(request, "input_schema")) {
    QUARRY_ASSIGN_OR_RETURN(source.input_schema, parse_schema(*schema));
  }
  QUARRY_ASSIGN_OR_RETURN(json::object given, chosen_extractor(request));
  QUARRY_ASSIGN_OR_RETURN(ExtractorConfig config, parse_extractor_config(given));
  QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* extractor, extract::find_extractor(config.name, config.version));
  QUARRY_ASSIGN_OR_RETURN(auto bound, extractor->bind(config, *deps.models));

  std::vector<CollectionVector> vectors;
  for (const auto& output : bound->outputs()) vectors.push_back({output.name, output.feature_uri, output.dimension, output.metric});
  json::object body{{"collection_id", collection_id}, {"collection_name", name}};
  copy_members(body, request, {"description", "enabled", "metadata", "embedding_task"});
  body["source"] = std::move(source.config);
  body["feature_extractor"] = show_extractor(config, given);
  body["input_schema"] = schema_json(source.input_schema);
  body["output_schema"] = schema_json(output_schema(config, source.input_schema, *bound));
  body["vector_indexes"] = vector_indexes(vectors);
  if (!source.bucket_schemas.empty()) body["source_bucket_schemas"] = std::move(source.bucket_schemas);
  if (auto warnings = unmapped_warnings(config, source); !warnings.empty()) body["warnings"] = std::move(warnings);
  QUARRY_RETURN_IF_ERROR(add_text_language(request, body));
  add_defaults(body);
  add_lineage(body, std::move(source.lineage));
  return body;
}

json::object direct_collection_body(std::string_view collection_id, std::string_view name, const std::vector<CollectionVector>& vectors) {
  json::object body{{"collection_id", collection_id}, {"collection_name", name}, {"source", {{"type", "direct_upsert"}}}};
  body["feature_extractor"] = json::object{
      {"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}, {"feature_extractor_id", "passthrough_extractor_v1"}};
  body["input_schema"] = json::object{{"properties", json::object{}}};
  body["output_schema"] = json::object{{"properties", json::object{}}};
  body["vector_indexes"] = vector_indexes(vectors);
  add_defaults(body);
  add_lineage(body, {});
  return body;
}

}  // namespace quarry::service
