// Finding buckets, collections, retrievers and namespaces by name or description.
#include <algorithm>

#include "model/text.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxOfKind = 10'000;  // read per kind

struct Match {
  catalog::Resource resource;
  bool by_name = false;
};

bool contains(std::string_view text, const std::string& folded) { return fold_text(text).find(folded) != std::string::npos; }

bool reaches(const RequestContext& context, const catalog::Resource& resource) {
  return resource.kind != catalog::kind::kNamespace || context.reaches(resource.id);
}

Status find_matches(const RequestContext& context, const Dependencies& deps, std::string_view kind, const std::string& folded,
                    std::vector<Match>& out) {
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = kind == catalog::kind::kNamespace ? organization_scope(context) : namespace_scope(context);
  query.limit = kMaxOfKind;
  QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
  for (auto& resource : page.items) {
    if (!reaches(context, resource)) continue;
    bool by_name = contains(resource.name, folded);
    if (by_name || contains(resource.id, folded) || contains(string_member(resource.body, "description"), folded))
      out.push_back({std::move(resource), by_name});
  }
  return Ok{};
}

json::object show_match(const catalog::Resource& resource) {
  json::object shown{{"resource_type", resource.kind}, {"resource_id", resource.id}, {"resource_name", resource.name}};
  copy_members(shown, resource.body, {"description"});
  shown["created_at"] = format_timestamp(resource.created_at);
  shown["updated_at"] = format_timestamp(resource.updated_at);
  return shown;
}

// Matches by name come before those by description, newer ones first within each.
Result<Reply> search_resources(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  std::string folded = fold_text(string_member(body, "query"));
  auto wanted = strings_member(body, "resource_types");
  auto limit = static_cast<size_t>(integer_member(body, "limit").value_or(20));
  auto offset = static_cast<size_t>(integer_member(body, "offset").value_or(0));
  std::vector<Match> matches;
  for (std::string_view kind : {catalog::kind::kBucket, catalog::kind::kCollection, catalog::kind::kRetriever, catalog::kind::kNamespace})
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), kind) != wanted.end())
      QUARRY_RETURN_IF_ERROR(find_matches(context, deps, kind, folded, matches));
  std::stable_sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
    if (a.by_name != b.by_name) return a.by_name;
    return a.resource.updated_at > b.resource.updated_at;
  });
  json::array results;
  for (size_t i = std::min(offset, matches.size()); i < std::min(matches.size(), offset + limit); ++i)
    results.push_back(show_match(matches[i].resource));
  return Reply(json::object{{"results", std::move(results)}, {"total", matches.size()}, {"limit", limit}, {"offset", offset}});
}

}  // namespace

void bind_resource_search(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "search_resources", search_resources);
}

}  // namespace quarry::service
