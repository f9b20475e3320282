// Namespaces: the boundary that everything else lives in.
#include "service/namespaces.h"

#include <fmt/format.h>

#include <set>

#include "model/feature_uri.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/collections.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/namespace_removal.h"
#include "service/organizations.h"
#include "service/payload_indexes.h"
#include "service/resources.h"
#include "service/standalone.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxIdBytes = 128;

// Members that would change nothing here are refused rather than stored.
Status refuse_unbuilt(const json::object& body) {
  for (std::string_view name :
       {"infrastructure", "trusted_issuers", "tiering", "spend_budget", "cost_cap_override", "ttl_seconds", "expires_at", "pinned"}) {
    const json::value* value = body.if_contains(name);
    bool empty = !value || value->is_null() || (value->is_array() && value->get_array().empty()) ||
                 (value->is_object() && value->get_object().empty());
    if (!empty) return Error{ErrorKind::kNotImplemented, fmt::format("'{}' of a namespace is not built yet", name)};
  }
  return Ok{};
}

Result<json::array> check_extractors(const json::array& extractors) {
  json::array out;
  for (const auto& entry : extractors) {
    if (!entry.is_object()) continue;
    ExtractorName name =
        normalize_extractor(string_member(entry.get_object(), "feature_extractor_name"), string_member(entry.get_object(), "version"));
    QUARRY_ASSIGN_OR_RETURN(const extract::Extractor* found, extract::find_extractor(name.name, name.version));
    json::object shown{{"feature_extractor_name", found->name()}, {"version", found->version()}};
    shown["feature_extractor_id"] = fmt::format("{}_{}", found->name(), found->version());
    copy_members(shown, entry.get_object(), {"params"});
    out.push_back(std::move(shown));
  }
  return out;
}

// Checks what create, patch and put share, and copies it.
Status apply_attributes(const json::object& from, json::object& body) {
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(from));
  QUARRY_RETURN_IF_ERROR(check_payload_indexes(from));
  if (const json::array* extractors = array_member(from, "feature_extractors")) {
    QUARRY_ASSIGN_OR_RETURN(json::array checked, check_extractors(*extractors));
    body["feature_extractors"] = std::move(checked);
  }
  copy_members(body, from, {"description", "payload_indexes", "auto_create_indexes", "adaptive_indexing"});
  return Ok{};
}

json::object show_namespace(const catalog::Resource& resource) {
  json::object shown = show(resource);
  shown["object"] = "namespace";
  shown["namespace_id"] = resource.id;
  shown["namespace_name"] = resource.name;
  shown["namespace_ready"] = true;
  const json::array* indexes = array_member(shown, "payload_indexes");
  shown["payload_index_count"] = indexes ? indexes->size() : 0;
  return shown;
}

void add_counts(json::object& shown, const NamespaceCounts& counts) {
  shown["document_count"] = counts.documents;
  shown["document_count_complete"] = counts.documents_complete;
  shown["bucket_count"] = counts.buckets;
  shown["collection_count"] = counts.collections;
  shown["object_count"] = counts.objects;
}

Result<json::object> show_with_counts(const OpenNamespace& ns, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto counts, count_namespace(ns, deps));
  json::object shown = show_namespace(ns.resource);
  add_counts(shown, counts);
  return shown;
}

OpenNamespace enter(const RequestContext& context, catalog::Resource resource) {
  OpenNamespace ns{std::move(resource), context};
  ns.context.namespace_id = ns.resource.id;
  if (const NamespaceGrant* grant = context.grant_of(ns.resource.id)) ns.context.permissions = grant->permissions;
  return ns;
}

Result<Reply> create_namespace(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  std::string_view mode = string_member(body, "mode", "managed");
  if (mode != "managed" && mode != "standalone") return validation_error("enum", {"body", "mode"}, "mode is 'managed' or 'standalone'");
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(body));
  if (mode == "standalone") {
    QUARRY_ASSIGN_OR_RETURN(auto standalone, make_standalone_namespace(context, deps, body));
    QUARRY_ASSIGN_OR_RETURN(json::object shown, show_with_counts(standalone, deps));
    return Reply(std::move(shown));
  }
  const json::array* configs = array_member(body, "vector_configs");
  if (configs && !configs->empty())
    return bad_request("vector_configs belong to a namespace of mode 'standalone'; in a managed one the extractors make the vectors");
  NewNamespace wanted{
      std::string(string_member(body, "namespace_id")), std::string(string_member(body, "namespace_name")), {{"mode", "managed"}}};
  copy_members(wanted.body, body, {"namespace_type", "scope", "features"});
  QUARRY_RETURN_IF_ERROR(apply_attributes(body, wanted.body));
  QUARRY_ASSIGN_OR_RETURN(auto ns, insert_namespace(context, deps, std::move(wanted)));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_with_counts(ns, deps));
  return Reply(std::move(shown));
}

struct Totals {
  int64_t extractors = 0, indexes = 0;
  NamespaceCounts counts;
};

json::object list_stats(const Totals& t, size_t namespaces) {
  double n = namespaces == 0 ? 1.0 : static_cast<double>(namespaces);
  auto mean = [n](auto total) { return static_cast<double>(total) / n; };
  return {{"total_feature_extractors", t.extractors},
          {"total_payload_indexes", t.indexes},
          {"total_documents", t.counts.documents},
          {"total_documents_complete", t.counts.documents_complete},
          {"total_buckets", t.counts.buckets},
          {"total_collections", t.counts.collections},
          {"total_objects", t.counts.objects},
          {"avg_feature_extractors_per_namespace", mean(t.extractors)},
          {"avg_payload_indexes_per_namespace", mean(t.indexes)},
          {"avg_documents_per_namespace", mean(t.counts.documents)},
          {"avg_buckets_per_namespace", mean(t.counts.buckets)},
          {"avg_collections_per_namespace", mean(t.counts.collections)},
          {"avg_objects_per_namespace", mean(t.counts.objects)}};
}

// The statistics are those of the page.
Result<Reply> list_namespaces(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(catalog::kind::kNamespace, organization_scope(context), request, page));
  if (!context.grants.empty()) {
    json::array ids;
    for (const auto& grant : context.grants) ids.emplace_back(grant.namespace_id);
    QUARRY_ASSIGN_OR_RETURN(Filter reachable, condition("namespace_id", FilterOp::kIn, std::move(ids)));
    query.filter = all_of({std::move(query.filter), std::move(reachable)});
  }
  Totals totals;
  auto show_one = [&](const catalog::Resource& resource) -> Result<json::object> {
    QUARRY_ASSIGN_OR_RETURN(auto counts, count_namespace(enter(context, resource), deps));
    json::object shown = show_namespace(resource);
    add_counts(shown, counts);
    totals.counts.documents += counts.documents;
    totals.counts.documents_complete = totals.counts.documents_complete && counts.documents_complete;
    totals.counts.buckets += counts.buckets;
    totals.counts.collections += counts.collections;
    totals.counts.objects += counts.objects;
    if (const json::array* extractors = array_member(shown, "feature_extractors"))
      totals.extractors += static_cast<int64_t>(extractors->size());
    totals.indexes += integer_member(shown, "payload_index_count").value_or(0);
    return shown;
  };
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, show_one));
  reply["stats"] = list_stats(totals, reply["results"].as_array().size());
  return Reply(std::move(reply));
}

Result<Reply> get_namespace(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_identifier"), kRead));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_with_counts(ns, deps));
  return Reply(std::move(shown));
}

// PATCH and PUT differ only in what their bodies may hold.
Result<Reply> change_namespace(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_identifier"), kWrite));
  const json::object& changes = request.object();
  if (bool_member(changes, "repair_vectors")) return Error{ErrorKind::kNotImplemented, "'repair_vectors' is not built yet"};
  std::string name(string_member(changes, "namespace_name"));
  if (!name.empty()) QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kNamespace, name, 3, 64));
  auto change = [&](catalog::Resource& r) -> Status {
    if (!name.empty()) r.name = name;
    r.body["namespace_name"] = r.name;
    return apply_attributes(changes, r.body);
  };
  auto stored = deps.catalog->update(catalog::kind::kNamespace, organization_scope(context), ns.resource.id, change);
  deps.internals->authenticator.forget();
  if (!stored.ok() && stored.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a namespace '{}' exists already", name));
  QUARRY_RETURN_IF_ERROR(stored);
  ns.resource = std::move(*stored);
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_with_counts(ns, deps));
  return Reply(std::move(shown));
}

Result<Reply> delete_namespace(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_identifier"), kDelete));
  const bool force = bool_member(request.query, "force");
  QUARRY_ASSIGN_OR_RETURN(const std::string snapshot_id, take_pre_delete_snapshot(ns, deps, force));
  Status removed = remove_namespace(ns, deps, force);
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(removed);
  json::object reply{{"success", true}, {"message", fmt::format("namespace '{}' and everything in it was deleted", ns.resource.name)}};
  if (!snapshot_id.empty()) reply["snapshot_id"] = snapshot_id;
  return Reply(std::move(reply));
}

Result<json::object> stats_of(const OpenNamespace& ns, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto counts, count_namespace(ns, deps));
  json::object stats{{"namespace_id", ns.resource.id}};
  add_counts(stats, counts);
  return stats;
}

Result<Reply> get_stats(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_identifier"), kRead));
  QUARRY_ASSIGN_OR_RETURN(json::object stats, stats_of(ns, deps));
  return Reply(std::move(stats));
}

// Namespaces that are not there are left out.
Result<Reply> get_stats_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  json::object stats;
  for (const auto& id : strings_member(request.object(), "namespace_ids")) {
    auto ns = open_namespace(context, deps, id, kRead);
    if (!ns.ok() && ns.error().kind == ErrorKind::kNotFound) continue;
    QUARRY_RETURN_IF_ERROR(ns);
    QUARRY_ASSIGN_OR_RETURN(stats[id], stats_of(*ns, deps));
  }
  return Reply(json::object{{"stats", std::move(stats)}});
}

}  // namespace

Result<OpenNamespace> open_namespace(const RequestContext& context, const Dependencies& deps, std::string_view identifier,
                                     Permission permission) {
  auto found = deps.catalog->find(catalog::kind::kNamespace, organization_scope(context), identifier);
  if (!found.ok() && found.error().kind != ErrorKind::kNotFound) return std::move(found).error();
  if (!found.ok() || !context.reaches(found->id)) return not_found(fmt::format("namespace '{}' does not exist", identifier));
  OpenNamespace ns = enter(context, std::move(*found));
  if (!ns.context.may(permission))
    return Error{ErrorKind::kForbidden, fmt::format("this key lacks the permission for this in namespace '{}'", identifier)};
  return ns;
}

Result<NamespaceCounts> count_namespace(const OpenNamespace& ns, const Dependencies& deps) {
  NamespaceCounts counts;
  std::vector<catalog::Resource> collections;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    catalog::ListQuery query;
    query.scope = namespace_scope(ns.context);
    query.kind = catalog::kind::kBucket;
    QUARRY_ASSIGN_OR_RETURN(counts.buckets, session.count(query));
    query.kind = catalog::kind::kObject;
    QUARRY_ASSIGN_OR_RETURN(counts.objects, session.count(query));
    query.kind = catalog::kind::kCollection;
    query.limit = kMaxCollections;
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    collections = std::move(page.items);
    return Ok{};
  }));
  counts.collections = collections.size();
  for (const auto& resource : collections) {
    auto opened = open_stored_collection(ns.context, deps, resource);
    if (opened.ok() && opened->collection.lifecycle == LifecycleState::kArchived) continue;
    auto stats = opened.ok() ? deps.vectors->stats(opened->collection.table_id()) : Result<mvs::TableStats>(std::move(opened).error());
    if (stats.ok())
      counts.documents += stats->documents;
    else
      counts.documents_complete = false;
  }
  return counts;
}

Result<OpenNamespace> insert_namespace(const RequestContext& context, const Dependencies& deps, NewNamespace request) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kNamespace, request.name, 1, kMaxIdBytes));
  if (request.namespace_id.empty())
    request.namespace_id = new_id("ns");
  else
    QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kNamespace, request.namespace_id, 1, kMaxIdBytes));
  catalog::Resource resource =
      make_resource(context, catalog::kind::kNamespace, request.namespace_id, request.name, std::move(request.body));
  resource.namespace_id.clear();
  resource.body["namespace_id"] = resource.id;
  resource.body["namespace_name"] = resource.name;
  Status inserted = deps.catalog->insert(resource);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a namespace with the id '{}' or the name '{}' exists already", resource.id, resource.name));
  QUARRY_RETURN_IF_ERROR(inserted);
  deps.internals->authenticator.forget();  // an only namespace may be the only one no longer
  return enter(context, std::move(resource));
}

Result<json::array> check_vector_configs(const json::array& configs) {
  if (configs.size() > kMaxVectors)
    return validation_error("too_long", {"body", "vector_configs"}, fmt::format("a collection has at most {} vectors", kMaxVectors));
  json::array out;
  std::set<std::string> seen;
  for (size_t i = 0; i < configs.size(); ++i) {
    if (!configs[i].is_object()) continue;
    const json::object& config = configs[i].get_object();
    std::string name(string_member(config, "name"));
    auto fail = [&](std::string_view member, std::string message) {
      return validation_error("value_error", {"body", "vector_configs", i, member}, std::move(message));
    };
    if (!parse_feature_uri("mixpeek://x@v1/" + name).ok())
      return fail("name", fmt::format("'{}' cannot name a vector: 1 to 128 of letters, digits, '_', '-', '.'", name));
    if (!seen.insert(name).second) return fail("name", fmt::format("the vector name '{}' is used twice", name));
    auto kind = mvs::parse_vector_kind(string_member(config, "type", "dense"));
    if (!kind.ok()) return fail("type", kind.error().message);
    const bool sparse = *kind == mvs::VectorKind::kSparse;
    auto metric = mvs::parse_metric(string_member(config, "metric", sparse ? "dot" : "cosine"));
    if (!metric.ok()) return fail("metric", metric.error().message);
    if (sparse && *metric != mvs::Metric::kDot) return fail("metric", "sparse vectors are scored by dot product");
    auto dimension = integer_member(config, "dimension");
    if (sparse && dimension) return fail("dimension", "sparse vectors have no dimension");
    if (!sparse && (!dimension || *dimension < 1 || *dimension > 65'536))
      return fail("dimension", "a dimension is a whole number from 1 to 65,536");
    json::object checked{{"name", std::move(name)}};
    if (!sparse) checked["dimension"] = *dimension;
    checked["metric"] = mvs::to_string(*metric);
    if (*kind != mvs::VectorKind::kDense) checked["type"] = mvs::to_string(*kind);
    out.push_back(std::move(checked));
  }
  return out;
}

void bind_namespaces(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_namespace", create_namespace);
  bind_operation(table, deps, "list_namespaces_get", list_namespaces);
  bind_operation(table, deps, "list_namespaces", list_namespaces);
  bind_operation(table, deps, "get_namespace", get_namespace);
  bind_operation(table, deps, "patch_namespace", change_namespace);
  bind_operation(table, deps, "update_namespace", change_namespace);
  bind_operation(table, deps, "delete_namespace", delete_namespace);
  bind_operation(table, deps, "get_namespace_stats", get_stats);
  bind_operation(table, deps, "get_namespace_stats_batch", get_stats_batch);
}

}  // namespace quarry::service
