#include "mvs/snapshot_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

// As another program's RESTORE does.
bool restores_rows(const Bitmap* before, const Bitmap* now) {
  if (before == nullptr) return false;
  Bitmap restored = *before;
  if (now != nullptr) restored.subtract(*now);
  return !restored.none();
}

Result<std::shared_ptr<const RowBlock>> load_block(const TableFiles& files, const AddFile& file,
                                                   const std::shared_ptr<const TableSchema>& schema) {
  auto local = files.local.open(file, schema);
  if (local.ok()) return local;
  const std::string key = files.key(file.path);
  if (local.error().kind != ErrorKind::kNotFound)
    log_warn("a local segment is no use; its data file is read", {{"file", key}, {"error", local.error().message}});
  auto batch = read_parquet(files.store, key, *schema, parse_crc_tag(file.tags));
  if (!batch.ok() && batch.error().kind == ErrorKind::kNotFound)
    return corruption(fmt::format("{}: the log names this file and it is missing", key));
  if (!batch.ok()) return std::move(batch).error();
  auto block = RowBlock::make(schema, std::move(batch).value());
  if (!block.ok()) return std::move(block).error().with_context(key);
  return block;
}

}  // namespace

Result<std::shared_ptr<const Bitmap>> load_deleted(const TableFiles& files, const AddFile& file, size_t rows) {
  const DeletionVectorRef& ref = *file.deletion_vector;
  std::string bytes;
  std::string name = "inline";
  if (ref.storage_type != "i") {
    QUARRY_ASSIGN_OR_RETURN(const std::string path, deletion_vector_path(ref));
    name = files.key(path);
    QUARRY_ASSIGN_OR_RETURN(bytes,
                            files.store.get_range(name, uint64_t(ref.offset.value_or(1)), uint64_t(std::max(ref.size_in_bytes, 0)) + 8));
  }
  auto bits = decode_deletion_vector(ref, bytes, rows);
  if (!bits.ok()) return std::move(bits).error().with_context(fmt::format("{} at offset {}", name, ref.offset.value_or(0)));
  return std::make_shared<const Bitmap>(std::move(bits).value());
}

Result<SegmentView> load_view(const TableFiles& files, std::shared_ptr<const AddFile> file,
                              const std::shared_ptr<const TableSchema>& schema, uint32_t uid) {
  QUARRY_ASSIGN_OR_RETURN(auto block, load_block(files, *file, schema));
  SegmentView view;
  view.segment = std::make_shared<const Segment>(uid, std::move(block));
  view.live = view.segment->rows();
  view.file = std::move(file);
  return view;
}

Analyzer analyzer_of(const Metadata& metadata) {
  const auto named = metadata.configuration.find(std::string(kTextLanguage));
  if (named != metadata.configuration.end())
    if (auto known = Analyzer::make(named->second); known.ok()) return std::move(known).value();
  return Analyzer::make("english").value_or(Analyzer());
}

Result<std::shared_ptr<const Snapshot>> build_snapshot(const TableFiles& files, const LogState& log, const Snapshot* previous,
                                                       std::atomic<uint32_t>& next_uid, Executor* executor) {
  auto out = std::make_shared<Snapshot>();
  QUARRY_ASSIGN_OR_RETURN(TableSchema schema, TableSchema::from_delta(log.metadata.schema_string));
  out->schema = std::make_shared<const TableSchema>(std::move(schema));
  if (previous != nullptr && previous->schema->delta_schema() == out->schema->delta_schema()) out->schema = previous->schema;
  out->analyzer = analyzer_of(log.metadata);
  out->version = log.version;
  out->data_version = log.data_version;
  std::unordered_map<std::string_view, const SegmentView*> known;
  if (previous != nullptr) {
    out->ids = previous->ids;
    for (const auto& view : previous->views) known.emplace(view.file->path, &view);
  }
  std::vector<std::shared_ptr<const AddFile>> wanted;
  for (const auto& [path, file] : log.files) wanted.push_back(file);
  std::vector<SegmentView> views(wanted.size());
  std::vector<uint32_t> uids(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!known.contains(wanted[i]->path)) uids[i] = next_uid++;
  std::mutex mutex;
  Status status = Ok{};
  const auto load = [&](size_t i) -> Status {
    const auto it = known.find(wanted[i]->path);
    if (it != known.end()) {
      views[i] = *it->second;
      views[i].file = wanted[i];
      if (it->second->file->deletion_vector == wanted[i]->deletion_vector) return Ok{};
    } else {
      QUARRY_ASSIGN_OR_RETURN(views[i], load_view(files, wanted[i], out->schema, uids[i]));
    }
    const std::shared_ptr<const Bitmap> before = std::exchange(views[i].deleted, nullptr);
    views[i].live = views[i].segment->rows();
    if (wanted[i]->deletion_vector) {
      QUARRY_ASSIGN_OR_RETURN(views[i].deleted, load_deleted(files, *wanted[i], views[i].segment->rows()));
      views[i].live -= views[i].deleted->count();
    }
    // What knows a segment by its uid, as the ids do, the graphs and a compaction that runs, need not know rows that were dead.
    if (restores_rows(before.get(), views[i].deleted.get()))
      views[i].segment = std::make_shared<const Segment>(next_uid++, views[i].segment->shared_block());
    return Ok{};
  };
  parallel_for(executor, wanted.size(), [&](size_t i) {
    if (auto s = load(i); !s.ok()) {
      std::lock_guard lock(mutex);
      status = std::move(s);
    }
  });
  QUARRY_RETURN_IF_ERROR(status);
  out->views = std::move(views);
  std::sort(out->views.begin(), out->views.end(), [](const auto& a, const auto& b) { return a.segment->uid() < b.segment->uid(); });
  const Snapshot& self = *out;
  for (const auto& view : self.views)
    if (previous == nullptr || previous->view(view.segment->uid()) == nullptr)
      out->ids.add(view.segment->uid(), view.segment->id_hashes(), [&](RowRef ref) { return self.is_live(ref); });
  out->settle();
  return std::shared_ptr<const Snapshot>(std::move(out));
}

}  // namespace quarry::mvs
