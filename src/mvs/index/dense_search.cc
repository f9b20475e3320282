#include "mvs/index/dense_search.h"

#include <algorithm>
#include <cmath>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/kernels.h"

namespace quarry::mvs {
namespace {

// Reading a node's codes out of order, and one hop of a walk, in nanoseconds: what the choice between them goes by.
constexpr double kScanNs = 10, kHopNs = 700;

// A covered segment and the rows of it that may be results.
struct Selected {
  const SegmentView* view = nullptr;  // null: not covered, or no such row
  const NodeOfRow* nodes = nullptr;
  const VectorColumn* vectors = nullptr;
  const float* norms = nullptr;
  std::unique_ptr<Bitmap> rows;  // null: every row
  size_t count = 0;
};

// Nodes by the rows they stand for.
class RowFilter final : public NodeFilter {
 public:
  RowFilter(const Snapshot& snapshot, const NodeMap& nodes, const std::vector<Selected>& selected)
      : snapshot_(snapshot), nodes_(nodes), selected_(selected) {}

  bool accepts(uint32_t node) const override {
    const RowRef ref = nodes_.at(node);
    const SegmentView* view = snapshot_.view(ref.segment);
    if (view == nullptr) return false;
    const Selected& s = selected_[size_t(view - snapshot_.views.data())];
    return s.view != nullptr && (s.rows == nullptr || s.rows->test(ref.row));
  }

 private:
  const Snapshot& snapshot_;
  const NodeMap& nodes_;
  const std::vector<Selected>& selected_;
};

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
      } else if (view.deleted != nullptr) {
        s.rows = std::make_unique<Bitmap>(view.live_rows());
      }
      if (s.count > 0) bind(s, view);
      covered_ += view.live;
      matching_ += s.count;
    }
    return Ok{};
  }

  // The best of the covered rows, not in order.
  std::vector<ScoredRow> run() {
    if (matching_ == 0 || request_.k == 0) return {};
    QueryCodes& codes = thread_codes();
    index_.graph->quantizer().prepare(query_.data(), codes);
    const size_t wanted = request_.k + std::max<size_t>(10, request_.k / 4);
    std::vector<Candidate> found;
    if (is_cheaper_to_scan(effort()))
      scan_matching(codes, wanted, found);
    else
      walk(codes, wanted, found);
    rows_scored = found.size();
    return score(found);
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

  bool is_cheaper_to_scan(size_t effort) const {
    const double share = double(matching_) / double(std::max<size_t>(covered_, 1));
    return kScanNs * double(matching_) < kHopNs * double(effort) / share;
  }

  void scan_matching(const QueryCodes& codes, size_t wanted, std::vector<Candidate>& out) const {
    std::vector<uint32_t> nodes;
    nodes.reserve(matching_);
    for (const Selected& s : selected_) {
      if (s.view == nullptr) continue;
      const auto take = [&](size_t row) {
        if ((*s.nodes)[row] != kNoNode) nodes.push_back((*s.nodes)[row]);
      };
      if (s.rows != nullptr)
        s.rows->for_each(take);
      else
        for (size_t row = 0; row < s.nodes->size(); ++row) take(row);
    }
    index_.graph->scan(codes, nodes, wanted, out);
  }

  void walk(const QueryCodes& codes, size_t wanted, std::vector<Candidate>& out) const {
    const Graph& graph = *index_.graph;
    const RowFilter row_filter(snapshot_, index_.nodes, selected_);
    // Without a filter and without dead nodes every node will do.
    const bool all = index_.mapped == index_.nodes.size() && std::all_of(selected_.begin(), selected_.end(), [](const Selected& s) {
      return s.nodes == nullptr || s.rows == nullptr;
    });
    const NodeFilter* filter = all ? nullptr : &row_filter;
    const uint32_t linked = graph.linked();
    graph.search(codes, effort(), filter, out);
    if (out.size() > wanted) out.resize(wanted);
    const auto known = uint32_t(index_.nodes.size());
    if (linked >= known) return;
    std::vector<Candidate> tail;
    graph.scan(codes, linked, known, wanted, filter, tail);
    out.insert(out.end(), tail.begin(), tail.end());
    std::sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) { return a.key < b.key; });
    const auto twice = std::unique(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) { return a.node == b.node; });
    out.erase(twice, out.end());
    if (out.size() > wanted) out.resize(wanted);
  }

  std::vector<ScoredRow> score(const std::vector<Candidate>& candidates) const {
    const int column = snapshot_.schema->find_vector(request_.vector_name);
    const Scorer scorer(snapshot_.schema->columns()[size_t(column)].vector.metric, query_.data(), query_.size());
    std::vector<ScoredRow> out;
    out.reserve(candidates.size());
    for (const Candidate& c : candidates) {
      const RowRef ref = index_.nodes.at(c.node);
      const SegmentView* view = snapshot_.view(ref.segment);
      if (view == nullptr || !view->is_live(ref.row)) continue;
      const Selected& s = selected_[size_t(view - snapshot_.views.data())];
      const float* vector = s.vectors == nullptr ? nullptr : s.vectors->at_row(ref.row);
      if (vector == nullptr) continue;
      const float score = scorer.score(vector, s.norms[size_t(s.vectors->ordinal(ref.row))]);
      if (!request_.min_score || score >= *request_.min_score) out.push_back({score, view, ref.row});
    }
    return out;
  }

  const Snapshot& snapshot_;
  const ColumnIndex& index_;
  const SearchRequest& request_;
  const std::vector<float>& query_;
  std::vector<Selected> selected_;  // by view
  size_t covered_ = 0, matching_ = 0;
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
  constexpr size_t kFirst = 64, kMost = 4096;
  const GroupSpec& group = *request.group;
  const size_t wanted = group.limit * group.max_per_group;
  SearchRequest rows = request;
  rows.group.reset();
  for (rows.k = std::max(kFirst, 2 * wanted); rows.k <= kMost; rows.k *= 4) {
    QUARRY_ASSIGN_OR_RETURN(ExactResult found, indexed_search(snapshot, index, rows, scorer, executor, clock));
    const bool all = found.rows.size() < rows.k;
    QUARRY_ASSIGN_OR_RETURN(found.rows, take_groups(std::move(found.rows), group));
    if (all || found.rows.size() == wanted) return found;
  }
  return exact_search(snapshot, request, scorer, executor, clock);
}

}  // namespace quarry::mvs
