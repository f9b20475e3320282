// Merges, fuses, groups and cuts what the searches found.
#include <algorithm>
#include <unordered_map>

#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

// Every document once, in the order of discovery. Rows keep their addresses.
class RowPool {
 public:
  uint32_t add(Row&& row) {
    std::string key = row.collection->collection_id + '\n' + row.document.document_id;
    auto [found, is_new] = index_.try_emplace(std::move(key), static_cast<uint32_t>(rows_.size()));
    if (is_new) rows_.push_back(std::move(row));
    return found->second;
  }
  Row& at(uint32_t index) { return rows_[index]; }
  size_t size() const { return rows_.size(); }

  std::vector<Row> ranked(const std::vector<double>& scores) && {
    std::vector<Row> out;
    out.reserve(rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      rows_[i].score = scores[i];
      out.push_back(std::move(rows_[i]));
    }
    std::sort(out.begin(), out.end(), ranks_before);
    return out;
  }

 private:
  std::vector<Row> rows_;
  std::unordered_map<std::string, uint32_t> index_;
};

// Scores of one feature under one metric can be compared; others only by rank.
std::string comparable_key(const SearchTask& task) {
  if (task.vector == nullptr) return std::string(kWordFeature);  // each collection has its own statistics, as in other engines
  return (task.vector->feature_uri.empty() ? task.vector->name : task.vector->feature_uri) + '\n' + task.vector->metric;
}

std::vector<Row> by_rank_only(std::vector<std::vector<Row>> lists) {
  RowPool pool;
  std::vector<RankedList> ranked;
  for (std::vector<Row>& list : lists) {
    RankedList& out = ranked.emplace_back();
    for (Row& row : list) {
      double score = row.score;
      out.hits.push_back({pool.add(std::move(row)), score});
    }
  }
  std::vector<double> scores = fuse(Fusion::kRrf, ranked, pool.size());
  return std::move(pool).ranked(scores);
}

// One search's list over all its collections: by true score where scores compare, by reciprocal ranks where they do not.
std::vector<Row> merge_search(size_t search, const SearchPlan& plan, std::vector<TaskResult>& results) {
  std::map<std::string, std::vector<Row>> by_class;
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    if (plan.tasks[i].search != search) continue;
    std::vector<Row>& list = by_class[comparable_key(plan.tasks[i])];
    for (Row& row : results[i].rows) {
      row.feature_scores = {{std::string(plan.tasks[i].feature_uri()), row.score}};
      list.push_back(std::move(row));
    }
  }
  std::vector<std::vector<Row>> lists;
  for (auto& [key, list] : by_class) {
    std::sort(list.begin(), list.end(), ranks_before);
    lists.push_back(std::move(list));
  }
  if (lists.empty()) return {};
  return lists.size() == 1 ? std::move(lists.front()) : by_rank_only(std::move(lists));
}

void add_feature_scores(Row& to, std::vector<FeatureScore> scores) {
  for (FeatureScore& score : scores) {
    auto same = std::find_if(to.feature_scores.begin(), to.feature_scores.end(),
                             [&](const FeatureScore& s) { return s.feature_uri == score.feature_uri; });
    if (same == to.feature_scores.end()) {
      to.feature_scores.push_back(std::move(score));
    } else {
      same->score = std::max(same->score, score.score);
    }
  }
}

std::vector<Row> fuse_searches(const FeatureSearchSpec& spec, std::vector<std::vector<Row>> lists) {
  RowPool pool;
  std::vector<RankedList> ranked(lists.size());
  for (size_t i = 0; i < lists.size(); ++i) {
    ranked[i].weight = spec.searches[i].weight;
    for (Row& row : lists[i]) {
      double score = row.score;
      std::vector<FeatureScore> own = std::exchange(row.feature_scores, {});
      row.is_fused = true;
      uint32_t index = pool.add(std::move(row));
      add_feature_scores(pool.at(index), std::move(own));
      ranked[i].hits.push_back({index, score});
    }
  }
  std::vector<double> scores = fuse(spec.fusion, ranked, pool.size());
  return std::move(pool).ranked(scores);
}

}  // namespace

std::vector<Row> combine(const FeatureSearchSpec& spec, const SearchPlan& plan, std::vector<TaskResult> results,
                         std::vector<std::vector<Row>> random) {
  std::vector<std::vector<Row>> lists;
  bool is_grouped_in_store = spec.searches.size() == 1 && spec.group_by.has_value();
  for (size_t i = 0; i < spec.searches.size(); ++i) {
    lists.push_back(merge_search(i, plan, results));
    if (!is_grouped_in_store && lists[i].size() > spec.searches[i].top_k) lists[i].resize(spec.searches[i].top_k);
  }
  for (size_t i = 0; i < plan.random_searches.size(); ++i) lists[plan.random_searches[i]] = std::move(random[i]);
  return lists.size() == 1 ? std::move(lists.front()) : fuse_searches(spec, std::move(lists));
}

size_t keep_groups(std::vector<Row>& rows, const GroupBySpec& group) {
  size_t members_kept = group.first_only ? 1 : group.max_per_group;
  std::unordered_map<std::string, size_t> index;
  std::vector<std::vector<Row>> groups;
  json::value scratch;
  for (Row& row : rows) {
    const json::value* value = row_field(row, group.field, scratch);
    if (value == nullptr || value->is_null()) continue;
    std::string key = json::serialize(*value);
    auto found = index.find(key);
    if (found == index.end()) {
      if (groups.size() == group.limit) continue;
      found = index.emplace(std::move(key), groups.size()).first;
      groups.emplace_back();
    }
    std::vector<Row>& members = groups[found->second];
    if (members.size() < members_kept) members.push_back(std::move(row));
  }
  rows.clear();
  for (std::vector<Row>& members : groups) std::move(members.begin(), members.end(), std::back_inserter(rows));
  return groups.size();
}

void cut(const FeatureSearchSpec& spec, std::vector<Row>& rows) {
  if (rows.size() > spec.final_top_k) rows.resize(spec.final_top_k);
}

}  // namespace quarry::retrieval
