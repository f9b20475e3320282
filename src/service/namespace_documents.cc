// Documents of a namespace, whichever collection they are in.
#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/document_listing.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

Result<Reply> get_anywhere(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto view, read_view_options({}, request.query));
  QUARRY_ASSIGN_OR_RETURN(auto found, find_document_anywhere(context, deps, request.param("document_id"), projection_of(view)));
  note_query(deps, found.opened.collection);
  return Reply(show_document(context, deps, found.opened.collection, found.document, view));
}

Result<Reply> change_anywhere(const RequestContext& context, const Request& request, const Dependencies& deps, bool replace) {
  mvs::Projection nothing;
  nothing.payload = false;
  QUARRY_ASSIGN_OR_RETURN(auto found, find_document_anywhere(context, deps, request.param("document_id"), nothing));
  QUARRY_RETURN_IF_ERROR(check_writable(found.opened.collection));
  QUARRY_ASSIGN_OR_RETURN(json::object shown,
                          change_document(context, deps, found.opened, request.param("document_id"), request.object(), replace));
  return Reply(std::move(shown));
}

Result<Reply> patch_anywhere(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_anywhere(context, request, deps, false);
}

Result<Reply> put_anywhere(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_anywhere(context, request, deps, true);
}

Result<Reply> batch_get(const RequestContext& context, const Request& request, const Dependencies& deps) {
  auto ids = strings_member(request.object(), "document_ids");
  ViewOptions view;
  view.presigned_urls = bool_member(request.object(), "return_presigned_urls", true);
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {}));
  std::map<std::string, json::object> found;
  for (const auto& opened : collections) {
    std::vector<std::string> open;
    for (const auto& id : ids)
      if (!found.contains(id)) open.push_back(id);
    if (open.empty()) break;
    QUARRY_ASSIGN_OR_RETURN(auto documents, deps.vectors->get(opened.collection.table_id(), open, {}));
    if (!documents.empty()) note_query(deps, opened.collection);
    for (const auto& document : documents)
      found.emplace(document.document_id, show_document(context, deps, opened.collection, document, view));
  }
  json::array documents, not_found;
  for (const auto& id : ids) {
    auto it = found.find(id);
    if (it == found.end())
      not_found.emplace_back(id);
    else
      documents.push_back(it->second);
  }
  return Reply(json::object{{"documents", std::move(documents)}, {"not_found", std::move(not_found)}});
}

Result<json::object> list_anywhere(const RequestContext& context, const Dependencies& deps, const Request& request) {
  QUARRY_ASSIGN_OR_RETURN(auto query, read_document_query(request));
  auto identifiers = strings_member(request.object(), "collection_ids");
  json::array unknown;
  std::vector<std::string> known;
  for (auto& identifier : identifiers) {
    auto opened = open_collection(context, deps, identifier);
    if (opened.ok())
      known.push_back(std::move(identifier));
    else if (opened.error().kind == ErrorKind::kNotFound)
      unknown.emplace_back(identifier);
    else
      return std::move(opened).error();
  }
  std::vector<OpenCollection> collections;
  if (identifiers.empty() || !known.empty()) {
    QUARRY_ASSIGN_OR_RETURN(collections, open_collections(context, deps, known));
  }
  if (!known.empty())
    for (const auto& opened : collections) note_query(deps, opened.collection);
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_documents(context, deps, collections, query));
  if (!unknown.empty()) reply["unknown_collection_ids"] = std::move(unknown);
  return reply;
}

Result<Reply> list_namespace_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_anywhere(context, deps, request));
  return Reply(std::move(reply));
}

// One query's error does not fail the others.
Result<Reply> list_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  json::array results;
  std::set<std::string> keys;
  const json::array* queries = array_member(request.object(), "queries");
  for (const auto& entry : queries ? *queries : json::array{}) {
    if (!entry.is_object()) continue;
    std::string key(string_member(entry.get_object(), "key"));
    if (!keys.insert(key).second)
      return validation_error("value_error", {"body", "queries"}, fmt::format("the key '{}' is used twice", key));
    Request one;
    if (const json::object* inner = object_member(entry.get_object(), "request")) one.body = *inner;
    auto listed = list_anywhere(context, deps, one);
    json::object result{{"key", key}};
    if (listed.ok())
      result["response"] = std::move(*listed);
    else
      result["error"] = listed.error().message;
    results.push_back(std::move(result));
  }
  return Reply(json::object{{"results", std::move(results)}});
}

}  // namespace

void bind_namespace_documents(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_document_ns", get_anywhere);
  bind_operation(table, deps, "patch_document_ns", patch_anywhere);
  bind_operation(table, deps, "update_document_ns", put_anywhere);
  bind_operation(table, deps, "batch_get", batch_get);
  bind_operation(table, deps, "list_documents_ns", list_namespace_documents);
  bind_operation(table, deps, "list_documents_batch", list_batch);
}

}  // namespace quarry::service
