#include "mvs/data_file.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include "mvs/tiering/log_stats.h"
#include "mvs/warm/late_columns.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {

namespace {

// The rows of a column, in runs of neighbours; nulls where the block lacks it.
Status append_rows(const RowBlock& block, const Column& column, const std::vector<uint32_t>& rows, arrow::ArrayVector& parts) {
  const auto source = block.batch()->GetColumnByName(column.name);
  if (source == nullptr) {
    auto nulls = arrow::MakeArrayOfNull(arrow_type(column.kind), int64_t(rows.size()));
    if (!nulls.ok()) return storage_error(nulls.status().ToString());
    parts.push_back(*nulls);
    return Ok{};
  }
  for (size_t i = 0; i < rows.size();) {
    size_t end = i + 1;
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    parts.push_back(source->Slice(rows[i], int64_t(end - i)));
    i = end;
  }
  return Ok{};
}

}  // namespace

Result<std::shared_ptr<arrow::RecordBatch>> gather_live(const TableSchema& schema, const std::vector<SegmentView>& views,
                                                        std::vector<std::vector<uint32_t>>& taken) {
  arrow::ArrayVector arrays;
  int64_t rows = 0;
  taken.clear();
  for (const auto& view : views) {
    auto& out = taken.emplace_back();
    view.live_rows().for_each([&](size_t row) { out.push_back(uint32_t(row)); });
    rows += int64_t(out.size());
  }
  std::vector<LateColumns> late;
  for (size_t v = 0; v < views.size(); ++v) {
    QUARRY_ASSIGN_OR_RETURN(late.emplace_back(), make_late_columns(views[v].segment->block(), schema, taken[v]));
  }
  for (size_t c = 0; c < schema.columns().size(); ++c) {
    const Column& column = schema.columns()[c];
    arrow::ArrayVector parts;
    for (size_t v = 0; v < views.size(); ++v) {
      const auto made = late[v].rest == nullptr ? nullptr : column.name == kPayloadJson ? late[v].rest : late[v].arrays[c];
      if (made != nullptr) {
        parts.push_back(made);
        continue;
      }
      QUARRY_RETURN_IF_ERROR(append_rows(views[v].segment->block(), column, taken[v], parts));
    }
    auto joined = parts.empty() ? arrow::MakeArrayOfNull(arrow_type(column.kind), 0) : arrow::Concatenate(parts);
    if (!joined.ok()) return storage_error(fmt::format("column '{}': {}", column.name, joined.status().ToString()));
    arrays.push_back(*joined);
  }
  return arrow::RecordBatch::Make(schema.arrow_schema(), rows, std::move(arrays));
}

Result<AddFile> put_data_file(const TableFiles& files, const RowBlock& block, int64_t now_ms) {
  QUARRY_ASSIGN_OR_RETURN(const auto bytes, encode_parquet(block.schema(), *block.batch()));
  AddFile file;
  file.path = fmt::format("quarry-{}.parquet", to_string(random_uuid()));
  file.size = bytes->size();
  file.modified_ms = now_ms;
  file.tags[kCrcTag] = crc_tag_value(view(*bytes));
  file.tags[kVectorsTag] = vectors_tag_value(block, nullptr);
  file.stats = file_stats(block.schema(), *block.batch(), true);
  QUARRY_RETURN_IF_ERROR(files.store.put(files.key(file.path), view(*bytes)));
  return file;
}

}  // namespace quarry::mvs
