// Document lists grouped by a field's values.
#include <algorithm>

#include "service/document_listing.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxGroups = 10'000;
constexpr size_t kDocumentsPerGroup = 100;  // shown; `count` is that of all

struct Group {
  json::value key;
  uint64_t count = 0;
};

Result<std::vector<Group>> count_groups(const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                        const DocumentQuery& query) {
  std::vector<Group> groups;
  for (const auto& opened : collections) {
    Filter filter = settle_collection_id(query.filter, opened.collection);
    QUARRY_ASSIGN_OR_RETURN(auto values, deps.vectors->facet(opened.collection.table_id(), filter, query.group_by, kMaxGroups));
    for (auto& value : values) groups.push_back({std::move(value.value), value.count});
  }
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return compare_json(a.key, b.key) < 0; });
  std::vector<Group> merged;
  for (auto& group : groups) {
    if (!merged.empty() && compare_json(merged.back().key, group.key) == 0)
      merged.back().count += group.count;
    else
      merged.push_back(std::move(group));
  }
  std::stable_sort(merged.begin(), merged.end(), [](const Group& a, const Group& b) { return a.count > b.count; });
  return merged;
}

Result<json::array> members(const RequestContext& context, const Dependencies& deps, const std::vector<OpenCollection>& collections,
                            const DocumentQuery& query, const Group& group) {
  json::array shown;
  for (const auto& opened : collections) {
    if (shown.size() >= kDocumentsPerGroup) break;
    mvs::ScanRequest scan;
    scan.table_id = opened.collection.table_id();
    scan.filter = all_of({settle_collection_id(query.filter, opened.collection), equals(query.group_by, group.key)});
    scan.sort = query.sort;
    scan.limit = kDocumentsPerGroup - shown.size();
    scan.projection = projection_of(query.view);
    QUARRY_ASSIGN_OR_RETURN(auto found, deps.vectors->scan(scan));
    for (const auto& document : found.documents) shown.push_back(show_document(context, deps, opened.collection, document, query.view));
  }
  return shown;
}

}  // namespace

Result<json::object> list_groups(const RequestContext& context, const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                 const DocumentQuery& query) {
  if (!query.search.empty() || query.partition_count > 1)
    return Error{ErrorKind::kNotImplemented, "group_by together with search or partition is not built yet; use filters"};
  if (!query.page.after.empty())
    return validation_error("cursor", {"body", "cursor"}, "groups are paged by offset and limit, not by a cursor");
  QUARRY_ASSIGN_OR_RETURN(auto groups, count_groups(deps, collections, query));
  size_t begin = std::min(query.page.offset, groups.size());
  size_t end = std::min(begin + query.page.limit, groups.size());
  uint64_t documents = 0;
  for (const auto& group : groups) documents += group.count;
  json::array shown;
  for (size_t i = begin; i < end; ++i) {
    QUARRY_ASSIGN_OR_RETURN(json::array of_group, members(context, deps, collections, query, groups[i]));
    shown.push_back(json::object{{"group_key", groups[i].key}, {"documents", std::move(of_group)}, {"count", groups[i].count}});
  }
  json::object reply{{"results", json::array{}}, {"group_by_field", query.group_by}};
  reply["pagination"] = pagination(query.page, shown.size(), end < groups.size(), groups.size(), "");
  double mean = groups.empty() ? 0.0 : static_cast<double>(documents) / static_cast<double>(groups.size());
  reply["stats"] = json::object{{"total_documents", documents}, {"total_groups", groups.size()}, {"avg_documents_per_group", mean}};
  reply["groups"] = std::move(shown);
  return reply;
}

}  // namespace quarry::service
