#include "mvs/cold/sidecar_check.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <numeric>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/cold/cold_index.h"
#include "mvs/cold/row_pages.h"
#include "mvs/text/text_index.h"

namespace quarry::mvs {
namespace {

class SidecarChecker {
 public:
  SidecarChecker(const TableFiles& files, const std::string& data_file, std::vector<FileFault>& faults)
      : files_(files), data_file_(data_file), index_key_(files.key(cold_index_path(data_file))), faults_(faults) {}

  Status run() {
    auto bytes = files_.store.get(index_key_);
    if (!bytes.ok()) return bytes.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(std::move(bytes).error());
    auto index = ColdIndex::decode(*bytes, index_key_);
    if (!index.ok()) {
      fault(index_key_, 0, index.error().message);
      return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(check_pages(*index));
    for (size_t i = 0; i < index->lists.size(); ++i) QUARRY_RETURN_IF_ERROR(check_lists(*index, i));
    for (size_t i = 0; i < index->texts.size(); ++i) QUARRY_RETURN_IF_ERROR(check_text(i));
    return Ok{};
  }

 private:
  // Without its index a sidecar is not there, and is made anew.
  void fault(const std::string& key, uint64_t offset, std::string what) {
    faults_.push_back({key, offset, std::move(what), true, std::nullopt, index_key_});
  }

  // nullopt: it is missing, which is noted.
  Result<std::optional<std::string>> read(const std::string& key) {
    auto bytes = files_.store.get(key);
    if (bytes.ok()) return std::optional(std::move(*bytes));
    if (bytes.error().kind != ErrorKind::kNotFound) return std::move(bytes).error();
    fault(key, 0, "is missing");
    return std::optional<std::string>();
  }

  Status check_pages(const ColdIndex& index) {
    const std::string key = files_.key(cold_rows_path(data_file_));
    QUARRY_ASSIGN_OR_RETURN(const auto bytes, read(key));
    if (!bytes) return Ok{};
    auto reader = RowPageReader::open(index.page_schema, key);
    if (!reader.ok()) {
      fault(index_key_, 0, reader.error().message);
      return Ok{};
    }
    uint64_t offset = 0;
    for (const uint32_t size : index.page_bytes) {
      auto page = reader->decode(std::string_view(*bytes).substr(std::min<uint64_t>(offset, bytes->size()), size), offset);
      if (!page.ok()) fault(key, offset, page.error().message);
      offset += size;
    }
    if (offset != bytes->size())
      fault(key, std::min<uint64_t>(offset, bytes->size()), fmt::format("has {} bytes, not {}", bytes->size(), offset));
    return Ok{};
  }

  Status check_lists(const ColdIndex& index, size_t ordinal) {
    const auto& sizes = index.lists[ordinal].sizes;
    const std::string key = files_.key(cold_lists_path(data_file_, ordinal));
    QUARRY_ASSIGN_OR_RETURN(const auto bytes, read(key));
    if (!bytes) return Ok{};
    const uint64_t entries = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
    const uint64_t width = entries == 0 ? 0 : (bytes->size() - std::min<uint64_t>(bytes->size(), 4 * sizes.size())) / entries;
    uint64_t offset = 0;
    for (const uint32_t size : sizes) {
      const uint64_t length = width < 8 ? 0 : list_bytes(size, width - 8);
      if (length < 4 || offset + length > bytes->size()) {
        fault(key, offset, "is cut short");
        return Ok{};
      }
      const std::string_view list = std::string_view(*bytes).substr(offset, length);
      if (crc32c(list.substr(0, length - 4)) != read_little<uint32_t>(list, length - 4))
        fault(key, offset, "the checksum of a list differs");
      offset += length;
    }
    if (offset != bytes->size()) fault(key, offset, "has more bytes than its lists");
    return Ok{};
  }

  Status check_text(size_t ordinal) {
    const std::string key = files_.key(cold_text_path(data_file_, ordinal));
    QUARRY_ASSIGN_OR_RETURN(auto bytes, read(key));
    if (!bytes) return Ok{};
    if (auto opened = TextIndex::open(std::move(*bytes), key); !opened.ok()) fault(key, 0, opened.error().message);
    return Ok{};
  }

  const TableFiles& files_;
  const std::string& data_file_;
  const std::string index_key_;
  std::vector<FileFault>& faults_;
};

}  // namespace

Status check_sidecars(const TableFiles& files, const std::string& data_file, std::vector<FileFault>& faults) {
  return SidecarChecker(files, data_file, faults).run();
}

}  // namespace quarry::mvs
