// Retrievers as resources: create, read, change, clone, delete, list.
#include <fmt/format.h>

#include "model/ids.h"
#include "service/binding.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"
#include "service/retriever_definition.h"
#include "service/retriever_execution.h"

namespace quarry::service {
namespace {

Result<catalog::Resource> store(const RequestContext& context, const Dependencies& deps, std::string id, json::object body) {
  std::string name(string_member(body, "retriever_name"));
  catalog::Resource retriever = make_resource(context, catalog::kind::kRetriever, std::move(id), name, std::move(body));
  Status inserted = insert_in_namespace(context, deps, retriever);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a retriever '{}' exists already", name));
  QUARRY_RETURN_IF_ERROR(inserted);
  return retriever;
}

Result<Reply> create_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  std::string id = new_id("ret");
  QUARRY_ASSIGN_OR_RETURN(json::object body, define_retriever(context, deps, id, request.object()));
  QUARRY_ASSIGN_OR_RETURN(auto stored, store(context, deps, std::move(id), std::move(body)));
  return Reply(show_retriever(stored));
}

Result<Reply> get_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  return Reply(show_retriever(found));
}

Result<Reply> list_retrievers(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(catalog::kind::kRetriever, namespace_scope(context), request, page));
  auto show_one = [](const catalog::Resource& retriever) -> Result<json::object> { return show_retriever(retriever); };
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, show_one));
  if (const json::value* total = reply.if_contains("total_count")) reply["total"] = *total;
  return Reply(std::move(reply));
}

Result<Reply> patch_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  json::object body = found.body;
  QUARRY_RETURN_IF_ERROR(change_retriever(context, deps, request.object(), body));
  found.name = std::string(string_member(body, "retriever_name"));
  found.body = std::move(body);
  found.updated_at = deps.clock->now_us();
  // kConflict if another change came between: nothing of it is lost.
  Status replaced = deps.catalog->write([&](catalog::Session& session) { return session.replace(found); });
  if (!replaced.ok() && replaced.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a retriever '{}' exists already", found.name));
  QUARRY_RETURN_IF_ERROR(replaced);
  return Reply(json::object{{"retriever", show_retriever(found)}});
}

Result<Reply> delete_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  QUARRY_RETURN_IF_ERROR(deps.internals->executions.flush());  // none may come after the removal
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(session.remove_children(catalog::kind::kExecution, namespace_scope(context), found.id));
    return session.remove(catalog::kind::kRetriever, namespace_scope(context), found.id);
  }));
  return Reply(
      json::object{{"success", true}, {"message", fmt::format("retriever '{}' was deleted", found.name)}, {"retriever_id", found.id}});
}

Result<Reply> clone_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto source, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  json::object definition;
  copy_members(definition, source.body,
               {"description", "collection_identifiers", "stages", "input_schema", "budget_limits", "tags", "metadata", "display_config",
                "cache_config"});
  definition["collection_identifiers"] = source.body["collection_ids"];  // names may have changed since
  copy_members(
      definition, request.object(),
      {"retriever_name", "description", "collection_identifiers", "stages", "input_schema", "budget_limits", "tags", "display_config"});
  std::string id = new_id("ret");
  QUARRY_ASSIGN_OR_RETURN(json::object body, define_retriever(context, deps, id, definition));
  QUARRY_ASSIGN_OR_RETURN(auto stored, store(context, deps, std::move(id), std::move(body)));
  return Reply(json::object{{"retriever", show_retriever(stored)}, {"source_retriever_id", source.id}});
}

Result<Reply> list_stages(const RequestContext&, const Request&, const Dependencies&) {
  json::array shown;
  for (const auto& stage : retrieval::list_stages())
    shown.push_back(json::object{{"stage_id", stage.stage_id},
                                 {"description", stage.description},
                                 {"category", retrieval::to_string(stage.category)},
                                 {"icon", stage.icon},
                                 {"parameter_schema", stage.parameter_schema}});
  return Reply(std::move(shown));
}

}  // namespace

void bind_retrievers(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_retriever", create_retriever);
  bind_operation(table, deps, "list_retrievers_get", list_retrievers);
  bind_operation(table, deps, "list_retrievers__retrievers", list_retrievers);
  bind_operation(table, deps, "get_retriever", get_retriever);
  bind_operation(table, deps, "patch_retriever", patch_retriever);
  bind_operation(table, deps, "delete_retriever", delete_retriever);
  bind_operation(table, deps, "clone_retriever", clone_retriever);
  bind_operation(table, deps, "list_stages_retrievers", list_stages);
  bind_retriever_execution(table, deps);
  bind_execution_records(table, deps);
  bind_typeahead(table, deps);
}

}  // namespace quarry::service
