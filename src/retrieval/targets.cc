#include "retrieval/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace quarry::retrieval {
namespace {

bool names(const Collection& collection, std::string_view identifier) {
  return collection.collection_id == identifier || collection.name == identifier;
}

Result<std::vector<const Collection*>> narrowed(StageRun& run, const std::vector<std::string>& identifiers) {
  std::vector<const Collection*> out;
  const std::vector<Collection>& all = *run.execution.collections;
  if (identifiers.empty()) {
    for (const Collection& collection : all) out.push_back(&collection);
    return out;
  }
  for (const std::string& identifier : identifiers) {
    auto found = std::find_if(all.begin(), all.end(), [&](const Collection& c) { return names(c, identifier); });
    if (found != all.end()) {
      if (std::find(out.begin(), out.end(), &*found) == out.end()) out.push_back(&*found);
      continue;
    }
    std::string known;
    for (const Collection& c : all) known += (known.empty() ? "" : ", ") + c.collection_id;
    return bad_request(fmt::format("stage '{}' narrows to collection '{}', which is not among the retriever's: {}", run.parsed.stage_name,
                                   identifier.substr(0, 255), known));
  }
  return out;
}

bool is_tolerable(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kStorage:
    case ErrorKind::kCorruption:
    case ErrorKind::kTimeout:
    case ErrorKind::kUnavailable:
    case ErrorKind::kTooManyRequests:
    case ErrorKind::kNotFound: return true;
    default: return false;
  }
}

std::string reason_of(const Error& error) { return error.kind == ErrorKind::kTimeout ? "timeout" : error.message; }

void report_failure(StageRun& run, const Collection& collection, const Error& error) {
  bool is_cold = tier_of(collection) == "cold";
  run.warn(fmt::format("{} failed for collection {}: {}", is_cold ? "Cold search" : "Search", collection.collection_id, reason_of(error)));
  run.execution.degraded.push_back(
      json::object{{"resource", "collection"},
                   {"id", collection.collection_id},
                   {"reason", reason_of(error)},
                   {"next_step", "Results of the other collections are complete. Try again, or check the collection with `quarry doctor`."},
                   {"stage", run.parsed.stage_name}});
}

class FailureSettler {
 public:
  FailureSettler(StageRun& run, std::span<const Collection* const> targets) : run_(run), targets_(targets) {}

  Status settle(std::vector<Status>& statuses) {
    for (const Status& status : statuses)
      if (!status.ok() && !is_tolerable(status.error().kind)) return status.error();
    size_t failures = 0;
    for (size_t i = 0; i < statuses.size(); ++i) {
      if (statuses[i].ok()) continue;
      ++failures;
      bool late = statuses[i].error().kind == ErrorKind::kTimeout && run_.expired();
      late ? note_late(*targets_[i]) : note(*targets_[i], statuses[i].error());
    }
    if (failures == 0 || failures < statuses.size()) return Ok{};
    return is_late_ ? Status(Ok{}) : Status(first_failure(statuses));
  }

 private:
  static Error first_failure(std::vector<Status>& statuses) {
    auto failed = std::find_if(statuses.begin(), statuses.end(), [](const Status& s) { return !s.ok(); });
    return failed->error();
  }

  void note(const Collection& collection, const Error& error) {
    if (noted_.insert(&collection).second) report_failure(run_, collection, error);
  }

  void note_late(const Collection& collection) {
    is_late_ = true;
    if (run_.execution.now_us() >= run_.execution.deadline_us) run_.execution.exceeded = true;
    note(collection, Error{ErrorKind::kTimeout, "timeout"});
  }

  StageRun& run_;
  std::span<const Collection* const> targets_;
  std::set<const Collection*> noted_;
  bool is_late_ = false;
};

}  // namespace

std::string_view tier_of(const Collection& collection) { return collection.is_cold ? "cold" : "active"; }

Filter for_collection(const Filter& filter, const Collection& collection) {
  if (filter.kind == Filter::Kind::kCondition) {
    if (filter.field != "collection_id" && filter.field != "_source_tier" && filter.field != "score") return filter;
    Row row;
    row.collection = &collection;
    row.tier = tier_of(collection);
    Filter constant;
    constant.kind = matches_row(filter, row) ? Filter::Kind::kAnd : Filter::Kind::kOr;  // of nothing: all, or none
    return constant;
  }
  Filter out = filter;
  for (Filter& child : out.children) child = for_collection(Filter(child), collection);
  return out;
}

Result<std::vector<const Collection*>> target_collections(StageRun& run, const std::vector<std::string>& identifiers) {
  QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> targets, narrowed(run, identifiers));
  if (targets.empty()) return bad_request("the retriever names no collection to read; set collection_identifiers");
  json::array archived;
  std::string listed;
  std::erase_if(targets, [&](const Collection* collection) {
    if (collection->lifecycle != LifecycleState::kArchived) return false;
    archived.emplace_back(collection->collection_id);
    listed += (listed.empty() ? "" : ", ") + collection->collection_id;
    return true;
  });
  if (targets.empty()) return bad_request("Cannot search archived collections", {{"archived_collection_ids", std::move(archived)}});
  if (!archived.empty()) run.warn("Skipped archived collections: " + listed);
  return targets;
}

Status read_targets(StageRun& run, std::span<const Collection* const> targets, const std::function<Status(size_t)>& read) {
  std::vector<Status> statuses(targets.size(), Status(Ok{}));
  auto one = [&](size_t i) { statuses[i] = run.expired() ? Status(Error{ErrorKind::kTimeout, "timeout"}) : read(i); };
  if (targets.size() == 1) {
    one(0);
  } else {
    parallel_for(run.execution.env.executor, targets.size(), one);
  }
  return FailureSettler(run, targets).settle(statuses);
}

}  // namespace quarry::retrieval
