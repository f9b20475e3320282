#include "main/data_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <charconv>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormatPrefix = "quarry data folder, format ";

std::string format_line(int format) { return fmt::format("{}{}\n", kFormatPrefix, format); }

Status make_folder(const fs::path& dir) {
  std::error_code ec;
  fs::create_directories(dir, ec);
  if (ec) return errno_error("make folder", dir, ec.value());
  return Ok{};
}

// A folder is ours to fill when nothing but our own lock file is in it, and what a death while FORMAT was first written left.
bool is_empty_folder(const fs::path& root) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(root, ec))
    if (entry.path().filename() != "LOCK" && !entry.path().filename().string().starts_with(".tmp-FORMAT-")) return false;
  return !ec;
}

Result<std::string> load_or_make_secret(const fs::path& file) {
  auto existing = read_file(file);
  if (existing.ok()) {
    if (existing->size() != 32) return corruption(fmt::format("{} holds {} bytes, not 32", file.string(), existing->size()));
    return existing;
  }
  if (existing.error().kind != ErrorKind::kNotFound) return existing;
  std::string secret(32, '\0');
  fill_secure_random({reinterpret_cast<uint8_t*>(secret.data()), secret.size()});
  QUARRY_RETURN_IF_ERROR(write_file_atomic(file, secret, 0600));
  return secret;
}

// One step per format, applied in turn to folders below kDataFormat. 1 is the first; from 1 to 2 only the catalog's tables change, which it
// sees to when it is opened; from 2 to 3 tables may have sparse and multi-vector columns, which older programs can't read.
using Migration = Status (*)(const fs::path& root);
constexpr std::array<Migration, kDataFormat> kMigrations{};

Status back_up(const fs::path& root, int format) {
  fs::path dir = root / "backups" / fmt::format("format-{}-{}", format, system_clock().now_us());
  QUARRY_RETURN_IF_ERROR(make_folder(dir));
  for (const char* name : {"FORMAT", "catalog.db", "catalog.db-wal"}) {
    std::error_code ec;
    if (fs::exists(root / name, ec)) fs::copy_file(root / name, dir / name, ec);
    if (ec) return errno_error("back up", root / name, ec.value());
  }
  return sync_directory(dir);
}

Status migrate(const fs::path& root, int from) {
  log_info("migrating the data folder", {{"from", from}, {"to", kDataFormat}});
  QUARRY_RETURN_IF_ERROR(back_up(root, from));
  for (int format = from; format < kDataFormat; ++format) {
    Migration step = kMigrations[static_cast<size_t>(format)];
    if (step != nullptr) QUARRY_RETURN_IF_ERROR(step(root));
    QUARRY_RETURN_IF_ERROR(write_file_atomic(root / "FORMAT", format_line(format + 1)));
  }
  return Ok{};
}

Status check_format(const fs::path& root) {
  QUARRY_ASSIGN_OR_RETURN(int format, read_format(root));
  if (format == 0) {
    if (!is_empty_folder(root))
      return bad_request(fmt::format("{} is not empty and has no FORMAT file: it is not a Quarry data folder", root.string()));
    return write_file_atomic(root / "FORMAT", format_line(kDataFormat));
  }
  if (format > kDataFormat)
    return bad_request(
        fmt::format("{} has format {}, this program knows formats up to {}: use a newer Quarry", root.string(), format, kDataFormat));
  return format < kDataFormat ? migrate(root, format) : Status(Ok{});
}

}  // namespace

Result<int> read_format(const fs::path& root) {
  auto text = read_file(root / "FORMAT");
  if (!text.ok() && text.error().kind == ErrorKind::kNotFound) return 0;
  if (!text.ok()) return std::move(text).error();
  std::string_view line = *text;
  int format = 0;
  if (line.starts_with(kFormatPrefix)) {
    line.remove_prefix(kFormatPrefix.size());
    std::from_chars(line.data(), line.data() + line.size(), format);
  }
  if (format <= 0) return corruption(fmt::format("{} does not name a format at offset 0", (root / "FORMAT").string()));
  return format;
}

Result<DataFolder> DataFolder::open(const fs::path& root) {
  QUARRY_RETURN_IF_ERROR(make_folder(root));
  DataFolder folder;
  folder.root_ = fs::absolute(root);
  auto lock = lock_file(folder.root_ / "LOCK");
  if (!lock.ok() && lock.error().kind == ErrorKind::kConflict)
    return Error{ErrorKind::kConflict,
                 fmt::format("another quarry server uses the data folder {}: stop it, or choose another with --data", root.string())};
  if (!lock.ok()) return std::move(lock).error();
  folder.lock_ = std::move(lock).value();
  QUARRY_RETURN_IF_ERROR(check_format(folder.root_));
  QUARRY_RETURN_IF_ERROR(make_folder(folder.objects()));
  QUARRY_ASSIGN_OR_RETURN(folder.signing_secret_, load_or_make_secret(folder.root_ / "signing.key"));
  return folder;
}

}  // namespace quarry
