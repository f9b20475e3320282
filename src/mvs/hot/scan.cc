#include "mvs/hot/scan.h"

#include <algorithm>
#include <mutex>
#include <queue>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/field_reader.h"

namespace quarry::mvs {
namespace {

using Row = RowPage::Row;

struct SortedRow {
  FieldKey key;
  Row row;
};

std::optional<std::string_view> text_of(const FieldKey& key) {
  if (const auto* text = std::get_if<std::string_view>(&key)) return *text;
  const auto* value = std::get_if<json::value>(&key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string());
}

class SortOrder {
 public:
  explicit SortOrder(const SortSpec& spec) : spec_(spec) {}

  bool operator()(const SortedRow& a, const SortedRow& b) const {
    const bool no_a = a.key.index() == 0, no_b = b.key.index() == 0;
    if (no_a != no_b) return no_b == spec_.nulls_last;
    if (const int c = no_a ? 0 : compare(a.key, b.key); c != 0) return spec_.descending ? c > 0 : c < 0;
    return a.row.id() < b.row.id();
  }

 private:
  int compare(const FieldKey& a, const FieldKey& b) const {
    const bool time_a = std::holds_alternative<Instant>(a), time_b = std::holds_alternative<Instant>(b);
    if (spec_.by_time && time_a && text_of(b) && !time_b) return -1;
    if (spec_.by_time && time_b && text_of(a) && !time_a) return 1;
    return compare_keys(a, b);
  }

  const SortSpec& spec_;
};

// What a row is sorted by.
class SortKeyReader {
 public:
  SortKeyReader(const Segment& segment, const SortSpec& spec, size_t reads)
      : field_(segment, spec.field, IndexUse::kWhenWorth, reads), by_time_(spec.by_time) {
    if (!spec.fallback_field.empty()) fallback_.emplace(segment, spec.fallback_field, IndexUse::kWhenWorth, reads);
  }

  Result<FieldKey> key(size_t row) const {
    QUARRY_ASSIGN_OR_RETURN(FieldKey key, field_.key(row));
    if (fallback_ && key.index() == 0) {
      QUARRY_ASSIGN_OR_RETURN(key, fallback_->key(row));
    }
    const auto text = by_time_ ? text_of(key) : std::nullopt;
    if (!text || text->empty() || text->front() < '0' || text->front() > '9') return key;
    const auto time = parse_timestamp(*text);
    return time.ok() ? FieldKey(Instant{*time}) : std::move(key);
  }

 private:
  const FieldReader field_;
  std::optional<FieldReader> fallback_;
  const bool by_time_;
};

// Walks each view's ids in order and merges them: pages in id order cost their own length, not the table's.
class IdOrderCursor {
 public:
  IdOrderCursor(const Snapshot& snapshot, const std::vector<Bitmap>& rows, std::string_view after, bool descending)
      : rows_(rows), descending_(descending) {
    for (size_t i = 0; i < snapshot.views.size(); ++i) {
      const SegmentView& view = snapshot.views[i];
      const auto& order = view.segment->id_order();
      size_t at = 0;
      if (!after.empty())
        at = size_t(std::upper_bound(order.begin(), order.end(), after,
                                     [&](std::string_view id, uint32_t r) { return id < view.segment->block().document_id(r); }) -
                    order.begin());
      push(i, view, at);
    }
  }

  std::optional<Row> next() {
    if (heap_.empty()) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), Later{descending_});
    const Head head = heap_.back();
    heap_.pop_back();
    push(head.view_index, *head.row.view, head.position + 1);
    return head.row;
  }

 private:
  struct Head {
    Row row;
    size_t view_index, position;
  };
  struct Later {
    bool descending;
    bool operator()(const Head& a, const Head& b) const { return descending ? a.row.id() < b.row.id() : b.row.id() < a.row.id(); }
  };

  // Puts the first wanted row at or after `position` on the heap.
  void push(size_t view_index, const SegmentView& view, size_t position) {
    const auto& order = view.segment->id_order();
    for (; position < order.size(); ++position) {
      const uint32_t row = order[descending_ ? order.size() - 1 - position : position];
      if (!rows_[view_index].test(row)) continue;
      heap_.push_back({{&view, row}, view_index, position});
      std::push_heap(heap_.begin(), heap_.end(), Later{descending_});
      return;
    }
  }

  const std::vector<Bitmap>& rows_;
  const bool descending_;
  std::vector<Head> heap_;
};

// Up to the end of the page, and one more that tells whether there is more.
size_t rows_needed(const ScanRequest& request) {
  constexpr size_t kHalf = SIZE_MAX / 4;
  return std::min(request.offset, kHalf) + std::min(request.limit, kHalf) + 1;
}

std::vector<Row> rows_in_id_order(const Snapshot& snapshot, const std::vector<Bitmap>& rows, const ScanRequest& request, bool descending) {
  IdOrderCursor cursor(snapshot, rows, request.after_document_id, descending);
  std::vector<Row> out;
  const size_t wanted = rows_needed(request);
  while (out.size() < wanted) {
    const auto row = cursor.next();
    if (!row) break;
    out.push_back(*row);
  }
  return out;
}

Result<std::vector<Row>> rows_in_sort_order(const Snapshot& snapshot, const std::vector<Bitmap>& rows, const ScanRequest& request) {
  std::vector<SortedRow> sorted;
  Status status = Ok{};
  for (size_t i = 0; i < snapshot.views.size(); ++i) {
    const SegmentView& view = snapshot.views[i];
    const size_t count = rows[i].count();
    if (count == 0) continue;
    const SortKeyReader reader(*view.segment, *request.sort, count);
    rows[i].for_each([&](size_t row) {
      if (!status.ok()) return;
      auto key = reader.key(row);
      if (!key.ok())
        status = std::move(key).error();
      else
        sorted.push_back({std::move(key).value(), {&view, uint32_t(row)}});
    });
  }
  QUARRY_RETURN_IF_ERROR(status);
  const size_t wanted = std::min(sorted.size(), rows_needed(request));
  std::partial_sort(sorted.begin(), sorted.begin() + ptrdiff_t(wanted), sorted.end(), SortOrder(*request.sort));
  std::vector<Row> out;
  for (size_t i = 0; i < wanted; ++i) out.push_back(sorted[i].row);
  return out;
}

}  // namespace

Result<std::vector<Bitmap>> matching_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor) {
  std::vector<Bitmap> out(snapshot.views.size());
  std::mutex mutex;
  Status status = Ok{};
  parallel_for(executor, out.size(), [&](size_t i) {
    auto rows = filter_rows(filter, *snapshot.views[i].segment, snapshot.views[i].live_rows());
    if (rows.ok()) {
      out[i] = std::move(rows).value();
    } else {
      std::lock_guard lock(mutex);
      status = std::move(rows).error();
    }
  });
  QUARRY_RETURN_IF_ERROR(status);
  return out;
}

std::vector<RowRef> RowPage::refs() const {
  std::vector<RowRef> out;
  for (const Row& row : rows) out.push_back({row.view->segment->uid(), row.row});
  return out;
}

Result<RowPage> scan_rows(const Snapshot& snapshot, const ScanRequest& request, Executor* executor) {
  if (!request.after_document_id.empty() && (request.sort || request.offset != 0))
    return bad_request("a page after a document is in document_id order: it takes neither sort nor offset");
  QUARRY_ASSIGN_OR_RETURN(const auto matching, matching_rows(snapshot, request.filter, executor));
  RowPage out;
  if (request.with_total) {
    out.total = 0;
    for (const auto& rows : matching) *out.total += rows.count();
  }
  const bool by_id = !request.sort || request.sort->field.empty() || request.sort->field == kDocumentId;
  if (by_id) {
    out.rows = rows_in_id_order(snapshot, matching, request, request.sort && request.sort->descending);
  } else {
    QUARRY_ASSIGN_OR_RETURN(out.rows, rows_in_sort_order(snapshot, matching, request));
  }
  const size_t end = std::min(out.rows.size(), rows_needed(request) - 1);
  out.has_more = out.rows.size() > end;
  out.rows.resize(end);
  out.rows.erase(out.rows.begin(), out.rows.begin() + ptrdiff_t(std::min(request.offset, end)));
  return out;
}

Result<ScanResult> scan_snapshot(const Snapshot& snapshot, const ScanRequest& request, Executor* executor) {
  QUARRY_ASSIGN_OR_RETURN(const RowPage page, scan_rows(snapshot, request, executor));
  ScanResult out;
  out.version = snapshot.version;
  out.has_more = page.has_more;
  out.total = page.total;
  for (const Row& row : page.rows) {
    QUARRY_ASSIGN_OR_RETURN(auto document, row.view->segment->block().document(row.row, request.projection));
    out.documents.push_back(std::move(document));
  }
  return out;
}

Result<uint64_t> count_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor) {
  if (filter.matches_all()) return snapshot.live_rows;
  QUARRY_ASSIGN_OR_RETURN(const auto rows, matching_rows(snapshot, filter, executor));
  uint64_t n = 0;
  for (const auto& r : rows) n += r.count();
  return n;
}

Status visit_rows(const Snapshot& snapshot, const Filter& filter, const Projection& projection,
                  const std::function<bool(const Document&)>& visit) {
  bool go_on = true;
  for (const SegmentView& view : snapshot.views) {
    QUARRY_ASSIGN_OR_RETURN(const Bitmap rows, filter_rows(filter, *view.segment, view.live_rows()));
    Status status = Ok{};
    rows.for_each([&](size_t row) {
      if (!go_on || !status.ok()) return;
      auto document = view.segment->block().document(row, projection);
      if (!document.ok())
        status = std::move(document).error();
      else
        go_on = visit(*document);
    });
    QUARRY_RETURN_IF_ERROR(status);
    if (!go_on) break;
  }
  return Ok{};
}

}  // namespace quarry::mvs
