#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "model/collection.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kPage = 500;

using Collections = std::map<std::string, Collection>;  // by id

bool takes_part(const Collection& collection) {
  return collection.enabled && (collection.lifecycle == LifecycleState::kActive || collection.lifecycle == LifecycleState::kCold);
}

Result<Collections> load_collections(catalog::Session& session, const catalog::Scope& scope) {
  Collections out;
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = scope;
  query.sort = catalog::SortKey::kId;
  query.descending = false;
  query.limit = kPage;
  for (bool more = true; more;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, session.list(query));
    for (const catalog::Resource& resource : page.items) {
      QUARRY_ASSIGN_OR_RETURN(Collection collection, parse_collection(resource.body, scope.organization_id, scope.namespace_id));
      if (takes_part(collection)) out.emplace(resource.id, std::move(collection));
    }
    more = page.has_more && !page.items.empty();
    if (more) query.after = page.last;
  }
  return out;
}

bool fed_by_bucket(const Collection& collection, std::string_view bucket_id) {
  const auto& ids = collection.source.bucket_ids;
  return collection.source.type == "bucket" && std::find(ids.begin(), ids.end(), bucket_id) != ids.end();
}

// What the bucket reaches, with each collection's sources among those reached.
std::map<std::string, std::set<std::string>> reachable(const Collections& collections, std::string_view bucket_id) {
  std::map<std::string, std::set<std::string>> sources;
  for (const auto& [id, collection] : collections)
    if (fed_by_bucket(collection, bucket_id)) sources[id];
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [id, collection] : collections) {
      if (collection.source.type != "collection") continue;
      for (const std::string& source : collection.source.collection_ids) {
        if (!sources.contains(source)) continue;
        grew = sources[id].insert(source).second || grew;
      }
    }
  }
  return sources;
}

Result<std::set<std::string>> narrowed(const std::map<std::string, std::set<std::string>>& sources, const Collections& collections,
                                       std::string_view bucket_id, const std::vector<std::string>& only) {
  std::set<std::string> keep;
  std::vector<std::string> open;
  for (const std::string& wanted : only) {
    auto found = std::find_if(collections.begin(), collections.end(),
                              [&](const auto& entry) { return entry.first == wanted || entry.second.name == wanted; });
    if (found == collections.end()) return not_found(fmt::format("Collection '{}' not found, or it takes no documents", wanted));
    if (!sources.contains(found->first)) return bad_request(fmt::format("Collection '{}' is not fed by bucket '{}'", wanted, bucket_id));
    open.push_back(found->first);
  }
  while (!open.empty()) {
    std::string id = std::move(open.back());
    open.pop_back();
    if (!keep.insert(id).second) continue;
    for (const std::string& source : sources.at(id)) open.push_back(source);
  }
  return keep;
}

// Kahn's algorithm by levels: a collection runs one tier after the last of its sources.
Result<std::vector<std::vector<std::string>>> layer(const std::map<std::string, std::set<std::string>>& sources) {
  std::vector<std::vector<std::string>> tiers;
  std::set<std::string> placed;
  while (placed.size() < sources.size()) {
    std::vector<std::string> tier;
    for (const auto& [id, from] : sources) {
      if (placed.contains(id)) continue;
      if (std::all_of(from.begin(), from.end(), [&](const std::string& source) { return placed.contains(source); })) tier.push_back(id);
    }
    if (tier.empty()) {
      std::vector<std::string> left;
      for (const auto& [id, from] : sources)
        if (!placed.contains(id)) left.push_back(id);
      return bad_request(fmt::format("Collections feed each other in a circle: {}", fmt::join(left, ", ")),
                         {{"collection_ids", json::value_from(left)}});
    }
    placed.insert(tier.begin(), tier.end());
    tiers.push_back(std::move(tier));
  }
  return tiers;
}

}  // namespace

Result<std::vector<std::vector<std::string>>> plan_tiers(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id,
                                                         const std::vector<std::string>& only_collections) {
  QUARRY_ASSIGN_OR_RETURN(Collections collections, load_collections(session, scope));
  auto sources = reachable(collections, bucket_id);
  if (!only_collections.empty()) {
    QUARRY_ASSIGN_OR_RETURN(std::set<std::string> keep, narrowed(sources, collections, bucket_id, only_collections));
    std::erase_if(sources, [&](const auto& entry) { return !keep.contains(entry.first); });
  }
  return layer(sources);
}

}  // namespace quarry::pipeline
