#include "mvs/hot/checked_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"

namespace quarry::mvs {
namespace {

constexpr size_t kBlockBytes = 1 << 20;

struct Trailer {
  uint64_t data_bytes = 0;
  uint64_t identity = 0;
  uint32_t sums_crc = 0;     // of the blocks' checksums
  uint32_t trailer_crc = 0;  // of what stands before it
  char kind[8] = {};
};
static_assert(sizeof(Trailer) == 32);

// Kinds end in two digits, 01 first, that count their formats.
bool is_earlier(std::string_view found, std::string_view kind) {
  constexpr size_t kVersionAt = 6;
  const std::string_view version = found.substr(kVersionAt);
  return found.substr(0, kVersionAt) == kind.substr(0, kVersionAt) && version >= "01" && version < kind.substr(kVersionAt);
}

uint32_t crc_of(const Trailer& t) { return crc32c({reinterpret_cast<const char*>(&t), offsetof(Trailer, trailer_crc)}); }
size_t blocks_in(uint64_t bytes) { return size_t(bytes / kBlockBytes + (bytes % kBlockBytes != 0)); }

Error damage(uint64_t offset, std::string message) { return {ErrorKind::kCorruption, std::move(message), {{"offset", offset}}}; }

// The checksums of the blocks of a stream of pieces.
class BlockSums {
 public:
  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.substr(0, kBlockBytes - filled_);
      crc_ = crc32c(part, crc_);
      filled_ += part.size();
      bytes.remove_prefix(part.size());
      if (filled_ == kBlockBytes) close();
    }
  }
  const std::string& finish() {
    if (filled_ > 0) close();
    return sums_;
  }

 private:
  void close() {
    append_little(sums_, crc_);
    crc_ = 0;
    filled_ = 0;
  }

  std::string sums_;
  uint32_t crc_ = 0;
  size_t filled_ = 0;
};

}  // namespace

Status write_checked_file(const std::filesystem::path& path, const FileKind& kind, uint64_t identity,
                          std::span<const std::string_view> pieces) {
  BlockSums sums;
  Trailer trailer;
  for (const auto piece : pieces) {
    sums.add(piece);
    trailer.data_bytes += piece.size();
  }
  const std::string& block_sums = sums.finish();
  trailer.identity = identity;
  trailer.sums_crc = crc32c(block_sums);
  std::memcpy(trailer.kind, kind, sizeof trailer.kind);
  trailer.trailer_crc = crc_of(trailer);
  std::vector<std::string_view> all(pieces.begin(), pieces.end());
  all.push_back(block_sums);
  all.emplace_back(reinterpret_cast<const char*>(&trailer), sizeof trailer);
  QUARRY_RETURN_IF_ERROR(make_directories(path.parent_path()));
  return write_file_atomic(path, all, 0600);
}

CheckedFile::~CheckedFile() {
  if (base_ != nullptr) ::munmap(const_cast<char*>(base_), size_);
}

Result<CheckedFile> CheckedFile::map(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error("opening", path, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return errno_error("reading", path, errno);
  if (size_t(info.st_size) < sizeof(Trailer))
    return damage(0, fmt::format("{}: {} bytes are too few at offset 0", path.string(), info.st_size));
  void* base = ::mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return errno_error("mapping", path, errno);
  return CheckedFile(static_cast<const char*>(base), size_t(info.st_size));
}

Result<CheckedFile> CheckedFile::open(const std::filesystem::path& path, const FileKind& kind, uint64_t identity) {
  auto out = map(path);
  const Status checked = out.ok() ? out->check(path, kind, identity) : Status(out.error());
  if (checked.ok()) return out;
  if (checked.error().kind == ErrorKind::kCorruption) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  return checked.error();
}

void CheckedFile::read_at_random() const { ::madvise(const_cast<char*>(base_), size_, MADV_RANDOM); }

Status check_checked_file(const std::filesystem::path& path, const FileKind& kind) {
  QUARRY_ASSIGN_OR_RETURN(CheckedFile file, CheckedFile::map(path));
  return file.check(path, kind, std::nullopt);
}

// `identity` absent: any.
Status CheckedFile::check(const std::filesystem::path& path, const FileKind& kind, std::optional<uint64_t> identity) {
  Trailer t;
  std::memcpy(&t, base_ + size_ - sizeof t, sizeof t);
  const size_t sums_bytes = blocks_in(t.data_bytes) * sizeof(uint32_t);
  if (crc_of(t) == t.trailer_crc && is_earlier({t.kind, sizeof t.kind}, kind))
    return not_found(fmt::format("{} is of format {}, not {}", path.string(), std::string_view(t.kind, sizeof t.kind), kind));
  if (std::memcmp(t.kind, kind, sizeof t.kind) != 0 || crc_of(t) != t.trailer_crc || t.data_bytes > size_ ||
      t.data_bytes + sums_bytes + sizeof t != size_)
    return damage(size_ - sizeof t, fmt::format("{}: the trailer at offset {} is damaged", path.string(), size_ - sizeof t));
  const std::string_view sums(base_ + t.data_bytes, sums_bytes);
  if (crc32c(sums) != t.sums_crc)
    return damage(t.data_bytes, fmt::format("{}: the checksums at offset {} are damaged", path.string(), t.data_bytes));
  if (identity && t.identity != *identity) return not_found(fmt::format("{} was made from something else", path.string()));
  for (size_t b = 0; b < blocks_in(t.data_bytes); ++b) {
    const auto expected = read_little<uint32_t>(sums, b * sizeof(uint32_t));
    const size_t first = b * kBlockBytes;
    if (crc32c({base_ + first, std::min<size_t>(kBlockBytes, t.data_bytes - first)}) != expected)
      return damage(first, fmt::format("{}: the block at offset {} does not match its checksum", path.string(), first));
  }
  data_bytes_ = t.data_bytes;
  return Ok{};
}

}  // namespace quarry::mvs
