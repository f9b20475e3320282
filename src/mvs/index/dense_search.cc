#include "mvs/index/dense_search.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/kernels.h"
#include "mvs/hot/paging.h"
#include "mvs/index/filtered_plan.h"

namespace quarry::mvs {
namespace {

// A covered segment and the rows of it that may be results.
struct Selected {
  const SegmentView* view = nullptr;  // null: not covered, or no such row
  const NodeOfRow* nodes = nullptr;
  const VectorColumn* vectors = nullptr;
  const float* norms = nullptr;
  std::unique_ptr<Bitmap> rows;  // null: every live row
  size_t count = 0;
};

// Nodes to live rows up to which a walk may meet dead nodes as results.
constexpr double kMostDilution = 2;

class IndexedSearch {
 public:
  IndexedSearch(const Snapshot& snapshot, const ColumnIndex& index, const SearchRequest& request, const DenseQuery& query)
      : snapshot_(snapshot), index_(index), request_(request), query_(query.values) {}

  Status select() {
    selected_.resize(snapshot_.views.size());
    for (size_t i = 0; i < snapshot_.views.size(); ++i) {
      const SegmentView& view = snapshot_.views[i];
      const NodeOfRow* nodes = index_.of_segment(view.segment->uid());
      if (nodes == nullptr) continue;
      Selected& s = selected_[i];
      s.nodes = nodes;
      s.count = view.live;
      if (!request_.filter.matches_all()) {
        QUARRY_ASSIGN_OR_RETURN(Bitmap rows, filter_rows(request_.filter, *view.segment, view.live_rows()));
        s.count = rows.count();
        s.rows = std::make_unique<Bitmap>(std::move(rows));
      }
      if (s.count > 0) bind(s, view);
      matching_ += s.count;
    }
    return Ok{};
  }

  // The best of the covered rows, not in order.
  std::vector<ScoredRow> run() {
    if (matching_ == 0 || request_.k == 0) return {};
    const FilteredPlan plan = plan_filtered({index_.nodes.size(), matching_, query_.size(), effort()});
    if (plan.way == FilteredPlan::Way::kScore) return score_matching();
    QueryCodes& codes = thread_codes();
    index_.graph->quantizer().prepare(query_.data(), codes);
    if (takes_every_node()) return score(find(codes, plan, nullptr));
    if (std::vector<Candidate> live; walk_past_dead(codes, plan, live)) return score(live);
    const Bitmap wanted = wanted_nodes();
    return score(find(codes, plan, &wanted));
  }

  uint64_t rows_scored = 0;

 private:
  // A segment's own schema may number columns differently from the newest.
  void bind(Selected& s, const SegmentView& view) const {
    const RowBlock& block = view.segment->block();
    const int column = block.schema().find_vector(request_.vector_name);
    s.view = &view;
    s.vectors = block.vector(column);
    if (s.vectors != nullptr) s.norms = view.segment->norms(column);
  }

  static QueryCodes& thread_codes() {
    static thread_local QueryCodes codes;
    return codes;
  }

  size_t effort() const {
    if (request_.effort > 0) return std::max(request_.effort, request_.k);
    // A larger graph takes a wider beam for the same recall.
    const double growth = std::log2(std::max(1.0, double(index_.graph->linked()) / 65536));
    return std::max<size_t>(64, request_.k + request_.k / 2) + size_t(12 * growth);
  }

  // Candidates that are scored from their vectors.
  size_t kept() const { return request_.k + std::max<size_t>(10, request_.k / 4); }
  uint32_t known() const { return uint32_t(index_.nodes.size()); }

  // No row is filtered out, and no node is dead.
  bool takes_every_node() const {
    return index_.mapped == index_.nodes.size() &&
           std::all_of(selected_.begin(), selected_.end(),
                       [](const Selected& s) { return s.view == nullptr || (s.rows == nullptr && s.view->deleted == nullptr); });
  }

  const SegmentView* live_view(RowRef ref) const {
    const SegmentView* view = snapshot_.view(ref.segment);
    return view != nullptr && view->is_live(ref.row) ? view : nullptr;
  }

  // Where nothing but dead nodes is left out: a wider walk over all, which costs no set of the live ones. False: too many near the query are
  // dead, or there are nodes without links, of which the best may all be dead.
  bool walk_past_dead(const QueryCodes& codes, const FilteredPlan& plan, std::vector<Candidate>& out) const {
    const Graph& graph = *index_.graph;
    if (!request_.filter.matches_all() || plan.way != FilteredPlan::Way::kWalk || graph.linked() < known()) return false;
    const double dilution = double(index_.nodes.size()) / double(matching_);
    if (dilution > kMostDilution) return false;
    graph.search(codes, size_t(std::ceil(double(effort()) * dilution)), nullptr, out);
    std::erase_if(out, [&](const Candidate& c) { return live_view(index_.nodes.at(c.node)) == nullptr; });
    if (out.size() < std::min(matching_, std::max(request_.k, effort() / 2))) return false;
    if (out.size() > kept()) out.resize(kept());
    return true;
  }

  Bitmap wanted_nodes() const {
    Bitmap out(index_.nodes.size());
    for (const Selected& s : selected_)
      if (s.view != nullptr) s.nodes->add_nodes(s.rows != nullptr ? *s.rows : s.view->live_rows(), out);
    return out;
  }

  std::vector<Candidate> find(const QueryCodes& codes, const FilteredPlan& plan, const Bitmap* wanted) const {
    std::vector<Candidate> out;
    if (plan.way == FilteredPlan::Way::kWalk) {
      std::optional<NodeFilter> filter;
      if (wanted != nullptr) filter.emplace(NodeFilter{*wanted, plan.two_hops, plan.max_hops, matching_});
      if (walk(codes, filter, out) && out.size() >= std::min(request_.k, matching_)) return out;
    }
    index_.graph->scan(codes, 0, known(), kept(), wanted, out);
    return out;
  }

  // False: more hops than the filter allows.
  bool walk(const QueryCodes& codes, const std::optional<NodeFilter>& filter, std::vector<Candidate>& out) const {
    const Graph& graph = *index_.graph;
    const uint32_t linked = graph.linked();
    if (!graph.search(codes, effort(), filter ? &*filter : nullptr, out)) return false;
    if (out.size() > kept()) out.resize(kept());
    if (linked >= known()) return true;
    std::vector<Candidate> tail;
    graph.scan(codes, linked, known(), kept(), filter ? &filter->wanted : nullptr, tail);
    out.insert(out.end(), tail.begin(), tail.end());
    std::sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) { return a.key < b.key; });
    const auto twice = std::unique(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) { return a.node == b.node; });
    out.erase(twice, out.end());
    if (out.size() > kept()) out.resize(kept());
    return true;
  }

  Scorer scorer() const {
    const int column = snapshot_.schema->find_vector(request_.vector_name);
    return Scorer(snapshot_.schema->columns()[size_t(column)].vector.metric, query_.data(), query_.size());
  }

  void score_row(const Scorer& scorer, const Selected& s, uint32_t row, std::vector<ScoredRow>& out) {
    const float* vector = s.vectors == nullptr ? nullptr : s.vectors->at_row(row);
    if (vector == nullptr) return;
    ++rows_scored;
    const float score = scorer.score(vector, s.norms[size_t(s.vectors->ordinal(row))]);
    if (!request_.min_score || score >= *request_.min_score) out.push_back({score, s.view, row});
  }

  std::vector<ScoredRow> score_matching() {
    const Scorer scorer = this->scorer();
    std::vector<ScoredRow> out;
    for (const Selected& s : selected_) {
      if (s.view == nullptr) continue;
      const auto score = [&](size_t row) { score_row(scorer, s, uint32_t(row), out); };
      s.rows != nullptr ? s.rows->for_each(score) : s.view->live_rows().for_each(score);
    }
    return out;
  }

  // Those that are still live.
  template <typename Visit>
  void for_each_row(const std::vector<Candidate>& candidates, const Visit& visit) const {
    for (const Candidate& c : candidates) {
      const RowRef ref = index_.nodes.at(c.node);
      if (const SegmentView* view = live_view(ref)) visit(selected_[size_t(view - snapshot_.views.data())], ref.row);
    }
  }

  std::vector<ScoredRow> score(const std::vector<Candidate>& candidates) {
    const Scorer scorer = this->scorer();
    const bool from_disk = pages_lately();
    for_each_row(candidates, [&](const Selected& s, uint32_t row) {
      const float* vector = s.vectors == nullptr ? nullptr : s.vectors->at_row(row);
      if (vector == nullptr) return;
      if (from_disk) read_ahead(vector, query_.size() * sizeof(float));
      prefetch(vector, query_.size() * sizeof(float));
    });
    std::vector<ScoredRow> out;
    out.reserve(candidates.size());
    for_each_row(candidates, [&](const Selected& s, uint32_t row) { score_row(scorer, s, row, out); });
    return out;
  }

  const Snapshot& snapshot_;
  const ColumnIndex& index_;
  const SearchRequest& request_;
  const std::vector<float>& query_;
  std::vector<Selected> selected_;  // by view
  size_t matching_ = 0;
};

}  // namespace

Result<ExactResult> indexed_search(const Snapshot& snapshot, const ColumnIndex& index, const SearchRequest& request,
                                   const RowScorer& scorer, Executor* executor, const Clock& clock) {
  if (request.deadline_us != INT64_MAX && clock.steady_us() >= request.deadline_us)
    return Error(ErrorKind::kTimeout, "the search ran past its deadline");
  IndexedSearch search(snapshot, index, request, std::get<DenseQuery>(request.query));
  QUARRY_RETURN_IF_ERROR(search.select());
  std::vector<ScoredRow> rows = search.run();
  const auto is_uncovered = [&](const SegmentView& view) { return index.of_segment(view.segment->uid()) == nullptr; };
  ExactResult out;
  if (std::any_of(snapshot.views.begin(), snapshot.views.end(), is_uncovered)) {
    QUARRY_ASSIGN_OR_RETURN(out, exact_search(snapshot, request, scorer, executor, clock, is_uncovered));
  }
  out.rows_scored += search.rows_scored;
  out.rows.insert(out.rows.end(), rows.begin(), rows.end());
  std::sort(out.rows.begin(), out.rows.end(), better);
  if (out.rows.size() > request.k) out.rows.resize(request.k);
  return out;
}

Result<ExactResult> indexed_groups(const Snapshot& snapshot, const ColumnIndex& index, const SearchRequest& request,
                                   const RowScorer& scorer, Executor* executor, const Clock& clock) {
  constexpr size_t kMostRows = 4096;
  QUARRY_ASSIGN_OR_RETURN(auto found, groups_of_best(request, kMostRows, [&](const SearchRequest& rows) {
                            return indexed_search(snapshot, index, rows, scorer, executor, clock);
                          }));
  if (found) return std::move(*found);
  return exact_search(snapshot, request, scorer, executor, clock);
}

}  // namespace quarry::mvs
