// Suggestions while a query is typed: collections, values of given fields, and what was asked before.
#include <algorithm>
#include <set>

#include "model/text.h"
#include "service/binding.h"
#include "service/collections.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/retriever_execution.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxFields = 10;
constexpr size_t kValuesRead = 10'000;   // of one field in one collection
constexpr size_t kExecutionsRead = 500;  // newest first

struct Asked {
  std::string query, folded;
  std::vector<std::string> fields;
  size_t limit = 10;
};

bool matches(std::string_view text, const Asked& asked) { return fold_text(text).find(asked.folded) != std::string::npos; }

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

Result<json::array> matching_values(const Dependencies& deps, const std::vector<OpenCollection>& collections, const Asked& asked,
                                    const std::string& field) {
  std::map<std::string, uint64_t> counts;
  for (const auto& opened : collections) {
    QUARRY_ASSIGN_OR_RETURN(auto values, deps.vectors->facet(opened.collection.table_id(), Filter{}, field, kValuesRead));
    for (const auto& value : values)
      if (value.value.is_string() && matches(value.value.get_string(), asked)) counts[std::string(value.value.get_string())] += value.count;
  }
  std::vector<std::pair<std::string, uint64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  json::array out;
  for (size_t i = 0; i < std::min(asked.limit, sorted.size()); ++i)
    out.push_back(json::object{{"field", field}, {"value", sorted[i].first}, {"count", sorted[i].second}});
  return out;
}

Result<json::array> recent_searches(const RequestContext& context, const Dependencies& deps, const Asked& asked) {
  deps.internals->executions.flush_for_read();
  catalog::ListQuery query;
  query.kind = catalog::kind::kExecution;
  query.scope = namespace_scope(context);
  query.limit = kExecutionsRead;
  QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
  json::array out;
  std::set<std::string> seen;
  for (const auto& execution : page.items) {
    std::string summary(string_member(execution.body, "query_summary"));
    if (out.size() < asked.limit && !summary.empty() && matches(summary, asked) && seen.insert(summary).second) out.emplace_back(summary);
  }
  return out;
}

Result<Reply> typeahead(const RequestContext& context, const Request& request, const Dependencies& deps) {
  Asked asked;
  asked.query = string_member(request.query, "q");
  asked.folded = fold_text(asked.query);
  asked.fields = split(string_member(request.query, "fields"));
  asked.limit = static_cast<size_t>(integer_member(request.query, "limit").value_or(10));
  if (asked.fields.size() > kMaxFields) return validation_error("too_long", {"query", "fields"}, "fields names at most 10 fields");
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {}));
  json::array found, values, suggestions;
  for (const auto& opened : collections)
    if (found.size() < asked.limit && matches(opened.resource.name, asked))
      found.push_back(json::object{{"collection_id", opened.resource.id}, {"collection_name", opened.resource.name}});
  for (const auto& field : asked.fields) {
    QUARRY_ASSIGN_OR_RETURN(json::array of_field, matching_values(deps, collections, asked, field));
    for (auto& value : of_field) values.push_back(std::move(value));
  }
  QUARRY_ASSIGN_OR_RETURN(json::array recent, recent_searches(context, deps, asked));
  for (const auto& text : recent) suggestions.push_back(text);
  for (const auto& value : values)
    if (suggestions.size() < asked.limit) suggestions.push_back(value.as_object().at("value"));
  return Reply(json::object{{"query", asked.query},
                            {"suggestions", std::move(suggestions)},
                            {"values", std::move(values)},
                            {"collections", std::move(found)},
                            {"recent_searches", std::move(recent)}});
}

}  // namespace

void bind_typeahead(OperationTable& table, const Dependencies& deps) { bind_operation(table, deps, "typeahead_retrievers", typeahead); }

}  // namespace quarry::service
