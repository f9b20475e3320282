#include "service/retriever_definition.h"

#include <fmt/format.h>

#include <set>

#include "model/feature_uri.h"
#include "model/nearest_name.h"
#include "service/json_access.h"
#include "service/own_vectors.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kMaxCacheSeconds = 86'400;
constexpr std::string_view kPlain[] = {"description", "tags", "metadata", "display_config", "budget_limits", "cache_config"};
// In a PATCH that sends a reply back: shown, not stored, or fixed.
constexpr std::string_view kDerived[] = {"retriever_id", "feature_dependencies", "version", "created_at",  "updated_at",
                                         "created_by",   "updated_by",           "fusion",  "is_published"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Status refuse_unbuilt(const json::object& request) {
  auto visibility = string_member(request, "visibility", "private");
  if (visibility != "private")
    return Error{ErrorKind::kNotImplemented, fmt::format("the visibility '{}' of a retriever is not built yet", visibility)};
  if (!string_member(request, "marketplace_listing_id").empty() || bool_member(request, "requires_subscription"))
    return Error{ErrorKind::kNotImplemented, "marketplace listings are not built yet"};
  return Ok{};
}

Status check_cache_config(const json::object& request) {
  const json::value* value = request.if_contains("cache_config");
  if (!value || value->is_null()) return Ok{};
  const json::object* config = value->if_object();
  if (!config)
    return validation_error("type_error", {"body", "cache_config"}, "cache_config is an object {enabled, ttl_seconds, cache_stage_names}");
  if (const json::value* ttl = config->if_contains("ttl_seconds")) {
    int64_t seconds = integer_value(*ttl).value_or(0);
    if (seconds < 1 || seconds > kMaxCacheSeconds)
      return validation_error("value_error", {"body", "cache_config", "ttl_seconds"}, "ttl_seconds is a whole number from 1 to 86,400");
  }
  return Ok{};
}

// Whole replies are cached, so the stages that are named must be all of them.
Status check_cached_stages(const json::object& body) {
  const json::object* config = object_member(body, "cache_config");
  const json::array* stages = array_member(body, "stages");
  std::set<std::string> named, known;
  if (config)
    for (auto& name : strings_member(*config, "cache_stage_names")) named.insert(std::move(name));
  if (stages)
    for (const auto& stage : *stages) known.emplace(string_member(stage.as_object(), "stage_name"));
  if (named.empty() || named == known) return Ok{};
  for (const auto& name : named)
    if (!known.contains(name))
      return validation_error("value_error", {"body", "cache_config", "cache_stage_names"},
                              fmt::format("this retriever has no stage named '{}'", name.substr(0, 255)));
  return Error{ErrorKind::kNotImplemented, "'cache_stage_names' that leave out stages are not built yet: name every stage or none"};
}

Status resolve_collections(const RequestContext& context, const Dependencies& deps, const json::object& request, json::object& body) {
  auto identifiers = strings_member(request, request.contains("collection_identifiers") ? "collection_identifiers" : "collection_ids");
  json::array ids;
  for (const auto& identifier : identifiers) {
    QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kCollection, identifier));
    if (std::find(ids.begin(), ids.end(), json::value(found.id)) == ids.end()) ids.emplace_back(found.id);
  }
  body["collection_identifiers"] = to_array(identifiers);
  body["collection_ids"] = std::move(ids);
  return Ok{};
}

// Stored without the `properties` level, as the contract shows it.
Status read_input_schema(const json::object& request, json::object& body) {
  const json::value* source = request.if_contains("input_schema");
  if (!source || source->is_null()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(ObjectSchema schema, parse_schema(*source));
  json::object shown = to_json(schema);
  const json::object* properties = object_member(shown, "properties");
  body["input_schema"] = properties ? *properties : shown;
  return Ok{};
}

json::array feature_dependencies(const json::array& stages) {
  json::array out;
  for (const auto& stage : stages) {
    const json::object* config = object_member(stage.as_object(), "config");
    const json::object* parameters = config ? object_member(*config, "parameters") : nullptr;
    const json::array* searches = parameters ? array_member(*parameters, "searches") : nullptr;
    if (!searches) continue;
    for (const auto& search : *searches) {
      if (!search.is_object()) continue;
      auto uri = parse_feature_uri(string_member(search.get_object(), "feature_uri"));
      if (!uri.ok()) continue;
      json::value address =
          json::object{{"scheme", "mixpeek"}, {"extractor", uri->extractor}, {"version", uri->version}, {"output", uri->output}};
      if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(std::move(address));
    }
  }
  return out;
}

bool is_bare_name(std::string_view text) {
  return text.find("{{") == std::string_view::npos && text.find("://") == std::string_view::npos &&
         parse_feature_uri(fmt::format("{}{}", kOwnVectorUri, text)).ok();
}

void expand_in_parameters(json::object& parameters) {
  json::value* searches = parameters.if_contains("searches");
  if (!searches || !searches->is_array()) return;
  for (auto& search : searches->get_array())
    if (json::object* o = search.if_object())
      if (std::string_view uri = string_member(*o, "feature_uri"); is_bare_name(uri))
        (*o)["feature_uri"] = fmt::format("{}{}", kOwnVectorUri, uri);
}

Status read_stages(const json::object& request, json::object& body) {
  const json::array* given = array_member(request, "stages");
  if (!given) return Ok{};
  json::array stored = *given;
  for (auto& stage : stored)
    if (json::object* o = stage.if_object(); o && o->contains("config")) o->erase("parameters");  // a reply sent back carries them twice
  expand_vector_names(stored);
  QUARRY_ASSIGN_OR_RETURN(json::array stages, retrieval::normalize_stages(stored));
  body["feature_dependencies"] = feature_dependencies(stages);
  body["stages"] = std::move(stages);
  return Ok{};
}

std::string_view fusion_of(const json::array& stages) {
  for (const auto& stage : stages)
    if (const json::object* config = object_member(stage.as_object(), "config");
        config && string_member(*config, "stage_id") == "feature_search")
      if (const json::object* parameters = object_member(*config, "parameters")) return string_member(*parameters, "fusion", "rrf");
  return "rrf";
}

Status check_name(std::string_view name) { return check_resource_name(catalog::kind::kRetriever, name, 1, 255); }

}  // namespace

Result<json::object> define_retriever(const RequestContext& context, const Dependencies& deps, std::string_view retriever_id,
                                      const json::object& request) {
  std::string_view name = string_member(request, "retriever_name");
  QUARRY_RETURN_IF_ERROR(check_name(name));
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(request));
  QUARRY_RETURN_IF_ERROR(check_cache_config(request));
  json::object body{{"retriever_id", retriever_id},
                    {"retriever_name", name},
                    {"version", 1},
                    {"created_by", context.user_email},
                    {"updated_by", context.user_email}};
  copy_members(body, request, {"description", "tags", "metadata", "display_config", "budget_limits", "cache_config"});
  QUARRY_RETURN_IF_ERROR(resolve_collections(context, deps, request, body));
  QUARRY_RETURN_IF_ERROR(read_input_schema(request, body));
  QUARRY_RETURN_IF_ERROR(read_stages(request, body));
  QUARRY_RETURN_IF_ERROR(check_cached_stages(body));
  QUARRY_RETURN_IF_ERROR(retrieval::parse_retriever(body));
  return body;
}

Status change_retriever(const RequestContext& context, const Dependencies& deps, const json::object& changes, json::object& body) {
  static const std::vector<std::string> kKnown{"retriever_name",         "description",    "visibility", "marketplace_listing_id",
                                               "requires_subscription",  "tags",           "metadata",   "display_config",
                                               "collection_identifiers", "collection_ids", "stages",     "input_schema",
                                               "budget_limits",          "cache_config"};
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(changes));
  QUARRY_RETURN_IF_ERROR(check_cache_config(changes));
  for (const auto& member : changes) {
    std::string_view name = member.key();
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end() && !among(kDerived, name))
      return validation_error(
          "unknown_field", {"body", name},
          fmt::format("a retriever has no member '{}'; did you mean '{}'?", name.substr(0, 100), nearest_name(name, kKnown)));
    if (!among(kPlain, name)) continue;
    if (member.value().is_null())
      body.erase(name);
    else
      body[name] = member.value();
  }
  if (changes.contains("retriever_name")) {
    QUARRY_RETURN_IF_ERROR(check_name(string_member(changes, "retriever_name")));
    body["retriever_name"] = changes.at("retriever_name");
  }
  if (changes.contains("collection_identifiers") || changes.contains("collection_ids"))
    QUARRY_RETURN_IF_ERROR(resolve_collections(context, deps, changes, body));
  QUARRY_RETURN_IF_ERROR(read_input_schema(changes, body));
  QUARRY_RETURN_IF_ERROR(read_stages(changes, body));
  QUARRY_RETURN_IF_ERROR(check_cached_stages(body));
  QUARRY_RETURN_IF_ERROR(retrieval::parse_retriever(body));
  body["version"] = integer_member(body, "version").value_or(1) + 1;
  body["updated_by"] = context.user_email;
  return Ok{};
}

void expand_vector_names(json::array& stages) {
  for (auto& stage : stages) {
    json::object* o = stage.if_object();
    if (!o) continue;
    json::value* config = o->if_contains("config");
    for (json::object* level : {o, config ? config->if_object() : nullptr}) {
      if (!level) continue;
      expand_in_parameters(*level);
      for (std::string_view name : {"parameters", "params"})
        if (json::value* parameters = level->if_contains(name); parameters && parameters->is_object())
          expand_in_parameters(parameters->get_object());
    }
  }
}

json::object show_retriever(const catalog::Resource& retriever) {
  json::object shown = show(retriever);
  json::value& stages = shown["stages"];
  if (!stages.is_array()) stages = json::array{};
  for (auto& stage : stages.get_array()) {
    const json::object* config = object_member(stage.as_object(), "config");
    const json::value* parameters = config ? config->if_contains("parameters") : nullptr;
    stage.as_object()["parameters"] = parameters ? *parameters : json::value(json::object{});
  }
  shown["fusion"] = fusion_of(stages.get_array());
  shown["is_published"] = false;
  return shown;
}

CacheConfig cache_config_of(const json::object& body) {
  CacheConfig config;
  const json::object* given = object_member(body, "cache_config");
  if (!given) return config;
  config.enabled = bool_member(*given, "enabled");
  config.ttl_seconds = integer_member(*given, "ttl_seconds").value_or(config.ttl_seconds);
  return config;
}

}  // namespace quarry::service
