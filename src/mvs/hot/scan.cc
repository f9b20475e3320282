#include "mvs/hot/scan.h"

#include <algorithm>
#include <mutex>
#include <queue>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/sorted_rows.h"

namespace quarry::mvs {
namespace {

using Row = RowPage::Row;

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
    QUARRY_ASSIGN_OR_RETURN(out.rows, sort_rows(snapshot, matching, *request.sort, rows_needed(request)));
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
