// Rows as the reply shows them. Private to this folder.
#pragma once

#include "retrieval/stage.h"

namespace quarry::retrieval {

// {document_id, collection_id, score, _source_tier, lineage, created_at, updated_at, ...payload}; document_blobs in place of the stored
// source_blobs, with presigned URLs if asked for; vectors by name if asked for (read here, one read a collection; failures become
// warnings).
std::vector<json::object> present(std::vector<Row> rows, const Execution& execution, std::vector<std::string>& warnings);

}  // namespace quarry::retrieval
