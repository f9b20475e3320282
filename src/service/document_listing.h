// Pages of documents over one or several collections.
#pragma once

#include "service/documents.h"
#include "service/paging.h"

namespace quarry::service {

struct DocumentQuery {
  Filter filter;
  std::optional<mvs::SortSpec> sort;                 // absent: by document_id, then collection_id
  std::string search;                                // in any string of a document, without regard to case
  int64_t partition_index = 0, partition_count = 1;  // by a hash of the document's id
  std::string group_by;
  ViewOptions view;
  PageRequest page;
};

// filters, sort, search, partition, group_by, paging and view, from the body or the query (where filters and sort are text).
Result<DocumentQuery> read_document_query(const Request& request);

// The contract's ListDocumentsResponse.
Result<json::object> list_documents(const RequestContext& context, const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                    const DocumentQuery& query);
Result<json::object> list_groups(const RequestContext& context, const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                 const DocumentQuery& query);

}  // namespace quarry::service
