// Snapshots of a namespace: take, list, look at, check, bring back, delete. A snapshot outlives its namespace: whoever may work in the
// whole organization finds it by the id that the namespace had.
#include "pipeline/snapshots.h"

#include <fmt/format.h>

#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/namespaces.h"
#include "service/organizations.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kUrlLifetimeSeconds = 3'600;
constexpr size_t kDefaultPage = 20, kMaxDownloadFiles = 10'000;

// The namespace, or what is left of one whose snapshots are still there.
Result<OpenNamespace> open_source(const RequestContext& context, const Dependencies& deps, std::string_view identifier,
                                  Permission permission) {
  auto opened = open_namespace(context, deps, identifier, permission);
  if (opened.ok() || opened.error().kind != ErrorKind::kNotFound || !context.grants.empty()) return opened;
  catalog::ListQuery query;
  query.kind = catalog::kind::kSnapshot;
  query.scope = {context.organization_id, std::string(identifier)};
  query.limit = 1;
  QUARRY_ASSIGN_OR_RETURN(const auto page, deps.catalog->list(query));
  if (page.items.empty()) return opened;
  if (!context.may(permission)) return Error{ErrorKind::kForbidden, "this key lacks the permission for this"};
  OpenNamespace gone{{}, context};
  gone.resource.id = identifier;
  gone.resource.name = string_member(page.items.front().body, "namespace_name");
  gone.context.namespace_id = gone.resource.id;
  return gone;
}

struct Place {
  OpenNamespace ns;
  catalog::Resource snapshot;
};

Result<Place> find_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps, Permission permission) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_source(context, deps, request.param("namespace_identifier"), permission));
  const std::string& id = request.param("snapshot_id");
  auto found = deps.catalog->get(catalog::kind::kSnapshot, namespace_scope(ns.context), id);
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound)
    return not_found(fmt::format("the namespace has no snapshot '{}'", id.substr(0, 300)));
  QUARRY_RETURN_IF_ERROR(found);
  return Place{std::move(ns), std::move(*found)};
}

json::object show_snapshot(const catalog::Resource& snapshot) {
  json::object shown = snapshot.body;
  shown.erase(pipeline::kInternalMember);
  shown["created_at"] = format_timestamp(snapshot.created_at);
  return shown;
}

// An import may bring anything that a restore may, so it asks for as much. What it holds was decided when it was taken.
Result<pipeline::NewSnapshot> read_import(const RequestContext& context, const json::object& from, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  if (!context.may(kAdmin)) return Error{ErrorKind::kForbidden, "importing a snapshot needs the permission 'admin'"};
  return pipeline::look_at_import(deps.import_places, *deps.store, context.internal_id,
                                  {std::string(string_member(from, "bucket")), std::string(string_member(from, "prefix")),
                                   std::string(string_member(from, "manifest_sha256"))});
}

Result<Reply> create_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_identifier"), kWrite));
  pipeline::NewSnapshot wanted;
  const json::object* from = object_member(body, "import_from");
  if (from != nullptr) {
    QUARRY_ASSIGN_OR_RETURN(wanted, read_import(context, *from, deps));
  } else {
    wanted.include_vectors = bool_member(body, "include_vectors", true);
    wanted.copy_blobs = bool_member(body, "copy_s3_objects");
  }
  wanted.namespace_id = ns.resource.id;
  wanted.namespace_name = ns.resource.name;
  catalog::Resource made;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(
        made, pipeline::begin_snapshot(session, namespace_scope(ns.context), context.internal_id, wanted, deps.clock->now_us()));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(json::object{{"task_id", made.body.at("task_id")},
                            {"snapshot_id", made.id},
                            {"message", fmt::format("a snapshot of namespace '{}' is being {}", ns.resource.name,
                                                    from != nullptr ? "imported" : "taken")}});
}

Result<Reply> list_snapshots(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_source(context, deps, request.param("namespace_identifier"), kRead));
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request, kDefaultPage));
  if (auto skip = integer_member(request.object(), "skip"); skip && page.offset == 0 && page.after.empty())
    page.offset = static_cast<size_t>(*skip);
  catalog::ListQuery query;
  query.kind = catalog::kind::kSnapshot;
  query.scope = namespace_scope(ns.context);
  query.with_total = true;
  QUARRY_RETURN_IF_ERROR(set_page(page, query));
  QUARRY_ASSIGN_OR_RETURN(
      json::object reply,
      list_resources(deps, query, page, [](const catalog::Resource& snapshot) -> Result<json::object> { return show_snapshot(snapshot); }));
  return Reply(std::move(reply));
}

Result<json::object> download_of(const catalog::Resource& snapshot, const Dependencies& deps) {
  if (string_member(snapshot.body, "status") != "completed") return bad_request("only a completed snapshot can be downloaded");
  QUARRY_ASSIGN_OR_RETURN(const auto files, pipeline::list_snapshot_files(*deps.store, snapshot, kMaxDownloadFiles));
  const std::string prefix(string_member(snapshot.body, "s3_prefix"));
  json::array artifacts;
  for (const auto& file : files)
    artifacts.push_back(json::object{{"path", file.path},
                                     {"url", presign(deps, "GET", prefix + "/" + file.path, kUrlLifetimeSeconds)},
                                     {"sha256", file.sha256},
                                     {"size", file.size}});
  json::object out{{"expires_at", format_timestamp(deps.clock->now_us() + kUrlLifetimeSeconds * 1'000'000)}};
  out["artifacts"] = std::move(artifacts);
  return out;
}

Result<Reply> get_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto place, find_snapshot(context, request, deps, kRead));
  json::object shown = show_snapshot(place.snapshot);
  if (bool_member(request.query, "download")) {
    QUARRY_ASSIGN_OR_RETURN(shown["download"], download_of(place.snapshot, deps));
  }
  return Reply(std::move(shown));
}

Result<Reply> delete_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto place, find_snapshot(context, request, deps, kDelete));
  QUARRY_RETURN_IF_ERROR(pipeline::remove_snapshot(*deps.catalog, *deps.store, namespace_scope(place.ns.context), place.snapshot.id));
  return Reply(json::object{{"success", true}, {"message", fmt::format("snapshot '{}' was deleted", place.snapshot.id)}});
}

Result<Reply> verify_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto place, find_snapshot(context, request, deps, kRead));
  const bool deep = bool_member(request.query, "deep");
  const std::function<bool()> halted = [&] { return context.expired(); };
  QUARRY_ASSIGN_OR_RETURN(const auto check, pipeline::check_snapshot(*deps.store, place.snapshot, deep, halted));
  json::array issues;
  for (const auto& issue : check.issues)
    issues.push_back(json::object{{"code", issue.code}, {"severity", issue.severity}, {"detail", issue.detail}});
  const json::object* manifest = object_member(place.snapshot.body, "manifest");
  const bool has_documents = bool_member(place.snapshot.body, "include_vectors", true);
  json::object reply{{"snapshot_id", place.snapshot.id},
                     {"status", string_member(place.snapshot.body, "status")},
                     {"restorable", check.is_restorable},
                     {"collections_verified", check.collections},
                     {"digests_verified", check.digests},
                     {"vector_source", has_documents ? "snapshot" : "none"},
                     {"vector_capture", !has_documents        ? "none"
                                        : check.is_restorable ? "complete"
                                                              : "could_not_measure"}};
  reply["issues"] = std::move(issues);
  if (manifest) copy_members(reply, *manifest, {"frontier"});
  copy_members(reply, place.snapshot.body, {"last_restore"});
  return Reply(std::move(reply));
}

// docs/snapshots.md says why.
Status refuse_unbuilt(const json::object& body) {
  if (const json::value* point = body.if_contains("restore_point"); point && !point->is_null())
    return Error{ErrorKind::kNotImplemented,
                 "no log reaches back to a moment between snapshots ('restore_point'): restore the snapshot before it, and take them as "
                 "often as you may have to go back"};
  if (bool_member(body, "isolated"))
    return Error{ErrorKind::kNotImplemented,
                 "'isolated' is not built: restore into a namespace of its own (target_namespace_name), which shares nothing with the "
                 "source"};
  return Ok{};
}

// Where to: the namespace it was taken of, if the request says so and means it, or a new one.
Result<pipeline::NewRestore> read_target(const Place& place, const json::object& body) {
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(body));
  pipeline::NewRestore wanted{.snapshot_id = place.snapshot.id, .target_namespace_id = {}, .target_namespace_name = {}};
  const std::string name(string_member(body, "target_namespace_name"));
  wanted.in_place = name.empty() || name == place.ns.resource.name;
  wanted.target_namespace_name = wanted.in_place ? place.ns.resource.name : name;
  wanted.target_namespace_id = wanted.in_place ? place.ns.resource.id : new_id("ns");
  if (wanted.in_place && !bool_member(body, "confirm_in_place"))
    return bad_request(
        fmt::format("bringing the snapshot back replaces everything in namespace '{}': pass confirm_in_place=true, or name "
                    "another target_namespace_name",
                    place.ns.resource.name));
  if (!wanted.in_place) QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kNamespace, name, 3, 64));
  return wanted;
}

Result<Reply> restore_snapshot(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto place, find_snapshot(context, request, deps, kAdmin));
  QUARRY_ASSIGN_OR_RETURN(const auto wanted, read_target(place, request.object()));
  Task task;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(
        task, pipeline::begin_restore(session, namespace_scope(place.ns.context), context.internal_id, wanted, deps.clock->now_us()));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(
      json::object{{"task_id", task.task_id},
                   {"snapshot_id", place.snapshot.id},
                   {"target_namespace_id", wanted.target_namespace_id},
                   {"isolated", false},
                   {"message", fmt::format("the snapshot is being brought back into namespace '{}'", wanted.target_namespace_name)}});
}

}  // namespace

void bind_snapshots(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_snapshot_namespaces", create_snapshot);
  bind_operation(table, deps, "list_snapshots_namespaces", list_snapshots);
  bind_operation(table, deps, "get_snapshot_namespaces", get_snapshot);
  bind_operation(table, deps, "delete_snapshot_namespaces", delete_snapshot);
  bind_operation(table, deps, "verify_snapshot_namespaces", verify_snapshot);
  bind_operation(table, deps, "restore_snapshot_namespaces", restore_snapshot);
}

}  // namespace quarry::service
