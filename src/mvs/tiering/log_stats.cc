#include "mvs/tiering/log_stats.h"

#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

std::map<std::string, uint64_t> count_vectors(const RowBlock& block, const Bitmap* deleted) {
  std::map<std::string, uint64_t> out;
  for (const Column& column : block.schema().columns()) {
    if (!is_vector(column.kind)) continue;
    uint64_t& count = out[column.vector.name];
    const RowOrdinals* vectors = block.ordinals(block.schema().find_vector(column.vector.name));
    if (vectors == nullptr) continue;
    count = vectors->count;
    if (deleted != nullptr) deleted->for_each([&](size_t row) { count -= vectors->ordinal(row) >= 0; });
  }
  return out;
}

TableStats empty_stats(const TableSchema& schema, int64_t version, int64_t data_version) {
  TableStats out;
  out.version = version;
  out.data_version = data_version;
  for (const Column& column : schema.columns())
    if (is_vector(column.kind)) out.vectors[column.vector.name] = 0;
  return out;
}

std::optional<uint64_t> count_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || !value->is_int64() || value->get_int64() < 0) return std::nullopt;
  return uint64_t(value->get_int64());
}

// Adds what `file` holds; false if it does not say.
bool add_file(const AddFile& file, TableStats& out) {
  const auto stats = parse_object(file.stats);
  const auto rows = stats.ok() ? count_of(*stats, "numRecords") : std::nullopt;
  const uint64_t deleted = file.deletion_vector ? uint64_t(std::max<int64_t>(file.deletion_vector->cardinality, 0)) : 0;
  if (!rows || *rows < deleted || file.size < 0) return false;
  out.documents += *rows - deleted;
  out.deleted_rows += deleted;
  out.bytes += uint64_t(file.size);
  ++out.files;
  const auto tag = file.tags.find(kVectorsTag);
  if (tag == file.tags.end()) return false;
  const auto counted = parse_object(tag->second);
  if (!counted.ok() || count_of(*counted, "deleted") != deleted) return false;
  const auto* vectors = counted->if_contains("rows");
  if (vectors == nullptr || !vectors->is_object()) return false;
  for (const auto& vector : vectors->get_object()) {
    const auto known = out.vectors.find(std::string(vector.key()));
    const auto count = count_of(vectors->get_object(), vector.key());
    if (!count || *count > *rows) return false;
    if (known != out.vectors.end()) known->second += *count;
  }
  return true;
}

}  // namespace

std::string vectors_tag_value(const RowBlock& block, const Bitmap* deleted) {
  json::object rows;
  for (const auto& [name, count] : count_vectors(block, deleted)) rows[name] = int64_t(count);
  return json::serialize(json::object{{"deleted", int64_t(deleted != nullptr ? deleted->count() : 0)}, {"rows", std::move(rows)}});
}

TableStats stats_of(const Snapshot& snapshot) {
  TableStats out = empty_stats(*snapshot.schema, snapshot.version, snapshot.data_version);
  out.documents = snapshot.live_rows;
  out.files = snapshot.views.size();
  for (const auto& view : snapshot.views) {
    out.bytes += uint64_t(view.file->size);
    out.deleted_rows += view.segment->rows() - view.live;
    for (const auto& [name, count] : count_vectors(view.segment->block(), view.deleted.get()))
      if (const auto known = out.vectors.find(name); known != out.vectors.end()) known->second += count;
  }
  return out;
}

std::optional<TableStats> stats_of(const LogState& log) {
  const auto schema = TableSchema::from_delta(log.metadata.schema_string);
  if (!schema.ok() || !log.stale_rewrites.empty()) return std::nullopt;
  TableStats out = empty_stats(*schema, log.version, log.data_version);
  for (const auto& [path, file] : log.files)
    if (!add_file(*file, out)) return std::nullopt;
  return out;
}

}  // namespace quarry::mvs
