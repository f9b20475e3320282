#include "mvs/table_copy.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <array>
#include <map>
#include <set>

#include "base/hash.h"
#include "mvs/data_file.h"
#include "mvs/stale_rows.h"
#include "mvs/warm/delta_log.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

// A source whose upkeep outruns the copy so often is written to faster than it can be read.
constexpr int kMaxRounds = 20;
constexpr std::array<std::string_view, 5> kRenamed{"root_object_id", "root_bucket_id", "source_object_id", "source_collection_id",
                                                   "lineage_path"};

Result<std::shared_ptr<arrow::Array>> renamed(const arrow::Array& column, const std::function<std::string(std::string_view)>& rename) {
  const auto& texts = static_cast<const arrow::StringArray&>(column);
  arrow::StringBuilder builder;
  for (int64_t i = 0; i < texts.length(); ++i) {
    const arrow::Status appended = texts.IsNull(i) ? builder.AppendNull() : builder.Append(rename(texts.GetView(i)));
    if (!appended.ok()) return storage_error(appended.ToString());
  }
  auto built = builder.Finish();
  if (!built.ok()) return storage_error(built.status().ToString());
  return *built;
}

Result<std::shared_ptr<arrow::RecordBatch>> renamed(std::shared_ptr<arrow::RecordBatch> batch,
                                                    const std::function<std::string(std::string_view)>& rename) {
  for (const std::string_view name : kRenamed) {
    const int at = batch->schema()->GetFieldIndex(std::string(name));
    if (at < 0) continue;
    QUARRY_ASSIGN_OR_RETURN(auto column, renamed(*batch->column(at), rename));
    auto changed = batch->SetColumn(at, batch->schema()->field(at), std::move(column));
    if (!changed.ok()) return storage_error(changed.status().ToString());
    batch = *changed;
  }
  return batch;
}

class Copier {
 public:
  Copier(objects::ObjectStore& store, const std::string& from, const std::string& to, const TableCopyOptions& options)
      : store_(store),
        options_(options),
        source_{store, from, LocalSegments({})},
        target_{store, to, LocalSegments({})},
        log_(store, from) {}

  Result<TableCopy> run() {
    QUARRY_ASSIGN_OR_RETURN(state_, log_.load());
    for (int round = 0;; ++round) {
      Status copied = copy_files();
      if (copied.ok()) break;
      if (copied.error().kind != ErrorKind::kNotFound) return std::move(copied).error();
      // Upkeep has removed a file since: a newer version does without it, or the table is damaged.
      QUARRY_ASSIGN_OR_RETURN(LogState newest, log_.load());
      if (newest.version == state_.version)
        return corruption(fmt::format("version {} of the table: {}", state_.version, copied.error().message));
      if (round == kMaxRounds)
        return Error{ErrorKind::kUnavailable, fmt::format("{} is rewritten faster than it can be copied", source_.prefix)};
      state_ = std::move(newest);
    }
    QUARRY_RETURN_IF_ERROR(drop_unused());
    QUARRY_RETURN_IF_ERROR(put_log());
    return std::move(out_);
  }

 private:
  Status copy_files() {
    added_.clear();
    used_.clear();
    out_.documents = 0;
    QUARRY_ASSIGN_OR_RETURN(const StaleRows stale, stale_rows());
    for (const auto& [path, file] : state_.files) {
      const bool is_whole = !stale.contains(path);
      if (!is_whole) rewritten_.erase(dv_text(*file));
      QUARRY_RETURN_IF_ERROR(options_.rename || !is_whole ? rewrite(file, stale) : copy(*file));
    }
    return Ok{};
  }

  // What the server would remove once it opened the table.
  Result<StaleRows> stale_rows() {
    if (state_.stale_rewrites.empty()) return StaleRows{};
    std::atomic<uint32_t> uid{1};
    auto built = build_snapshot(source_, state_, nullptr, uid, nullptr);
    if (!built.ok() && built.error().kind == ErrorKind::kCorruption) return not_found(built.error().message);  // or upkeep was faster
    QUARRY_RETURN_IF_ERROR(built);
    return find_stale_rows(source_, state_, **built, nullptr);
  }

  Status copy(const AddFile& file) {
    used_.insert(file.path);
    if (!done_.contains(file.path)) {
      const std::string key = source_.key(file.path);
      QUARRY_ASSIGN_OR_RETURN(const std::string bytes, store_.get(key));
      if (int64_t(bytes.size()) != file.size) return corruption(fmt::format("{} has {} bytes, not {}", key, bytes.size(), file.size));
      const auto crc = parse_crc_tag(file.tags);
      if (crc && crc32c(bytes) != *crc) return corruption(fmt::format("{}: its CRC-32C is not the one in the log", key));
      QUARRY_RETURN_IF_ERROR(put(file.path, bytes));
      rows_[file.path] = stats_num_records(file.stats).value_or(-1);
      if (rows_[file.path] < 0) QUARRY_RETURN_IF_ERROR(count_rows(file, bytes));
    }
    out_.documents += uint64_t(rows_[file.path]);
    if (file.deletion_vector) QUARRY_RETURN_IF_ERROR(copy_deletion_vector(*file.deletion_vector));
    added_.push_back(file);
    added_.back().data_change = true;
    return Ok{};
  }

  // Other writers may leave the statistics out.
  Status count_rows(const AddFile& file, const std::string& bytes) {
    QUARRY_ASSIGN_OR_RETURN(const TableSchema schema, TableSchema::from_delta(state_.metadata.schema_string));
    QUARRY_ASSIGN_OR_RETURN(const auto batch, decode_parquet(arrow::Buffer::FromString(bytes), source_.key(file.path), schema));
    rows_[file.path] = batch->num_rows();
    return Ok{};
  }

  Status copy_deletion_vector(const DeletionVectorRef& ref) {
    out_.documents -= uint64_t(ref.cardinality);
    if (ref.storage_type == "i") return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const std::string path, deletion_vector_path(ref));
    used_.insert(path);
    if (done_.contains(path)) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const std::string bytes, store_.get(source_.key(path)));
    return put(path, bytes);
  }

  // The live rows of one file as a file of their own, with the lineage renamed.
  Status rewrite(const std::shared_ptr<const AddFile>& file, const StaleRows& stale) {
    const std::string key = dv_text(*file);
    auto known = rewritten_.find(key);
    if (known == rewritten_.end()) {
      LogState alone = state_;
      alone.files = {{file->path, file}};
      std::atomic<uint32_t> uid{1};
      auto built = build_snapshot(source_, alone, nullptr, uid, nullptr);
      if (!built.ok()) return still_there(*file, std::move(built).error());
      std::vector<std::vector<uint32_t>> taken;
      Snapshot live = **built;
      hide_rows(stale, live);
      QUARRY_ASSIGN_OR_RETURN(auto batch, gather_live(*live.schema, live.views, taken));
      if (options_.rename) {
        QUARRY_ASSIGN_OR_RETURN(batch, renamed(std::move(batch), options_.rename));
      }
      known = rewritten_.emplace(key, Rewritten{}).first;
      QUARRY_RETURN_IF_ERROR(write(*live.schema, std::move(batch), known->second));
    }
    const Rewritten& made = known->second;
    out_.documents += made.rows;
    if (made.rows == 0) return Ok{};
    used_.insert(made.file.path);
    added_.push_back(made.file);
    return Ok{};
  }

  struct Rewritten {
    AddFile file;
    uint64_t rows = 0;
  };

  Status write(const TableSchema& schema, std::shared_ptr<arrow::RecordBatch> batch, Rewritten& made) {
    made.rows = uint64_t(batch->num_rows());
    if (made.rows == 0) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const auto block, RowBlock::make(std::make_shared<const TableSchema>(schema), std::move(batch)));
    QUARRY_ASSIGN_OR_RETURN(made.file, put_data_file(target_, *block, now_ms()));
    QUARRY_ASSIGN_OR_RETURN(const std::string bytes, store_.get(target_.key(made.file.path)));
    return note(made.file.path, bytes);
  }

  // What the reader of a data file calls damage may be upkeep that was faster, which a store that fails does not tell.
  Error still_there(const AddFile& file, Error error) const {
    auto there = store_.head(source_.key(file.path));
    return there.ok() ? std::move(error) : std::move(there).error();
  }

  static std::string dv_text(const AddFile& file) {
    if (!file.deletion_vector) return file.path;
    const DeletionVectorRef& dv = *file.deletion_vector;
    return fmt::format("{}\n{}{}@{}", file.path, dv.storage_type, dv.path_or_inline, dv.offset.value_or(-1));
  }

  Status put(const std::string& path, const std::string& bytes) {
    QUARRY_RETURN_IF_ERROR(store_.put(target_.key(path), bytes));
    return note(path, bytes);
  }

  Status note(const std::string& path, const std::string& bytes) {
    done_[path] = {path, bytes.size(), sha256_hex(bytes)};
    return options_.progress ? options_.progress(bytes.size()) : Status(Ok{});
  }

  // Files of a version that was given up.
  Status drop_unused() {
    for (const auto& [path, copied] : done_) {
      if (used_.contains(path)) {
        out_.files.push_back(copied);
      } else {
        QUARRY_RETURN_IF_ERROR(store_.remove(target_.key(path)));
      }
    }
    return Ok{};
  }

  Status put_log() {
    Metadata metadata = state_.metadata;
    metadata.id = to_string(random_uuid());
    metadata.configuration["quarry.table_id"] = options_.table_id;
    const CommitInfo info = sealed_info({{"timestamp", now_ms()},
                                         {"operation", "CLONE"},
                                         {"operationParameters", json::object{{"sourceVersion", state_.version}}},
                                         {"engineInfo", "Quarry"},
                                         {"txnId", to_string(random_uuid())}});
    std::vector<Action> actions{info, amended_protocol(state_.protocol).value_or(state_.protocol), metadata};
    for (AddFile& file : added_) actions.emplace_back(std::move(file));
    const std::string text = encode_commit(actions);
    QUARRY_ASSIGN_OR_RETURN(const PutOutcome outcome, DeltaLog(store_, target_.prefix).put(0, text));
    if (outcome == PutOutcome::kLost) return already_exists(fmt::format("there is a table at {} already", target_.prefix));
    out_.version = state_.version;
    const std::string path = DeltaLog(store_, target_.prefix).commit_key(0).substr(target_.prefix.size() + 1);
    out_.files.push_back({path, text.size(), sha256_hex(text)});
    return options_.progress ? options_.progress(text.size()) : Status(Ok{});
  }

  int64_t now_ms() const { return options_.clock->now_us() / 1'000; }

  objects::ObjectStore& store_;
  const TableCopyOptions& options_;
  const TableFiles source_, target_;
  const DeltaLog log_;
  LogState state_;
  std::map<std::string, CopiedFile> done_;      // all that lies at the target, by path
  std::map<std::string, int64_t> rows_;         // of the data files copied byte by byte
  std::map<std::string, Rewritten> rewritten_;  // by the source's path and deletion vector
  std::set<std::string> used_;                  // of this round: paths that the copy's log needs
  std::vector<AddFile> added_;                  // of this round
  TableCopy out_;
};

}  // namespace

Result<TableCopy> copy_table(objects::ObjectStore& store, const std::string& from, const std::string& to, const TableCopyOptions& options) {
  return Copier(store, from, to, options).run();
}

}  // namespace quarry::mvs
