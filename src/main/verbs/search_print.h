// A text search through the API and its results on a terminal; used by `search` and `demo`.
#pragma once

#include "main/client.h"

namespace quarry::verbs {

// Over `collections`, or every collection of the namespace that holds text vectors.
Result<json::value> search_text(Client& client, const std::string& text, size_t limit, std::vector<std::string> collections);
void print_results(const std::string& text, const json::value& reply, double milliseconds);

}  // namespace quarry::verbs
