#include "mvs/table_check.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"
#include "mvs/cold/sidecar_check.h"
#include "mvs/hot/checked_file.h"
#include "mvs/warm/checkpoint.h"
#include "mvs/warm/deletion_vector.h"
#include "mvs/warm/delta_log.h"
#include "mvs/warm/parquet_damage.h"
#include "mvs/warm/parquet_file.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {
namespace {

// Of every member that `stored` has and `actual` computes: whether they agree.
std::string differing_member(const json::object& stored, const json::object& actual, std::string_view name) {
  const json::value* was = stored.if_contains(name);
  const json::value* is = actual.if_contains(name);
  if (was == nullptr || !was->is_object() || is == nullptr || !is->is_object()) return {};
  for (const auto& member : was->get_object()) {
    const json::value* other = is->get_object().if_contains(member.key());
    if (other != nullptr && *other != member.value()) return fmt::format("{} of '{}'", name, std::string_view(member.key()));
  }
  return {};
}

class Checker {
 public:
  Checker(objects::ObjectStore& store, const std::string& prefix)
      : store_(store), prefix_(prefix), files_{store, prefix, LocalSegments({})}, log_(store, prefix) {}

  Result<TableCheck> run() {
    QUARRY_RETURN_IF_ERROR(check_log_files());
    auto state = log_.load();
    if (!state.ok()) {
      if (!is_damage(state.error())) return std::move(state).error();
      fault(prefix_ + "/_delta_log/", std::nullopt, fmt::format("cannot be replayed: {}", state.error().message));
      return std::move(out_);
    }
    out_.version = state->version;
    // The log could be replayed without them.
    for (FileFault& found : out_.faults) found.is_derived = found.is_derived || found.file.find(".checkpoint.") != std::string::npos;
    auto schema = TableSchema::from_delta(state->metadata.schema_string);
    if (!schema.ok()) {
      fault(prefix_ + "/_delta_log/", std::nullopt, fmt::format("its schema: {}", schema.error().message));
      return std::move(out_);
    }
    schema_ = std::make_shared<const TableSchema>(std::move(*schema));
    for (const auto& [path, file] : state->files) QUARRY_RETURN_IF_ERROR(check_file(*file));
    return std::move(out_);
  }

 private:
  static bool is_damage(const Error& error) { return error.kind == ErrorKind::kCorruption || error.kind == ErrorKind::kNotFound; }

  void fault(std::string file, std::optional<uint64_t> offset, std::string what, std::optional<uint32_t> crc = std::nullopt) {
    out_.faults.push_back({std::move(file), offset, std::move(what), false, crc, {}});
  }

  // Entries that a checkpoint covers, too: what else reads the table may start from them.
  Status check_log_files() {
    const std::string folder = prefix_ + "/_delta_log/";
    return store_.walk(folder, [&](const objects::ObjectInfo& info) -> Result<bool> {
      const std::string_view name = std::string_view(info.key).substr(folder.size());
      const bool is_entry = name.ends_with(".json"),
                 is_checkpoint = name.find(".checkpoint.") != std::string_view::npos && name.ends_with(".parquet");
      if (!is_entry && !is_checkpoint && name != "_last_checkpoint") return true;
      QUARRY_ASSIGN_OR_RETURN(std::string bytes, store_.get(info.key));
      if (is_entry) {
        if (auto decoded = decode_commit(bytes, info.key); !decoded.ok()) fault(info.key, 0, decoded.error().message);
      } else if (is_checkpoint) {
        auto buffer = arrow::Buffer::FromString(std::move(bytes));
        if (auto decoded = decode_checkpoint(buffer, info.key); !decoded.ok()) {
          const ParquetDamage place = find_damage(buffer);
          fault(info.key, place.offset, place.what);
        } else {
          QUARRY_RETURN_IF_ERROR(check_checkpoint(info.key, *buffer));
        }
      } else {
        check_hint(info.key, bytes);
      }
      return true;
    });
  }

  Status check_checkpoint(const std::string& key, const arrow::Buffer& bytes) {
    QUARRY_ASSIGN_OR_RETURN(const bool same, log_.matches_hint(key, view(bytes)));
    if (!same) fault(key, 0, "its CRC-32C is not the one in _last_checkpoint");
    return Ok{};
  }

  void check_hint(const std::string& key, std::string_view bytes) {
    if (parse_checkpoint_hint(bytes).is_sound) return;
    fault(key, 0, "is not what was written; the log is listed instead");
    out_.faults.back().is_derived = true;
  }

  Status check_file(const AddFile& file) {
    const std::string key = prefix_ + "/" + file.path;
    ++out_.files;
    QUARRY_RETURN_IF_ERROR(check_sidecars(files_, file.path, out_.faults));
    auto bytes = store_.get(key);
    const auto crc = parse_crc_tag(file.tags);
    if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) {
      fault(key, std::nullopt, "the log names it and it is missing", crc);
      return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(bytes);
    out_.bytes += bytes->size();
    const auto buffer = arrow::Buffer::FromString(std::move(*bytes));
    if (buffer->size() != file.size || (crc && crc32c(view(*buffer)) != *crc)) {
      const ParquetDamage place = find_damage(buffer);
      fault(key, place.offset, fmt::format("{} of {} bytes, not what was written: {}", buffer->size(), file.size, place.what), crc);
      return Ok{};
    }
    auto batch = decode_parquet(buffer, key, *schema_);
    if (!batch.ok()) {
      const ParquetDamage place = find_damage(buffer);
      fault(key, place.offset, batch.error().message);
      return Ok{};
    }
    check_stats(file, key, **batch);
    return check_rows(file, key, *batch);
  }

  void check_stats(const AddFile& file, const std::string& key, const arrow::RecordBatch& batch) {
    if (file.stats.empty()) return;
    boost::system::error_code ec;
    const json::value stored = json::parse(file.stats, ec);
    if (ec || !stored.is_object()) return fault(key, std::nullopt, "its statistics in the log are no JSON object");
    if (const auto rows = stats_num_records(file.stats); rows && *rows != batch.num_rows())
      return fault(key, std::nullopt, fmt::format("has {} rows, the log says {}", batch.num_rows(), *rows));
    if (!file.tags.contains(kCrcTag)) return;  // another writer rounds otherwise
    const json::value actual = json::parse(file_stats(*schema_, batch, true), ec);
    for (std::string_view name : {"minValues", "maxValues", "nullCount"})
      if (const std::string differs = differing_member(stored.get_object(), actual.as_object(), name); !differs.empty())
        fault(key, std::nullopt, fmt::format("the log's {} is not the file's", differs));
  }

  Status check_rows(const AddFile& file, const std::string& key, const std::shared_ptr<arrow::RecordBatch>& batch) {
    auto block = RowBlock::make(schema_, batch);
    if (!block.ok()) {
      fault(key, std::nullopt, block.error().message);
      return Ok{};
    }
    Bitmap deleted(size_t(batch->num_rows()));
    if (file.deletion_vector) {
      QUARRY_ASSIGN_OR_RETURN(const bool good, read_deleted(*file.deletion_vector, deleted));
      if (!good) return Ok{};
    }
    for (size_t row = 0; row < (*block)->rows(); ++row) {
      if (deleted.test(row)) continue;
      ++out_.documents;
      if (const auto id = (*block)->document_id(row); !ids_.emplace(id).second)
        fault(key, std::nullopt, fmt::format("row {}: document '{}' is in the table twice", row, id));
    }
    return Ok{};
  }

  Result<bool> read_deleted(const DeletionVectorRef& ref, Bitmap& deleted) {
    std::string slot, key = "inline deletion vector";
    const uint64_t offset = uint64_t(ref.offset.value_or(1));
    if (ref.storage_type != "i") {
      auto path = deletion_vector_path(ref);
      if (!path.ok()) {
        fault(prefix_ + "/_delta_log/", std::nullopt, path.error().message);
        return false;
      }
      key = prefix_ + "/" + *path;
      auto bytes = store_.get(key);
      if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) {
        fault(key, std::nullopt, "the log names it and it is missing");
        return false;
      }
      QUARRY_RETURN_IF_ERROR(bytes);
      out_.bytes += bytes->size();
      if (bytes->empty() || bytes->front() != 1) fault(key, 0, "its format version is not 1");
      if (offset < bytes->size()) slot = bytes->substr(offset, uint64_t(std::max(ref.size_in_bytes, 0)) + 8);
    }
    auto bits = decode_deletion_vector(ref, slot, deleted.size());
    if (!bits.ok()) {
      fault(key, offset, bits.error().message);
      return false;
    }
    deleted = std::move(*bits);
    return true;
  }

  objects::ObjectStore& store_;
  const std::string prefix_;
  const TableFiles files_;
  const DeltaLog log_;
  std::shared_ptr<const TableSchema> schema_;
  std::unordered_set<std::string> ids_;
  TableCheck out_;
};

std::string shown(const std::filesystem::path& path) { return path.string(); }

void check_local_file(const std::filesystem::path& path, std::vector<FileFault>& out) {
  if (path.filename().string().starts_with(".tmp-")) {
    out.push_back({shown(path), std::nullopt, "was left half written", true});
    return;
  }
  const std::string extension = path.extension().string();
  const FileKind* kind = extension == ".segment" ? &kSegmentFile
                         : extension == ".graph" ? &kGraphFile
                         : extension == ".rows"  ? &kRowsFile
                                                 : nullptr;
  if (kind == nullptr) {
    out.push_back({shown(path), std::nullopt, "is no file of the server's", true});
    return;
  }
  Status checked = check_checked_file(path, *kind);
  if (checked.ok() || checked.error().kind == ErrorKind::kNotFound) return;  // one of an earlier format is replaced when it is next saved
  const json::value* offset = checked.error().details.if_contains("offset");
  out.push_back({shown(path), offset ? std::optional(offset->to_number<uint64_t>()) : std::nullopt, checked.error().message, true});
}

}  // namespace

Result<TableCheck> check_table(objects::ObjectStore& store, const std::string& prefix) { return Checker(store, prefix).run(); }

std::string local_folder_name(const std::string& prefix) { return fmt::format("{:016x}", hash64(prefix)); }

std::vector<FileFault> check_local_files(const std::filesystem::path& folder, const std::vector<std::string>& prefixes) {
  std::vector<FileFault> out;
  std::unordered_set<std::string> known;
  for (const std::string& prefix : prefixes) known.insert(local_folder_name(prefix));
  std::error_code error, ignored;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!known.contains(it->path().filename().string())) {
      out.push_back({shown(it->path()), std::nullopt, "belongs to no table", true});
      continue;
    }
    for (std::filesystem::directory_iterator file(it->path(), ignored); !ignored && file != end; file.increment(ignored))
      check_local_file(file->path(), out);
  }
  return out;
}

}  // namespace quarry::mvs
