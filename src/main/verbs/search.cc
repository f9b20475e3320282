#include <fmt/format.h>

#include <cstdio>

#include "base/clock.h"
#include "main/verbs/ensure.h"
#include "main/verbs/search_print.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

constexpr std::string_view kTextFeature = "mixpeek://text_extractor@v1/embedding";
constexpr std::string_view kWordFeature = "mixpeek://bm25@v1/text";
constexpr size_t kSnippetBytes = 220;

bool has_text_vectors(const json::value& collection) {
  for (const auto& index : array_of(collection, "vector_indexes"))
    if (text_of(index, "feature_uri").starts_with("mixpeek://text_extractor@")) return true;
  return false;
}

Result<std::vector<std::string>> text_collections(Client& client) {
  std::vector<std::string> ids;
  QUARRY_ASSIGN_OR_RETURN(json::value page, client.call("POST", "/v1/collections/list?limit=1000", json::object{}));
  for (const auto& c : array_of(page, "results"))
    if (has_text_vectors(c) && text_of(c, "lifecycle_state") != "archived") ids.push_back(text_of(c, "collection_id"));
  if (ids.empty()) return not_found("no collection of this namespace holds text: 'quarry ingest FOLDER' makes one");
  return ids;
}

// One line of printable text, cut at a character's edge.
std::string snippet(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ' ' && b == ' '; }), text.end());
  if (text.size() <= kSnippetBytes) return text;
  size_t cut = kSnippetBytes;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

void print_result(size_t rank, const json::value& r) {
  const auto* score = r.as_object().if_contains("score");
  std::string place = text_of(r, "path");
  if (place.empty()) place = text_of(r, "document_id");
  if (int64_t page = integer_of(r, "page_number"); page > 0) place += fmt::format(", page {}", page);
  std::printf("  %2zu. %.4f  %s  [%s]\n      %s\n", rank, score == nullptr ? 0.0 : score->to_number<double>(), place.c_str(),
              text_of(r, "_source_tier").c_str(), snippet(text_of(r, "text")).c_str());
}

}  // namespace

Result<json::value> search_text(Client& client, TextSearch search) {
  if (search.collections.empty()) {
    QUARRY_ASSIGN_OR_RETURN(search.collections, text_collections(client));
  }
  json::object query{{"input_mode", "text"}, {"value", "{{INPUT.query}}"}};
  json::object one{{"feature_uri", search.by_words ? kWordFeature : kTextFeature}, {"query", std::move(query)}, {"top_k", search.limit}};
  json::object parameters{{"searches", json::array{std::move(one)}}, {"final_top_k", search.limit}};
  json::object stage{{"stage_name", "search"},
                     {"stage_type", "filter"},
                     {"config", {{"stage_id", "feature_search"}, {"parameters", std::move(parameters)}}}};
  json::object body{{"collection_identifiers", json::array(search.collections.begin(), search.collections.end())},
                    {"input_schema", {{"query", {{"type", "text"}, {"required", true}}}}},
                    {"stages", json::array{std::move(stage)}},
                    {"inputs", {{"query", search.text}}}};
  return client.call("POST", "/v1/retrievers/execute", body);
}

void print_results(const std::string& text, const json::value& reply, double milliseconds) {
  const auto& results = array_of(reply, "results");
  std::printf("\"%s\": %zu results in %.1f ms\n", text.c_str(), results.size(), milliseconds);
  size_t rank = 0;
  for (const auto& r : results) print_result(++rank, r);
}

int search(const Config& config, const SearchOptions& options) {
  auto credentials = find_credentials(config);
  if (!credentials.ok()) return fail(credentials.error());
  Client client(*credentials);
  int64_t began = system_clock().steady_us();
  auto reply = search_text(client, {options.text, options.limit, options.collections, options.by_words});
  if (!reply.ok()) return fail(reply.error());
  if (options.as_json)
    std::printf("%s\n", json::serialize(*reply).c_str());
  else
    print_results(options.text, *reply, static_cast<double>(system_clock().steady_us() - began) / 1000.0);
  return 0;
}

}  // namespace quarry::verbs
