// Files of the store's own on the local disk that are mapped and must not lie: data, then a CRC-32C of every block of 1 MiB, then a
// trailer. docs/formats/local_files.md gives the layout.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace quarry::mvs {

using FileKind = char[9];  // eight characters that tell what the data is, and its version
inline constexpr FileKind kSegmentFile = "QRYSEG01", kGraphFile = "QRYGRF02", kRowsFile = "QRYROW01";

// Puts the pieces one after another into `path`, whole or not at all, and makes the folder if it is missing. `identity`: of what the data
// was made from.
Status write_checked_file(const std::filesystem::path& path, const FileKind& kind, uint64_t identity,
                          std::span<const std::string_view> pieces);

// Whether the file is whole, whatever it was made from: trailer, checksums, every block. kNotFound: of an earlier format. kCorruption names
// file and offset, which is in its details, too; the file stays.
Status check_checked_file(const std::filesystem::path& path, const FileKind& kind);

// A mapping of a whole file. Movable; stays valid when the file is removed.
class CheckedFile {
 public:
  // Reads and checks all of it. kNotFound: absent, of another identity, or of an earlier format. kCorruption names file and offset; the file
  // is removed then.
  static Result<CheckedFile> open(const std::filesystem::path& path, const FileKind& kind, uint64_t identity);
  CheckedFile(CheckedFile&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(other.size_), data_bytes_(other.data_bytes_) {}
  CheckedFile& operator=(CheckedFile&&) = delete;
  ~CheckedFile();

  std::string_view data() const { return {base_, data_bytes_}; }
  // From now on a page that is not in memory is read alone, without its neighbours.
  void read_at_random() const;

 private:
  CheckedFile(const char* base, size_t size) : base_(base), size_(size) {}
  static Result<CheckedFile> map(const std::filesystem::path& path);
  Status check(const std::filesystem::path& path, const FileKind& kind, std::optional<uint64_t> identity);
  friend Status check_checked_file(const std::filesystem::path& path, const FileKind& kind);

  const char* base_;
  size_t size_, data_bytes_ = 0;
};

}  // namespace quarry::mvs
