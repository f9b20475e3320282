// Collections: create, read, change, clone, delete.
#include "service/collections.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "model/ids.h"
#include "model/nearest_name.h"
#include "service/binding.h"
#include "service/collection_definition.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

Result<Reply> create_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  std::string id = new_id("col");
  QUARRY_ASSIGN_OR_RETURN(json::object body, define_collection(context, deps, id, request.object()));
  QUARRY_ASSIGN_OR_RETURN(auto stored, store_collection(context, deps, std::move(id), std::move(body)));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_collection(stored, deps));
  return Reply(std::move(shown));
}

Result<Reply> get_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_identifier")));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_collection(opened, deps));
  return Reply(std::move(shown));
}

// The statistics are those of the page.
json::object list_stats(const json::array& collections) {
  int64_t documents = 0;
  std::vector<std::string> extractors;
  for (const auto& shown : collections) {
    documents += integer_member(shown.as_object(), "document_count").value_or(0);
    if (const json::object* extractor = object_member(shown.as_object(), "feature_extractor"))
      extractors.emplace_back(string_member(*extractor, "feature_extractor_id"));
  }
  std::sort(extractors.begin(), extractors.end());
  auto distinct = std::unique(extractors.begin(), extractors.end()) - extractors.begin();
  double mean = collections.empty() ? 0.0 : static_cast<double>(documents) / static_cast<double>(collections.size());
  return {{"total_documents", documents},
          {"avg_documents_per_collection", mean},
          {"collections_with_taxonomies", 0},
          {"total_feature_extractors", distinct},
          {"total_taxonomies", 0},
          {"total_retrievers", 0}};
}

// A collection whose table cannot be read is shown without counts rather than failing the list.
Result<Reply> list_collections(const RequestContext& context, const Request& request, const Dependencies& deps) {
  if (auto other = string_member(request.query, "namespace_id"); !other.empty() && other != context.namespace_id)
    return bad_request("namespace_id differs from the namespace of X-Namespace; collections are listed one namespace at a time");
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(catalog::kind::kCollection, namespace_scope(context), request, page));
  json::array warnings;
  auto show_one = [&](const catalog::Resource& resource) -> Result<json::object> {
    auto opened = open_stored_collection(context, deps, resource);
    auto shown = opened.ok() ? show_collection(*opened, deps) : Result<json::object>(std::move(opened).error());
    if (shown.ok()) return std::move(*shown);
    log_warn("a collection could not be read", {{"collection_id", resource.id}, {"reason", shown.error().message}});
    warnings.push_back(json::object{
        {"resource", "collection"}, {"id", resource.id}, {"reason", "its table could not be read"}, {"next_step", "see the server's log"}});
    json::object bare = show(resource);
    bare.erase(pipeline::kInternalMember);
    return bare;
  };
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, show_one));
  reply["stats"] = list_stats(reply["results"].as_array());
  if (!warnings.empty()) reply["warnings"] = std::move(warnings);
  return Reply(std::move(reply));
}

constexpr std::string_view kEditable[] = {"collection_name", "description",        "enabled", "metadata", "embedding_task",
                                          "tiering_rules",   "schema_sync_enabled"};
constexpr std::string_view kFixed[] = {"feature_extractor", "source",         "input_schema",    "output_schema", "vector_indexes",
                                       "collection_id",     "source_lineage", "lifecycle_state", "features",      "text_language"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Status check_type(std::string_view name, const json::value& value) {
  bool good = true;
  if (name == "enabled" || name == "schema_sync_enabled")
    good = value.is_bool();
  else if (name == "metadata")
    good = value.is_object() || value.is_null();
  else if (name == "tiering_rules")
    good = value.is_array();
  else
    good = value.is_string() || value.is_null();
  if (good) return Ok{};
  return validation_error("type_error", {"body", name}, fmt::format("'{}' has the wrong type", name));
}

// Archiving removes documents for good, so a rule that does it needs what doing it by hand needs.
Status may_set_rules(const RequestContext& context, const json::array& rules, const json::object& stored) {
  const auto wanted = read_tiering_rules({{"tiering_rules", rules}}).archive_after_days;
  if (!wanted || wanted == read_tiering_rules(stored).archive_after_days || context.may(kDelete)) return Ok{};
  return Error(ErrorKind::kForbidden, "auto_archive removes documents for good: this key lacks the permission 'delete'");
}

Status check_changes(const RequestContext& context, const json::object& changes, const json::object& stored) {
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt_applications(changes));
  for (const auto& member : changes) {
    std::string_view name = member.key();
    if (among(kEditable, name)) {
      QUARRY_RETURN_IF_ERROR(check_type(name, member.value()));
      continue;
    }
    const json::value* current = stored.if_contains(name);
    if (current && *current == member.value()) continue;  // a reply sent back
    if (among(kFixed, name))
      return bad_request(fmt::format("'{}' of a collection is fixed when it is created; clone the collection to change it", name));
    if (name == "tiering" || name == "document_schema" || name == "schema_validation")
      return Error{ErrorKind::kNotImplemented, fmt::format("'{}' of a collection is not built yet", name)};
    std::vector<std::string> known(std::begin(kEditable), std::end(kEditable));
    return validation_error("unknown_field", {"body", name},
                            fmt::format("a collection has no member '{}' that could be changed; did you mean '{}'?", name.substr(0, 100),
                                        nearest_name(name, known)));
  }
  const json::array* rules = array_member(changes, "tiering_rules");
  if (rules == nullptr) return Ok{};
  QUARRY_RETURN_IF_ERROR(check_tiering_rules(*rules));
  return may_set_rules(context, *rules, stored);
}

Result<Reply> update_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kCollection, request.param("collection_identifier")));
  const json::object& changes = request.object();
  QUARRY_RETURN_IF_ERROR(check_changes(context, changes, found.body));
  if (changes.contains("collection_name"))
    QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kCollection, string_member(changes, "collection_name"), 3, 100));
  auto stored = deps.catalog->update(catalog::kind::kCollection, namespace_scope(context), found.id, [&](catalog::Resource& r) -> Status {
    for (std::string_view name : kEditable)
      if (const json::value* value = changes.if_contains(name)) {
        if (value->is_null())
          r.body.erase(name);
        else
          r.body[name] = *value;
      }
    if (bool_member(r.body, "enabled", true)) r.body.erase("disabled_reason");
    r.name = std::string(string_member(r.body, "collection_name"));
    return Ok{};
  });
  if (!stored.ok() && stored.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a collection '{}' exists already", string_member(changes, "collection_name")));
  QUARRY_RETURN_IF_ERROR(stored);
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_stored_collection(context, deps, std::move(*stored)));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_collection(opened, deps));
  return Reply(std::move(shown));
}

// Collections fed by the one that goes cannot run any more; they keep their documents.
Status disable_downstream(catalog::Session& session, const catalog::Scope& scope, const catalog::Resource& removed, TimestampUs now) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = scope;
  query.limit = kMaxCollections;
  QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
  for (auto& other : page.items) {
    const json::object* source = object_member(other.body, "source");
    auto ids = source ? strings_member(*source, "collection_ids") : std::vector<std::string>();
    if (std::find(ids.begin(), ids.end(), removed.id) == ids.end()) continue;
    other.body["enabled"] = false;
    other.body["disabled_reason"] = json::object{{"code", "source_collection_deleted"},
                                                 {"message", fmt::format("its source collection '{}' was deleted", removed.name)},
                                                 {"source_collection_id", removed.id},
                                                 {"source_collection_name", removed.name},
                                                 {"disabled_at", format_timestamp(now)}};
    other.updated_at = now;
    QUARRY_RETURN_IF_ERROR(session.replace(other));
  }
  return Ok{};
}

pipeline::RetiredFiles files_of(const RequestContext& context, std::string table_id) {
  std::string prefix = pipeline::table_prefix(context.internal_id, context.namespace_id, table_id);
  return {std::move(table_id), std::move(prefix), {}};
}

// What fails is done by the next sweep.
void drop_table(const RequestContext& context, const Dependencies& deps, const std::string& table_id) {
  deps.internals->tables.remove(table_id);
  Status dropped = pipeline::drop_retired(*deps.catalog, *deps.vectors, *deps.store, namespace_scope(context), table_id);
  if (!dropped.ok()) log_warn("a table is dropped later", {{"table", table_id}, {"reason", dropped.error().message}});
}

// A table that this process has not touched has to be made known, so that its local files go as well.
void drop_stored_table(const RequestContext& context, const Dependencies& deps, const catalog::Resource& collection) {
  const auto parsed = parse_collection(collection.body, context.organization_id, context.namespace_id);
  if (parsed.ok()) (void)deps.vectors->attach_table(pipeline::table_spec(*parsed, context.internal_id));
  drop_table(context, deps, stored_table_id(collection));
}

Result<Reply> delete_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kCollection, request.param("collection_identifier")));
  const catalog::Scope scope = namespace_scope(context);
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(session.remove(catalog::kind::kCollection, scope, found.id));
    for (std::string_view child : {catalog::kind::kLifecycleEvent, catalog::kind::kQueryTime})
      QUARRY_RETURN_IF_ERROR(session.remove_children(child, scope, found.id));
    const TimestampUs now = deps.clock->now_us();
    QUARRY_RETURN_IF_ERROR(pipeline::retire_files(session, scope, files_of(context, stored_table_id(found)), now));
    return disable_downstream(session, scope, found, now);
  }));
  drop_stored_table(context, deps, found);
  return Reply(json::object{{"success", true},
                            {"message", fmt::format("collection '{}' and its documents were deleted", found.name)},
                            {"collection_id", found.id}});
}

// A new collection with the source's definition, less what the request changes; documents are not copied.
Result<Reply> clone_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto source, find_resource(context, deps, catalog::kind::kCollection, request.param("collection_identifier")));
  json::object definition;
  copy_members(definition, source.body,
               {"description", "source", "feature_extractor", "enabled", "metadata", "embedding_task", "text_language"});
  copy_members(definition, request.object(),
               {"collection_name", "description", "source", "feature_extractor", "enabled", "metadata", "taxonomy_applications"});
  std::string id = new_id("col");
  QUARRY_ASSIGN_OR_RETURN(json::object body, define_collection(context, deps, id, definition));
  QUARRY_ASSIGN_OR_RETURN(auto stored, store_collection(context, deps, std::move(id), std::move(body)));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_collection(stored, deps));
  return Reply(json::object{{"collection", std::move(shown)}, {"source_collection_id", source.id}});
}

}  // namespace

std::string stored_table_id(const catalog::Resource& collection) {
  auto parsed = parse_collection(collection.body, collection.organization_id, collection.namespace_id);
  return parsed.ok() ? parsed->table_id() : collection.id;
}

Result<OpenCollection> open_stored_collection(const RequestContext& context, const Dependencies& deps, catalog::Resource resource) {
  OpenCollection opened;
  QUARRY_ASSIGN_OR_RETURN(opened.collection, parse_collection(resource.body, context.organization_id, context.namespace_id));
  opened.resource = std::move(resource);
  if (opened.collection.lifecycle != LifecycleState::kArchived)
    QUARRY_RETURN_IF_ERROR(deps.internals->tables.ensure(deps, opened.collection, context.internal_id));
  return opened;
}

Result<OpenCollection> open_collection(const RequestContext& context, const Dependencies& deps, std::string_view identifier) {
  QUARRY_ASSIGN_OR_RETURN(auto resource, find_resource(context, deps, catalog::kind::kCollection, identifier));
  return open_stored_collection(context, deps, std::move(resource));
}

Result<std::vector<OpenCollection>> open_collections(const RequestContext& context, const Dependencies& deps,
                                                     const std::vector<std::string>& identifiers) {
  std::vector<OpenCollection> out;
  for (const auto& identifier : identifiers) {
    QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, identifier));
    QUARRY_RETURN_IF_ERROR(check_readable(opened.collection));
    if (std::none_of(out.begin(), out.end(), [&](const auto& o) { return o.resource.id == opened.resource.id; }))
      out.push_back(std::move(opened));
  }
  if (!identifiers.empty()) return out;
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = namespace_scope(context);
  query.descending = false;
  query.limit = kMaxCollections;
  QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
  for (auto& resource : page.items) {
    QUARRY_ASSIGN_OR_RETURN(auto opened, open_stored_collection(context, deps, std::move(resource)));
    if (opened.collection.lifecycle != LifecycleState::kArchived) out.push_back(std::move(opened));
  }
  return out;
}

Status check_readable(const Collection& collection) {
  if (collection.lifecycle != LifecycleState::kArchived) return Ok{};
  return bad_request(fmt::format("collection '{}' is archived: its documents are gone", collection.name),
                     {{"archived_collection_ids", json::array{collection.collection_id}}});
}

Status check_writable(const Collection& collection) {
  QUARRY_RETURN_IF_ERROR(check_readable(collection));
  if (collection.lifecycle != LifecycleState::kFrozen) return Ok{};
  return bad_request(fmt::format("collection '{}' is frozen: it serves reads and refuses writes", collection.name));
}

void note_query(const Dependencies& deps, const Collection& collection) {
  if (deps.engine) deps.engine->note_query(collection);
}

std::string index_signature(const OpenCollection& opened, uint64_t documents) {
  std::string state = fmt::format("documents={}\n", documents);
  for (const auto& vector : opened.collection.vectors)
    state += fmt::format("vector={} {} {} {} {}\n", vector.name, vector.feature_uri, vector.dimension, vector.metric, vector.type);
  for (const auto& [name, field] : opened.collection.output_schema.properties)
    state += fmt::format("field={} {}\n", name, to_string(field.type));
  state += fmt::format("schema={}\n", integer_member(opened.resource.body, "schema_version").value_or(1));
  return sha256_hex(state).substr(0, 32);
}

Result<json::object> show_collection(const OpenCollection& opened, const Dependencies& deps) {
  json::object shown = show(opened.resource);
  shown.erase(pipeline::kInternalMember);
  mvs::TableStats stats;
  if (opened.collection.lifecycle != LifecycleState::kArchived) {
    QUARRY_ASSIGN_OR_RETURN(stats, deps.vectors->stats(opened.collection.table_id()));
  }
  uint64_t vectors = 0;
  for (const auto& [name, count] : stats.vectors) vectors += count;
  shown["document_count"] = stats.documents;
  shown["vector_count"] = vectors;
  shown["taxonomy_count"] = 0;
  shown["index_signature"] = index_signature(opened, stats.documents);
  return shown;
}

Result<OpenCollection> store_collection(const RequestContext& context, const Dependencies& deps, std::string collection_id,
                                        json::object body) {
  std::string name(string_member(body, "collection_name"));
  auto taken = [&] { return already_exists(fmt::format("a collection '{}' exists already", name)); };
  if (deps.catalog->find(catalog::kind::kCollection, namespace_scope(context), name).ok()) return taken();
  OpenCollection opened;
  QUARRY_ASSIGN_OR_RETURN(opened.collection, parse_collection(body, context.organization_id, context.namespace_id));
  QUARRY_ASSIGN_OR_RETURN(const auto ns, deps.catalog->get(catalog::kind::kNamespace, organization_scope(context), context.namespace_id));
  if (json::array indexes = pipeline::new_payload_indexes(ns.body, opened.collection); !indexes.empty()) {
    body["payload_indexes"] = std::move(indexes);
    opened.collection.payload_indexes = read_payload_indexes(body);
  }
  opened.resource = make_resource(context, catalog::kind::kCollection, collection_id, name, std::move(body));
  const catalog::Scope scope = namespace_scope(context);
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) {
    return pipeline::retire_files(session, scope, files_of(context, collection_id), deps.clock->now_us());
  }));
  Status inserted = deps.vectors->create_table(pipeline::table_spec(opened.collection, context.internal_id));
  if (inserted.ok())
    inserted = insert_in_namespace(context, deps, opened.resource, kMaxCollections,
                                   [&](catalog::Session& session) { return pipeline::keep_files(session, scope, collection_id); });
  if (!inserted.ok()) {
    drop_table(context, deps, collection_id);
    if (inserted.error().kind == ErrorKind::kAlreadyExists) return taken();
    return std::move(inserted).error();
  }
  deps.internals->tables.add(collection_id);
  return opened;
}

void bind_collections(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_collection", create_collection);
  bind_operation(table, deps, "list_collections_get", list_collections);
  bind_operation(table, deps, "list_collections", list_collections);
  bind_operation(table, deps, "get_collection", get_collection);
  bind_operation(table, deps, "update_collection", update_collection);
  bind_operation(table, deps, "delete_collection", delete_collection);
  bind_operation(table, deps, "clone_collection", clone_collection);
  bind_collection_trigger(table, deps);
  bind_collection_schema(table, deps);
  bind_lifecycle(table, deps);
  bind_tiering(table, deps);
}

}  // namespace quarry::service
