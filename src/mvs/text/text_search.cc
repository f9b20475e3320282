#include "mvs/text/text_search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <set>

#include "mvs/hot/column_filter.h"
#include "mvs/text/bm25.h"
#include "mvs/text/segment_scan.h"
#include "mvs/text/view_words.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxLists = 2048;
// Postings from which on segments are scanned by several threads: about a millisecond's work.
constexpr uint64_t kParallelPostings = 1'000'000;
constexpr float kNoScore = -std::numeric_limits<float>::infinity();

Result<std::vector<std::string>> fields_to_search(const TableSchema& schema, const TextQuery& query) {
  auto known = text_fields(schema);
  if (query.fields.empty()) {
    std::sort(known.begin(), known.end());
    return known;
  }
  const std::set<std::string> wanted(query.fields.begin(), query.fields.end());
  for (const auto& field : wanted)
    if (std::find(known.begin(), known.end(), field) == known.end())
      return bad_request(fmt::format("field '{}' is not searched by words; string and text fields are: {}", clip(field, 200),
                                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
  return std::vector<std::string>(wanted.begin(), wanted.end());
}

class TextSearch {
 public:
  TextSearch(const Snapshot& snapshot, const SearchRequest& request, Executor* executor, const Clock& clock)
      : snapshot_(snapshot), request_(request), executor_(executor), clock_(clock) {}

  Result<ExactResult> run(const TextQuery& query) {
    QUARRY_ASSIGN_OR_RETURN(const auto fields, fields_to_search(*snapshot_.schema, query));
    QUARRY_ASSIGN_OR_RETURN(words_, analyse_query(query, snapshot_.analyzer));
    if (fields.size() * words_.words.size() > kMaxLists)
      return bad_request(fmt::format("{} words in {} fields are too many to search at once", words_.words.size(), fields.size()));
    if (words_.words.empty() || fields.empty()) return ExactResult{};
    scan_ = {&words_, query.match, fields.size(), request_.min_score.value_or(kNoScore)};
    QUARRY_RETURN_IF_ERROR(find_words(fields));
    weigh_words(fields.size());
    return request_.group ? scan_all() : scan_best();
  }

 private:
  Error timeout() const { return Error(ErrorKind::kTimeout, "the search ran past its deadline"); }
  bool expired() const { return request_.deadline_us != INT64_MAX && clock_.steady_us() >= request_.deadline_us; }

  Status find_words(const std::vector<std::string>& fields) {
    for (const SegmentView& view : snapshot_.views) {
      if (expired()) return timeout();
      QUARRY_ASSIGN_OR_RETURN(ViewWords found, ViewWords::find(view, words_, fields, snapshot_.analyzer, executor_));
      views_.push_back(std::move(found));
    }
    return Ok{};
  }

  // Integers over the live rows of all segments, hence the same whatever the segments.
  void weigh_words(size_t fields) {
    std::vector<FieldStatistics> statistics(fields);
    std::vector<uint64_t> df(fields * words_.words.size());
    for (const ViewWords& view : views_) {
      for (size_t f = 0; f < fields; ++f) {
        statistics[f].documents += view.fields()[f].documents();
        statistics[f].total_length += view.fields()[f].total_length();
      }
      for (const FoundWord& w : view.words()) {
        df[w.field * words_.words.size() + w.word] += w.live_df;
        postings_ += w.postings.df();
      }
    }
    weights_.resize(df.size());
    for (size_t i = 0; i < df.size(); ++i)
      if (df[i] > 0) weights_[i] = term_weight(statistics[i / words_.words.size()], df[i], words_.words[i % words_.words.size()].count);
  }

  // The rows of a view that count; null for all.
  Result<std::unique_ptr<Bitmap>> rows_of(const SegmentView& view) const {
    if (request_.filter.matches_all() && view.deleted == nullptr) return std::unique_ptr<Bitmap>();
    QUARRY_ASSIGN_OR_RETURN(Bitmap rows, filter_rows(request_.filter, *view.segment, view.live_rows()));
    return std::make_unique<Bitmap>(std::move(rows));
  }

  Status scan_view(size_t i, const std::function<float()>& threshold, const std::function<void(const ScoredRow&)>& offer) {
    const SegmentView& view = snapshot_.views[i];
    if (views_[i].words().empty()) return Ok{};
    if (expired()) return timeout();
    QUARRY_ASSIGN_OR_RETURN(const auto rows, rows_of(view));
    if (rows != nullptr && rows->none()) return Ok{};
    std::vector<WordList> lists;
    lists.reserve(views_[i].words().size());
    for (const FoundWord& w : views_[i].words())
      lists.emplace_back(w.word, w.field, w.postings, views_[i].fields()[w.field].index->lengths(),
                         weights_[w.field * words_.words.size() + w.word]);
    SegmentScan scan(view, lists, rows.get(), scan_);
    const bool in_time = scan.run(threshold, offer, [this] { return expired(); });
    rows_scored_ += scan.rows_scored();
    return in_time ? Status(Ok{}) : Status(timeout());
  }

  // Runs `body(view)` for every view; in parallel where there is enough to do.
  Status for_each_view(const std::function<Status(size_t)>& body) {
    std::vector<Status> statuses(views_.size(), Status(Ok{}));
    const bool parallel = postings_ >= kParallelPostings || !request_.filter.matches_all();
    if (parallel)
      parallel_for(executor_, views_.size(), [&](size_t i) { statuses[i] = body(i); });
    else
      for (size_t i = 0; i < views_.size() && (i == 0 || statuses[i - 1].ok()); ++i) statuses[i] = body(i);
    for (auto& status : statuses) QUARRY_RETURN_IF_ERROR(status);
    return Ok{};
  }

  Result<ExactResult> scan_best() {
    ExactResult out;
    if (request_.k == 0) return out;
    TopRows best(request_.k);
    std::mutex mutex;
    std::atomic<float> floor{kNoScore};  // a row below it is not among the best, whatever is still found
    const auto offer = [&](const ScoredRow& row) {
      std::lock_guard lock(mutex);
      best.offer(row);
      if (best.full()) floor.store(best.worst().score, std::memory_order_relaxed);
    };
    const auto threshold = [&] { return floor.load(std::memory_order_relaxed); };
    QUARRY_RETURN_IF_ERROR(for_each_view([&](size_t i) { return scan_view(i, threshold, offer); }));
    out.rows = std::move(best.rows());
    std::sort(out.rows.begin(), out.rows.end(), better);
    out.rows_scored = rows_scored_;
    return out;
  }

  // Groups may need any of the rows.
  Result<ExactResult> scan_all() {
    ExactResult out;
    std::vector<std::vector<ScoredRow>> found(views_.size());
    QUARRY_RETURN_IF_ERROR(for_each_view([&](size_t i) {
      return scan_view(
          i, [] { return kNoScore; }, [&](const ScoredRow& row) { found[i].push_back(row); });
    }));
    std::vector<ScoredRow> all;
    for (const auto& rows : found) all.insert(all.end(), rows.begin(), rows.end());
    QUARRY_ASSIGN_OR_RETURN(out.rows, take_groups(std::move(all), *request_.group));
    out.rows_scored = rows_scored_;
    return out;
  }

  const Snapshot& snapshot_;
  const SearchRequest& request_;
  Executor* const executor_;
  const Clock& clock_;
  AnalysedQuery words_;
  ScanQuery scan_;
  std::vector<ViewWords> views_;     // as snapshot_.views
  std::vector<TermWeight> weights_;  // [field][word]
  uint64_t postings_ = 0;            // of all words in all segments
  std::atomic<uint64_t> rows_scored_{0};
};

}  // namespace

std::vector<std::string> text_fields(const TableSchema& schema) {
  std::vector<std::string> out;
  for (const Column& column : schema.columns())
    if (!column.system && (column.field == FieldType::kString || column.field == FieldType::kText)) out.push_back(column.name);
  return out;
}

Result<ExactResult> text_search(const Snapshot& snapshot, const SearchRequest& request, const TextQuery& query, Executor* executor,
                                const Clock& clock) {
  return TextSearch(snapshot, request, executor, clock).run(query);
}

Status carry_text_indexes(std::span<const SegmentView> from, const Segment& to, const Analyzer& analyzer, Executor* executor) {
  std::set<std::string> fields;
  for (const SegmentView& view : from)
    for (auto& field : view.segment->text().fields()) fields.insert(std::move(field));
  for (const auto& field : fields) QUARRY_RETURN_IF_ERROR(to.text().field(to, field, analyzer, nullptr, executor));
  return Ok{};
}

}  // namespace quarry::mvs
