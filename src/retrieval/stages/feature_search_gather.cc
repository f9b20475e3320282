// Runs the searches against the store.
#include <algorithm>
#include <set>

#include "base/hash.h"
#include "retrieval/stages/feature_search.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

// A filter that lets through what equals one of `values`; nothing if there are none.
Result<Filter> one_of(const std::string& field, const json::array& values) {
  Filter any;
  any.kind = Filter::Kind::kOr;
  for (size_t begin = 0; begin < values.size(); begin += kMaxFilterValues) {
    const json::value* first = values.data() + begin;
    json::array part(first, first + std::min(kMaxFilterValues, values.size() - begin));
    QUARRY_ASSIGN_OR_RETURN(Filter in, condition(field, FilterOp::kIn, std::move(part)));
    any.children.push_back(std::move(in));
  }
  return any;
}

// Groups that one collection returned but another may have left out because its own list of groups was full.
struct OpenGroups {
  json::array values;
  std::set<std::string> seen, open;  // serialised
};

class Gatherer {
 public:
  Gatherer(const FeatureSearchSpec& spec, const SearchPlan& plan, const GatherOptions& options, StageRun& run)
      : spec_(spec), plan_(plan), options_(options), run_(run), results_(plan.tasks.size()) {}

  Result<std::vector<TaskResult>> run() {
    std::vector<const Collection*> targets;
    for (const SearchTask& task : plan_.tasks) targets.push_back(task.collection);
    if (targets.empty()) return std::move(results_);
    QUARRY_RETURN_IF_ERROR(read_targets(run_, targets, [&](size_t i) -> Status {
      QUARRY_ASSIGN_OR_RETURN(mvs::SearchRequest request, request_of(i));
      return search(i, std::move(request));
    }));
    if (options_.group_in_store && plan_.tasks.size() > 1) QUARRY_RETURN_IF_ERROR(complete_groups(targets));
    return std::move(results_);
  }

 private:
  Result<mvs::SearchRequest> request_of(size_t i) const {
    const SearchTask& task = plan_.tasks[i];
    const SearchSpec& search = spec_.searches[task.search];
    mvs::SearchRequest request;
    request.table_id = task.collection->table_id();
    if (task.vector != nullptr) request.vector_name = task.vector->name;
    request.query = task.vector == nullptr ? mvs::Query(text_query(search, task)) : task.query;
    QUARRY_ASSIGN_OR_RETURN(request.filter, filter_of(search, *task.collection, run_.execution));
    request.k = std::min(search.top_k, options_.k_limit);
    if (search.min_score) request.min_score = static_cast<float>(*search.min_score);
    request.exact = search.exact || run_.execution.options.exact;
    request.effort = search.effort;
    request.deadline_us = run_.deadline_us;
    request.projection.payload = options_.with_payload;
    if (spec_.group_by) set_group(request);
    return request;
  }

  // The field must come along even where the payload does not.
  void set_group(mvs::SearchRequest& request) const {
    const std::string& field = spec_.group_by->field;
    if (!options_.with_payload && !is_result_member(field)) {
      request.projection.payload = true;
      request.projection.fields = {field.substr(0, field.find('.')), field};
    }
    if (options_.group_in_store) request.group = mvs::GroupSpec{field, spec_.group_by->max_per_group, spec_.group_by->limit};
  }

  Status search(size_t i, mvs::SearchRequest request) {
    QUARRY_ASSIGN_OR_RETURN(mvs::SearchResult found, run_.execution.env.vectors->search(request));
    TaskResult& out = results_[i];
    out.rows_scored += found.rows_scored;
    out.rows.reserve(out.rows.size() + found.hits.size());
    for (mvs::Hit& hit : found.hits) {
      Row row;
      row.collection = plan_.tasks[i].collection;
      row.document = std::move(hit.document);
      row.score = hit.score;
      row.tier = mvs::to_string(found.tier);
      out.rows.push_back(std::move(row));
    }
    return Ok{};
  }

  // A group that leads in one collection may rank past the last group of another, whose members still belong to it: ask that one for them.
  Status complete_groups(const std::vector<const Collection*>& targets) {
    std::vector<OpenGroups> groups(results_.size());
    std::map<std::string, json::value> all;
    for (size_t i = 0; i < results_.size(); ++i)
      for (const Row& row : results_[i].rows) note_group(row, groups[i], all);
    std::vector<size_t> asked;
    std::vector<const Collection*> asked_targets;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (groups[i].seen.size() < spec_.group_by->limit) continue;  // it listed every group it has
      for (const auto& [key, value] : all)
        if (!groups[i].seen.contains(key)) {
          groups[i].values.push_back(value);
          groups[i].open.insert(key);
        }
      if (groups[i].values.empty()) continue;
      asked.push_back(i);
      asked_targets.push_back(targets[i]);
    }
    if (asked.empty()) return Ok{};
    return read_targets(run_, asked_targets, [&](size_t n) -> Status {
      QUARRY_ASSIGN_OR_RETURN(mvs::SearchRequest request, completion_of(asked[n], groups[asked[n]]));
      size_t before = results_[asked[n]].rows.size();
      QUARRY_RETURN_IF_ERROR(search(asked[n], std::move(request)));
      take_open(groups[asked[n]], before, results_[asked[n]].rows);
      return Ok{};
    });
  }

  void take_open(const OpenGroups& groups, size_t from, std::vector<Row>& rows) const {
    auto is_other = [&](const Row& row) {
      json::value scratch;
      const json::value* value = row_field(row, spec_.group_by->field, scratch);
      return value == nullptr || !groups.open.contains(json::serialize(*value));
    };
    rows.erase(std::remove_if(rows.begin() + static_cast<ptrdiff_t>(from), rows.end(), is_other), rows.end());
  }

  void note_group(const Row& row, OpenGroups& own, std::map<std::string, json::value>& all) const {
    json::value scratch;
    const json::value* value = row_field(row, spec_.group_by->field, scratch);
    if (value == nullptr || value->is_null()) return;
    std::string key = json::serialize(*value);
    all.emplace(key, *value);
    own.seen.insert(std::move(key));
  }

  // Where the path leads through arrays of objects, a group is a list whose members the filter knows by the list's elements. That lets
  // other groups in, which take_open() drops.
  Result<mvs::SearchRequest> completion_of(size_t i, const OpenGroups& open) const {
    QUARRY_ASSIGN_OR_RETURN(mvs::SearchRequest request, request_of(i));
    json::array values = open.values;
    for (const json::value& group : open.values)
      if (const json::array* list = group.if_array()) values.insert(values.end(), list->begin(), list->end());
    QUARRY_ASSIGN_OR_RETURN(Filter in, one_of(spec_.group_by->field, values));
    std::vector<Filter> both{std::move(request.filter), std::move(in)};
    request.filter = all_of(std::move(both));
    request.group->limit = SIZE_MAX;
    return request;
  }

  const FeatureSearchSpec& spec_;
  const SearchPlan& plan_;
  const GatherOptions& options_;
  StageRun& run_;
  std::vector<TaskResult> results_;
};

struct Draw {
  uint64_t key = 0;
  const Collection* collection = nullptr;
  std::string document_id;
  bool operator<(const Draw& other) const { return key < other.key; }
};

// Keeps the `count` documents with the least hashes: an even draw that one pass over any number of rows makes.
Status draw_from(const Collection& collection, const Filter& filter, size_t count, StageRun& run, std::vector<Draw>& heap) {
  mvs::Projection none{.payload = false, .vectors = false, .vector_names = {}, .fields = {}};
  return run.execution.env.vectors->for_each(collection.table_id(), filter, none, [&](const Document& document) {
    uint64_t key = hash64(document.document_id, run.execution.seed);
    if (heap.size() < count || key < heap.front().key) {
      if (heap.size() == count) {
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back({key, &collection, document.document_id});
      std::push_heap(heap.begin(), heap.end());
    }
    return !run.expired();
  });
}

}  // namespace

Result<Filter> filter_of(const SearchSpec& search, const Collection& collection, const Execution& execution) {
  std::vector<Filter> parts;
  for (const Filter* part : {&search.filter, &execution.filter, &execution.pushed})
    if (!part->matches_all()) parts.push_back(*part);
  if (execution.started) {
    json::array ids;
    for (const Row& row : execution.rows)
      if (row.collection == &collection) ids.emplace_back(row.document.document_id);
    QUARRY_ASSIGN_OR_RETURN(Filter left, one_of("document_id", ids));
    parts.push_back(std::move(left));
  }
  return for_collection(all_of(std::move(parts)), collection);
}

Result<std::vector<TaskResult>> gather(const FeatureSearchSpec& spec, const SearchPlan& plan, const GatherOptions& options, StageRun& run) {
  return Gatherer(spec, plan, options, run).run();
}

Result<std::vector<std::vector<Row>>> gather_random(const FeatureSearchSpec& spec, const SearchPlan& plan, StageRun& run) {
  std::vector<std::vector<Row>> out;
  for (size_t index : plan.random_searches) {
    const SearchSpec& search = spec.searches[index];
    const std::vector<const Collection*>& targets = plan.targets[index];
    std::vector<std::vector<Draw>> drawn(targets.size());
    QUARRY_RETURN_IF_ERROR(read_targets(run, targets, [&](size_t i) -> Status {
      QUARRY_ASSIGN_OR_RETURN(Filter filter, filter_of(search, *targets[i], run.execution));
      return draw_from(*targets[i], filter, search.top_k, run, drawn[i]);
    }));
    std::vector<Draw> all;
    for (std::vector<Draw>& one : drawn) all.insert(all.end(), std::make_move_iterator(one.begin()), std::make_move_iterator(one.end()));
    std::sort(all.begin(), all.end());
    if (all.size() > search.top_k) all.resize(search.top_k);
    std::vector<Row>& rows = out.emplace_back();
    for (Draw& draw : all) {
      Row row;
      row.collection = draw.collection;
      row.document.document_id = std::move(draw.document_id);
      row.score = 0;
      row.tier = tier_of(*draw.collection);
      rows.push_back(std::move(row));
    }
  }
  return out;
}

}  // namespace quarry::retrieval
