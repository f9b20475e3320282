#include "mvs/cold/dense_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/cold/clustering.h"
#include "mvs/hot/column_filter.h"

namespace quarry::mvs {
namespace {

constexpr size_t kDirectRows = 64;  // so few that match are read without a look at codes

// A number that is none, as overflow or a sidecar leaves it, would break an order: it goes first, so that what it stands for is looked at.
float ordered(float value) { return std::isnan(value) ? -std::numeric_limits<float>::infinity() : value; }

struct CoveredFile {
  const ColdView::File* file = nullptr;
  const ColdFile::Lists* lists = nullptr;
  std::unique_ptr<Bitmap> rows;  // that match and are live; null: all
  float key_offset = 0;          // what makes the keys of files with different origins comparable

  bool wants(uint32_t row) const { return rows == nullptr || rows->test(row); }
};

struct ListRef {
  uint32_t file = 0, list = 0;
  float distance = 0;
  uint32_t matching = 0;
};

struct Candidate {
  float key = 0;
  RowRef row;
};

class CandidateSearch {
 public:
  CandidateSearch(const ColdView& view, const SearchRequest& request, const Snapshot* matching)
      : view_(view), request_(request), query_(std::get<DenseQuery>(request.query).values), matching_(matching) {}

  Result<std::vector<RowRef>> run() {
    QUARRY_RETURN_IF_ERROR(select_files());
    std::vector<ListRef> lists = rank_lists();
    if (total_matching_ <= std::max(kDirectRows, 2 * request_.k)) return all_rows(lists);
    lists.resize(probes(lists.size()));
    QUARRY_RETURN_IF_ERROR(read_codes(lists));
    return best_rows();
  }

 private:
  Status select_files() {
    for (const auto& file : view_.files()) {
      const ColdFile::Lists* lists = file.cold == nullptr ? nullptr : file.cold->lists(request_.vector_name);
      if (lists == nullptr) continue;
      CoveredFile& out = files_.emplace_back(CoveredFile{&file, lists, nullptr, 0});
      if (matching_ != nullptr) {
        const SegmentView* partial = matching_->view(file.uid());
        if (partial == nullptr) return internal_error("a cold file without its filter columns");
        QUARRY_ASSIGN_OR_RETURN(Bitmap rows, filter_rows(request_.filter, *partial->segment, partial->live_rows()));
        out.rows = std::make_unique<Bitmap>(std::move(rows));
      } else if (file.deleted != nullptr) {
        Bitmap rows(file.rows, true);
        rows.subtract(*file.deleted);
        out.rows = std::make_unique<Bitmap>(std::move(rows));
      }
    }
    return Ok{};
  }

  // Lists with a row that matches, nearest first.
  std::vector<ListRef> rank_lists() {
    std::vector<ListRef> out;
    for (uint32_t f = 0; f < files_.size(); ++f) {
      const ColdIndex::Lists& entries = *files_[f].lists->entries;
      const std::vector<float> distances = centre_distances(entries.metric, entries.centres, query_);
      for (uint32_t l = 0; l < entries.sizes.size(); ++l) {
        const uint32_t n = count_matching(files_[f], l);
        total_matching_ += n;
        ++total_lists_;
        total_entries_ += entries.sizes[l];
        if (n > 0) out.push_back({f, l, ordered(distances[l]), n});
      }
    }
    std::sort(out.begin(), out.end(), [](const ListRef& a, const ListRef& b) { return a.distance < b.distance; });
    return out;
  }

  static uint32_t count_matching(const CoveredFile& file, uint32_t list) {
    const ColdIndex::Lists& entries = *file.lists->entries;
    if (file.rows == nullptr) return entries.sizes[list];
    const uint32_t first = file.lists->first[list];
    uint32_t n = 0;
    for (uint32_t e = first; e < first + entries.sizes[list]; ++e) n += file.rows->test(entries.rows[e]);
    return n;
  }

  // The fewer rows match, the larger a share of the lists holds the best of them.
  size_t probes(size_t ranked) const {
    const bool is_dot = !files_.empty() && files_.front().lists->entries->metric == Metric::kDot;  // the best are not in the nearest lists
    const double reach = is_dot ? 4 : 2.5;
    const double per_list = double(total_entries_) / double(std::max<size_t>(total_lists_, 1));
    const double wide = std::sqrt(std::max(1.0, double(request_.k) / 10)) * (request_.effort > 0 ? double(request_.effort) / 64 : 1);
    const double share = std::min(1.0, reach * wide * std::sqrt(per_list / double(total_matching_)));
    return std::clamp<size_t>(size_t(std::ceil(share * double(total_lists_))), 1, ranked);
  }

  std::vector<RowRef> all_rows(const std::vector<ListRef>& lists) const {
    std::vector<RowRef> out;
    for (const ListRef& ref : lists) {
      const CoveredFile& file = files_[ref.file];
      const uint32_t first = file.lists->first[ref.list];
      for (uint32_t e = first; e < first + file.lists->entries->sizes[ref.list]; ++e)
        if (const uint32_t row = file.lists->entries->rows[e]; file.wants(row)) out.push_back({file.file->uid(), row});
    }
    return out;
  }

  // A key lacks a term of the query and the file's origin c (quantizer.h): half of |q - c|^2, for dot what is left beside <x, q>.
  float key_offset(const ColdIndex::Lists& entries, const QueryCodes& codes) const {
    if (entries.metric != Metric::kDot) return codes.length * codes.length / 2;
    double offset = -0.5 * double(entries.largest_norm) * entries.largest_norm;
    for (size_t i = 0; i < query_.size(); ++i) offset += double(entries.origin[i]) * (0.5 * entries.origin[i] - query_[i]);
    return float(offset);
  }

  Status read_codes(const std::vector<ListRef>& lists) {
    std::vector<RangeOfObject> wanted;
    for (const ListRef& ref : lists) {
      const ColdFile::Lists& l = *files_[ref.file].lists;
      wanted.push_back({l.key, {l.offsets[ref.list], list_bytes(l.entries->sizes[ref.list], l.quantizer->width())}});
    }
    size_t failed = 0;
    auto read = read_ranges(view_.store(), view_.io(), wanted, &failed);
    if (!read.ok()) {
      if (read.error().kind == ErrorKind::kCorruption) files_[lists[failed].file].file->cold->distrust();
      return std::move(read).error();
    }
    const RangedBytes& bytes = *read;
    std::vector<QueryCodes> codes(files_.size());
    for (size_t f = 0; f < files_.size(); ++f) {
      files_[f].lists->quantizer->prepare(query_.data(), codes[f]);
      files_[f].key_offset = key_offset(*files_[f].lists->entries, codes[f]);
    }
    for (size_t i = 0; i < lists.size(); ++i) {
      const CoveredFile& file = files_[lists[i].file];
      if (crc32c(bytes[i].substr(0, bytes[i].size() - 4)) != read_little<uint32_t>(bytes[i], bytes[i].size() - 4)) {
        file.file->cold->distrust();
        return corruption(fmt::format("{}: the checksum of the list at offset {} differs", wanted[i].key, wanted[i].range.offset));
      }
      scan_list(file, lists[i].list, codes[lists[i].file], bytes[i]);
    }
    return Ok{};
  }

  void scan_list(const CoveredFile& file, uint32_t list, const QueryCodes& codes, std::string_view bytes) {
    const ColdIndex::Lists& entries = *file.lists->entries;
    const size_t n = entries.sizes[list], width = file.lists->quantizer->width();
    std::vector<const uint8_t*> pointers(n);
    for (size_t e = 0; e < n; ++e) pointers[e] = reinterpret_cast<const uint8_t*>(bytes.data()) + e * width;
    std::vector<int32_t> sums(n);
    code_kernels().byte_dots(codes.bytes.data(), width, pointers.data(), n, sums.data());
    for (size_t e = 0; e < n; ++e) {
      const uint32_t row = entries.rows[file.lists->first[list] + e];
      if (!file.wants(row)) continue;
      const auto scale = read_little<float>(bytes, n * width + e * 8), bias = read_little<float>(bytes, n * width + e * 8 + 4);
      found_.push_back({ordered(file.key_offset + bias - byte_dot(codes, scale, sums[e])), {file.file->uid(), row}});
    }
  }

  std::vector<RowRef> best_rows() {
    const size_t wanted = std::min(found_.size(), request_.k + std::max<size_t>(6, request_.k / 4));
    std::nth_element(found_.begin(), found_.begin() + ptrdiff_t(wanted), found_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.key < b.key; });
    std::vector<RowRef> out;
    for (size_t i = 0; i < wanted; ++i) out.push_back(found_[i].row);
    return out;
  }

  const ColdView& view_;
  const SearchRequest& request_;
  const std::vector<float>& query_;
  const Snapshot* const matching_;
  std::vector<CoveredFile> files_;
  size_t total_matching_ = 0, total_lists_ = 0, total_entries_ = 0;
  std::vector<Candidate> found_;
};

}  // namespace

Result<std::vector<RowRef>> dense_candidates(const ColdView& view, const SearchRequest& request, const Snapshot* matching) {
  return CandidateSearch(view, request, matching).run();
}

}  // namespace quarry::mvs
