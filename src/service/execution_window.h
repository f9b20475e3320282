// Which part of an execution's results a request wants: {method: offset | cursor | keyset | scroll}, or limit with offset, page or cursor
// beside it.
#pragma once

#include "service/service.h"

namespace quarry::service {

struct Window {
  std::string method = "offset";
  size_t offset = 0;
  size_t limit = 0;            // 0: the last stage decides
  std::string after_document;  // keyset: results up to this one are skipped
  int64_t scroll_ttl_seconds = 300;
};

// `subject` names what is paged (a retriever's id): a cursor works for it alone. 400 for a cursor that is not ours or has expired.
Result<Window> read_window(const Request& request, const Dependencies& deps, std::string_view subject);

// What `execute` has to bring for the window.
void apply_window(const Window& window, retrieval::ExecuteOptions& options);

// The reply's pagination: offset, returned, total, has_more and what leads to the next page by this method.
json::object show_window(const Window& window, const retrieval::ExecutionResult& result, const Dependencies& deps,
                         std::string_view subject);

}  // namespace quarry::service
