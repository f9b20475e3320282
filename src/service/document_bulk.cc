// Changing and deleting many documents of a collection at once.
#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/documents.h"
#include "service/json_access.h"
#include "service/payload_indexes.h"

namespace quarry::service {
namespace {

constexpr size_t kPatchesPerWrite = 1'000;
constexpr size_t kMaxUpdateBytes = 1u << 20;

Result<OpenCollection> writable(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return open_to_write(context, deps, request.param("collection_identifier"));
}

// The operation's filter; an empty one would mean every document, which must be said with care elsewhere.
Result<Filter> required_filter(const json::object& body, const Collection& collection) {
  const json::value* source = body.if_contains("filters");
  QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(source ? *source : json::value()));
  if (filter.matches_all()) return validation_error("missing", {"body", "filters"}, "filters must hold at least one condition");
  return settle_collection_id(std::move(filter), collection);
}

Result<std::vector<std::string>> matching_ids(const Dependencies& deps, const std::string& table_id, const Filter& filter) {
  std::vector<std::string> ids;
  mvs::Projection nothing;
  nothing.payload = false;
  QUARRY_RETURN_IF_ERROR(deps.vectors->for_each(table_id, filter, nothing, [&](const Document& document) {
    ids.push_back(document.document_id);
    return true;
  }));
  return ids;
}

// Applies one change to every match; documents that vanish meanwhile do not count.
Result<uint64_t> patch_matching(const Dependencies& deps, const OpenCollection& opened, const Filter& filter, const json::object& update) {
  QUARRY_RETURN_IF_ERROR(check_reserved(update, nullptr));
  QUARRY_ASSIGN_OR_RETURN(auto prototype, make_patch(opened.collection, "", update));
  QUARRY_ASSIGN_OR_RETURN(auto ids, matching_ids(deps, opened.collection.table_id(), filter));
  uint64_t updated = 0;
  for (size_t begin = 0; begin < ids.size(); begin += kPatchesPerWrite) {
    mvs::WriteBatch batch;
    for (size_t i = begin; i < std::min(ids.size(), begin + kPatchesPerWrite); ++i) {
      batch.patches.push_back(prototype);
      batch.patches.back().document_id = std::move(ids[i]);
    }
    QUARRY_ASSIGN_OR_RETURN(auto written, deps.vectors->write(opened.collection.table_id(), std::move(batch)));
    updated += written.patched;
  }
  return updated;
}

Status check_update_data(const json::object& update) {
  if (update.empty()) return validation_error("missing", {"body", "update_data"}, "update_data is empty");
  if (json::serialize(update).size() > kMaxUpdateBytes) return Error{ErrorKind::kPayloadTooLarge, "update_data is larger than 1 MiB"};
  return Ok{};
}

json::object outcome(std::string_view document_id, const std::optional<std::string>& error) {
  json::object out{{"document_id", document_id}, {"success", !error}};
  if (error) out["error"] = *error;
  return out;
}

Result<Reply> update_listed(const OpenCollection& opened, const json::array& updates, const Dependencies& deps) {
  mvs::WriteBatch batch;
  std::vector<std::string> ids;
  std::map<std::string, std::string> errors;
  for (const auto& entry : updates) {
    if (!entry.is_object()) continue;
    const json::object& update = entry.get_object();
    const json::object* data = object_member(update, "update_data");
    std::string id(string_member(update, "document_id"));
    ids.push_back(id);
    Status checked =
        data ? check_reserved(*data, nullptr) : Status(validation_error("missing", {"body", "updates"}, "update_data is missing"));
    auto patch = checked.ok() ? make_patch(opened.collection, id, *data) : Result<mvs::DocumentPatch>(std::move(checked).error());
    if (patch.ok())
      batch.patches.push_back(std::move(*patch));
    else
      errors[id] = patch.error().message;
  }
  if (!batch.patches.empty()) {
    QUARRY_ASSIGN_OR_RETURN(auto written, deps.vectors->write(opened.collection.table_id(), std::move(batch)));
    for (const auto& id : written.missing) errors[id] = fmt::format("document '{}' does not exist", id);
  }
  json::array results;
  size_t failed = 0;
  for (const auto& id : ids) {
    auto error = errors.find(id);
    failed += error != errors.end();
    results.push_back(outcome(id, error == errors.end() ? std::nullopt : std::optional<std::string>(error->second)));
  }
  return Reply(json::object{{"updated_count", ids.size() - failed},
                            {"failed_count", failed},
                            {"results", std::move(results)},
                            {"message", "Batch update completed"}});
}

Result<Reply> batch_update(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, writable(context, request, deps));
  const json::array* updates = array_member(body, "updates");
  const json::object* update = object_member(body, "update_data");
  if (updates && update) return validation_error("value_error", {"body"}, "give either updates, or filters with update_data");
  if (updates) return update_listed(opened, *updates, deps);
  if (!update) return validation_error("missing", {"body", "updates"}, "updates, or filters with update_data, must be given");
  QUARRY_RETURN_IF_ERROR(check_update_data(*update));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, required_filter(body, opened.collection));
  QUARRY_ASSIGN_OR_RETURN(uint64_t updated, patch_matching(deps, opened, filter, *update));
  return Reply(json::object{{"updated_count", updated}, {"failed_count", 0}, {"message", "Batch update completed"}});
}

// Runs to its end before it replies: what it changed is visible then.
Result<Reply> bulk_update(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, writable(context, request, deps));
  const json::object* update = object_member(body, "update_data");
  QUARRY_RETURN_IF_ERROR(check_update_data(update ? *update : json::object{}));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(body.contains("filters") ? body.at("filters") : json::value()));
  QUARRY_ASSIGN_OR_RETURN(uint64_t updated,
                          patch_matching(deps, opened, settle_collection_id(std::move(filter), opened.collection), *update));
  return Reply(
      json::object{{"status", "COMPLETED"}, {"updated_count", updated}, {"message", fmt::format("{} documents were updated", updated)}});
}

Result<Reply> delete_listed(const OpenCollection& opened, std::vector<std::string> ids, const Dependencies& deps) {
  mvs::WriteBatch batch;
  batch.deletes = ids;
  QUARRY_ASSIGN_OR_RETURN(auto written, deps.vectors->write(opened.collection.table_id(), std::move(batch)));
  std::set<std::string> missing(written.missing.begin(), written.missing.end());
  json::array results;
  size_t failed = 0;
  for (const auto& id : ids) {
    bool absent = missing.contains(id);
    failed += absent;
    results.push_back(outcome(id, absent ? std::optional<std::string>(fmt::format("document '{}' does not exist", id)) : std::nullopt));
  }
  return Reply(json::object{{"status", "COMPLETED"},
                            {"deleted_count", written.deleted},
                            {"failed_count", failed},
                            {"results", std::move(results)},
                            {"message", "Batch delete completed"}});
}

Result<Reply> batch_delete(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, writable(context, request, deps));
  auto ids = strings_member(body, "document_ids");
  if (!ids.empty() && body.contains("filters")) return validation_error("value_error", {"body"}, "give either document_ids or filters");
  if (!ids.empty()) return delete_listed(opened, std::move(ids), deps);
  QUARRY_ASSIGN_OR_RETURN(Filter filter, required_filter(body, opened.collection));
  QUARRY_ASSIGN_OR_RETURN(uint64_t deleted, deps.vectors->delete_where(opened.collection.table_id(), filter));
  return Reply(
      json::object{{"status", "COMPLETED"}, {"deleted_count", deleted}, {"failed_count", 0}, {"message", "Batch delete completed"}});
}

}  // namespace

void bind_document_bulk(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "batch_update", batch_update);
  bind_operation(table, deps, "bulk_update", bulk_update);
  bind_operation(table, deps, "batch_delete", batch_delete);
}

}  // namespace quarry::service
