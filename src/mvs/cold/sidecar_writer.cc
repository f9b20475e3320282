#include "mvs/cold/sidecar_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/cold/clustering.h"
#include "mvs/cold/cold_index.h"
#include "mvs/cold/row_pages.h"
#include "mvs/index/quantizer.h"
#include "mvs/text/text_search.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

constexpr size_t kEntriesPerList = 256, kMaxLists = 4096, kSample = 4096;

// Entries of each list, as positions in the column's ordinals.
std::vector<std::vector<uint32_t>> entries_by_list(const Clusters& clusters) {
  std::vector<std::vector<uint32_t>> out(clusters.size());
  for (size_t o = 0; o < clusters.members.size(); ++o) out[clusters.members[o]].push_back(uint32_t(o));
  return out;
}

void append_list(std::string& out, const Quantizer& quantizer, const VectorColumn& column, const std::vector<uint32_t>& entries) {
  const size_t begin = out.size(), width = quantizer.width();
  std::vector<uint8_t> record(quantizer.record_bytes()), bytes(width);
  std::string tails;
  for (const uint32_t o : entries) {
    quantizer.encode(column.data + size_t(o) * column.dimension, record.data(), bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), width);
    append_little(tails, quantizer.byte_scale(record.data()));
    append_little(tails, quantizer.tail(record.data()).bias);
  }
  out += tails;
  append_little(out, crc32c(std::string_view(out).substr(begin)));
}

// The codes of a dense column; fills in what the index says of them.
std::string encode_lists(const VectorColumn& column, const VectorSpec& spec, ColdIndex::Lists& lists, Executor* executor) {
  std::vector<const float*> vectors, sample;
  for (size_t o = 0; o < column.count; ++o) vectors.push_back(column.data + o * column.dimension);
  for (size_t i = 0; i < std::min(kSample, column.count); ++i) sample.push_back(vectors[i * column.count / std::min(kSample, column.count)]);
  const Quantizer quantizer(spec.metric, column.dimension, sample);
  const size_t count = std::clamp<size_t>(column.count / kEntriesPerList, 1, kMaxLists);
  Clusters clusters = cluster(spec.metric, vectors, column.dimension, count, executor);
  const auto entries = entries_by_list(clusters);
  lists = {spec.name, spec.metric, column.dimension, quantizer.largest_norm(), quantizer.centre(), std::move(clusters.centres), {}, {}};
  std::vector<std::string> parts(entries.size());
  parallel_for(executor, entries.size(), [&](size_t i) { append_list(parts[i], quantizer, column, entries[i]); });
  std::string out;
  for (size_t i = 0; i < entries.size(); ++i) {
    out += parts[i];
    lists.sizes.push_back(uint32_t(entries[i].size()));
    for (const uint32_t o : entries[i]) lists.rows.push_back(uint32_t(column.row(o)));
  }
  return out;
}

// Rows in the order of the first column's lists, so that rows found together are read together; then those that are in none.
std::vector<uint32_t> page_order(const ColdIndex& index) {
  std::vector<uint32_t> out;
  if (!index.lists.empty()) out = index.lists.front().rows;
  std::vector<bool> placed(index.rows);
  for (const uint32_t row : out) placed[row] = true;
  for (uint32_t row = 0; row < index.rows; ++row)
    if (!placed[row]) out.push_back(row);
  return out;
}

class SidecarWriter {
 public:
  SidecarWriter(const TableFiles& files, const SegmentView& view, const Analyzer& analyzer, Executor* executor)
      : files_(files), view_(view), analyzer_(analyzer), executor_(executor), block_(view.segment->block()) {}

  Status run() {
    index_.rows = uint32_t(block_.rows());
    QUARRY_RETURN_IF_ERROR(note_layout());
    QUARRY_RETURN_IF_ERROR(put_lists());
    QUARRY_RETURN_IF_ERROR(put_rows());
    QUARRY_RETURN_IF_ERROR(put_texts());
    return put(cold_index_path(path()), index_.encode());
  }

 private:
  const std::string& path() const { return view_.file->path; }
  Status put(const std::string& at, std::string_view bytes) const { return files_.store.put(files_.key(at), bytes); }

  Status note_layout() {
    const std::string key = files_.key(path());
    QUARRY_ASSIGN_OR_RETURN(const std::string bytes, files_.store.get(key));
    if (const auto crc = parse_crc_tag(view_.file->tags); crc && crc32c(bytes) != *crc)
      return corruption(fmt::format("{}: the checksum of its {} bytes differs from the log's", key, bytes.size()));
    QUARRY_ASSIGN_OR_RETURN(index_.layout, parquet_layout(bytes, key));
    return Ok{};
  }

  Status put_lists() {
    const auto& columns = block_.schema().columns();
    for (size_t c = 0; c < columns.size(); ++c) {
      const VectorColumn* column = block_.vector(int(c));
      if (column == nullptr) continue;
      const std::string bytes = encode_lists(*column, columns[c].vector, index_.lists.emplace_back(), executor_);
      QUARRY_RETURN_IF_ERROR(put(cold_lists_path(path(), index_.lists.size() - 1), bytes));
    }
    return Ok{};
  }

  Status put_rows() {
    const std::vector<uint32_t> order = page_order(index_);
    QUARRY_ASSIGN_OR_RETURN(RowPages pages, encode_row_pages(*block_.batch(), order, executor_));
    index_.rows_per_page = pages.rows_per_page;
    index_.page_schema = std::move(pages.schema);
    index_.page_bytes = std::move(pages.page_bytes);
    index_.positions.resize(index_.rows);
    for (size_t p = 0; p < order.size(); ++p) index_.positions[order[p]] = uint32_t(p);
    return put(cold_rows_path(path()), pages.bytes);
  }

  Status put_texts() {
    for (const auto& field : text_fields(block_.schema())) {
      QUARRY_ASSIGN_OR_RETURN(const LiveText text, view_.segment->text().field(*view_.segment, field, analyzer_, nullptr, executor_));
      QUARRY_RETURN_IF_ERROR(put(cold_text_path(path(), index_.texts.size()), text.index->bytes()));
      index_.texts.push_back({field, text.index->bytes().size()});
    }
    return Ok{};
  }

  const TableFiles& files_;
  const SegmentView& view_;
  const Analyzer& analyzer_;
  Executor* const executor_;
  const RowBlock& block_;
  ColdIndex index_;
};

}  // namespace

Status write_sidecars(const TableFiles& files, const SegmentView& view, const Analyzer& analyzer, Executor* executor) {
  return SidecarWriter(files, view, analyzer, executor).run();
}

}  // namespace quarry::mvs
