// Listing the documents of one collection.
#include "service/binding.h"
#include "service/document_listing.h"

namespace quarry::service {
namespace {

Result<Reply> list_of_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto query, read_document_query(request));
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {request.param("collection_identifier")}));
  for (const auto& opened : collections) note_query(deps, opened.collection);
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_documents(context, deps, collections, query));
  return Reply(std::move(reply));
}

}  // namespace

void bind_document_lists(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "list_documents_0", list_of_collection);
  bind_operation(table, deps, "list_documents", list_of_collection);
}

}  // namespace quarry::service
