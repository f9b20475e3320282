// A text search through the API and its results on a terminal; used by `search` and `demo`.
#pragma once

#include "main/client.h"

namespace quarry::verbs {

struct TextSearch {
  std::string text;
  size_t limit = 5;
  std::vector<std::string> collections;  // empty: every collection of the namespace that holds text vectors
  bool by_words = false;
};
Result<json::value> search_text(Client& client, TextSearch search);
void print_results(const std::string& text, const json::value& reply, double milliseconds);

}  // namespace quarry::verbs
