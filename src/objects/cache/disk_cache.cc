#include "objects/cache/disk_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "objects/cache/block_file.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;

constexpr size_t kObjectDigits = 32;
constexpr int64_t kTimeGrainSeconds = 60;  // how exactly the order of use survives a restart

// "<32 hexadecimal digits>-<block>"
std::optional<BlockId> parse_name(std::string_view name) {
  if (name.size() < kObjectDigits + 2 || name[kObjectDigits] != '-') return std::nullopt;
  BlockId id{std::string(name.substr(0, kObjectDigits)), 0};
  const bool is_hex = id.object.find_first_not_of("0123456789abcdef") == std::string::npos;
  const auto [end, ec] = std::from_chars(name.data() + kObjectDigits + 1, name.data() + name.size(), id.block);
  return is_hex && ec == std::errc() && end == name.data() + name.size() ? std::optional(id) : std::nullopt;
}

// Of all caches of the process.
struct CacheMetrics {
  prometheus::Counter& hits = metrics::counter("quarry_object_cache_hits_total", "Blocks read from the cache of objects");
  prometheus::Counter& misses = metrics::counter("quarry_object_cache_misses_total", "Blocks fetched from the object store");
  prometheus::Counter& hit_bytes = metrics::counter("quarry_object_cache_hit_bytes_total", "Bytes read from the cache of objects");
  prometheus::Counter& fetched_bytes =
      metrics::counter("quarry_object_cache_fetched_bytes_total", "Bytes fetched into the cache of objects");
  prometheus::Counter& evictions = metrics::counter("quarry_object_cache_evictions_total", "Blocks removed to make room");
  prometheus::Counter& damaged = metrics::counter("quarry_object_cache_damaged_total", "Blocks dropped because they were torn or altered");
};

CacheMetrics& cache_metrics() {
  static auto* all = new CacheMetrics();
  return *all;
}

struct FoundFile {
  BlockId id;
  uint64_t bytes = 0;
  timespec used_at{};
};

// What is no block's file goes.
void scan_folder(const fs::path& dir, std::vector<FoundFile>& found) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    struct stat info {};
    const auto id = parse_name(it->path().filename().string());
    if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (id && dir.filename() == id->object.substr(0, 2))
      found.push_back({*id, static_cast<uint64_t>(info.st_size), info.st_mtim});
    else
      ::unlink(it->path().c_str());
  }
}

}  // namespace

DiskCache::DiskCache(const CacheOptions& options, FileDescriptor lock)
    : options_(options),
      blocks_dir_(options.folder / "blocks"),
      temporary_dir_(options.folder / "tmp"),
      lock_(std::move(lock)),
      index_(options.max_bytes) {}

Result<std::unique_ptr<DiskCache>> DiskCache::open(const CacheOptions& options) {
  QUARRY_RETURN_IF_ERROR(make_directories(options.folder));
  QUARRY_ASSIGN_OR_RETURN(FileDescriptor lock, lock_file(options.folder / "LOCK"));
  std::unique_ptr<DiskCache> cache(new DiskCache(options, std::move(lock)));
  QUARRY_RETURN_IF_ERROR(cache->adopt_files());
  return cache;
}

Status DiskCache::adopt_files() {
  std::error_code error;
  fs::remove_all(temporary_dir_, error);
  QUARRY_RETURN_IF_ERROR(make_directories(temporary_dir_));
  std::vector<FoundFile> found;
  QUARRY_RETURN_IF_ERROR(make_directories(blocks_dir_));
  for (int i = 0; i < 256; ++i) scan_folder(blocks_dir_ / fmt::format("{:02x}", i), found);
  std::sort(found.begin(), found.end(), [](const FoundFile& a, const FoundFile& b) {
    return std::tie(a.used_at.tv_sec, a.used_at.tv_nsec, a.id) < std::tie(b.used_at.tv_sec, b.used_at.tv_nsec, b.id);
  });
  for (const FoundFile& file : found) {
    for (const BlockId& evicted : index_.insert(file.id, file.bytes)) ::unlink(path_of(evicted).c_str());
    if (!index_.contains(file.id)) ::unlink(path_of(file.id).c_str());
  }
  return Ok{};
}

BlockId DiskCache::id_of(std::string_view key, uint64_t block) const {
  return {sha256_hex(fmt::format("{}\n{}", options_.identity, key)).substr(0, kObjectDigits), block};
}

fs::path DiskCache::path_of(const BlockId& id) const {
  return blocks_dir_ / id.object.substr(0, 2) / fmt::format("{}-{}", id.object, id.block);
}

std::optional<std::string> DiskCache::read(std::string_view key, uint64_t block) {
  const BlockId id = id_of(key, block);
  {
    std::lock_guard lock(mutex_);
    if (!index_.touch(id)) return std::nullopt;
  }
  auto bytes = read_file(path_of(id));
  auto payload = bytes.ok() ? decode_block(*bytes, {key, block, options_.block_bytes}) : Result<std::string>(bytes.error());
  if (!payload.ok()) {
    const bool was_evicted = payload.error().kind == ErrorKind::kNotFound;
    if (!was_evicted) log_warn("a cached block is dropped", {{"file", path_of(id).string()}, {"reason", payload.error().message}});
    drop(id, !was_evicted);
    return std::nullopt;
  }
  refresh_time(id);
  std::lock_guard lock(mutex_);
  ++counts_.hits;
  counts_.hit_bytes += payload->size();
  cache_metrics().hits.Increment();
  cache_metrics().hit_bytes.Increment(static_cast<double>(payload->size()));
  return std::move(payload).value();
}

void DiskCache::drop(const BlockId& id, bool is_damaged) {
  ::unlink(path_of(id).c_str());
  std::lock_guard lock(mutex_);
  index_.erase(id);
  counts_.damaged += is_damaged;
  if (is_damaged) cache_metrics().damaged.Increment();
}

// The file's time is its last use, for the order after a restart.
void DiskCache::refresh_time(const BlockId& id) {
  const fs::path path = path_of(id);
  struct stat info {};
  const int64_t now_s = system_clock().now_us() / 1'000'000;
  if (::stat(path.c_str(), &info) == 0 && info.st_mtim.tv_sec + kTimeGrainSeconds <= now_s)
    (void)::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

Status DiskCache::write_file(const BlockId& id, std::string_view bytes) {
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    number = next_temporary_++;
  }
  const fs::path temporary = temporary_dir_ / std::to_string(number), path = path_of(id);
  FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Status written = file ? write_all(file.get(), bytes, temporary) : Status(errno_error("make", temporary, errno));
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    (void)::mkdir(path.parent_path().c_str(), 0700);
    if (::rename(temporary.c_str(), path.c_str()) != 0) written = errno_error("rename", temporary, errno);
  }
  if (!written.ok()) ::unlink(temporary.c_str());
  return written;
}

void DiskCache::write(std::string_view key, uint64_t block, std::string_view payload) {
  const BlockId id = id_of(key, block);
  const std::string bytes = encode_block({key, block, options_.block_bytes}, payload);
  if (bytes.size() > options_.max_bytes) return;
  Status written = write_file(id, bytes);
  std::vector<BlockId> evicted;
  bool warn = false;
  {
    std::lock_guard lock(mutex_);
    if (written.ok()) {
      evicted = index_.insert(id, bytes.size());
      counts_.evictions += evicted.size();
      cache_metrics().evictions.Increment(static_cast<double>(evicted.size()));
    } else {
      ++counts_.write_failures;
      warn = !std::exchange(warned_, true);
    }
  }
  for (const BlockId& gone : evicted) ::unlink(path_of(gone).c_str());
  if (warn) log_warn("the object cache can't keep blocks; reads go on without", {{"reason", written.error().message}});
}

void DiskCache::remove(std::string_view key) {
  std::vector<BlockId> held;
  {
    std::lock_guard lock(mutex_);
    held = index_.erase_object(id_of(key, 0).object);
  }
  for (const BlockId& id : held) ::unlink(path_of(id).c_str());
}

void DiskCache::remove_block(std::string_view key, uint64_t block) { drop(id_of(key, block), false); }

void DiskCache::count_fetch(uint64_t blocks, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  counts_.misses += blocks;
  counts_.fetched_bytes += bytes;
  cache_metrics().misses.Increment(static_cast<double>(blocks));
  cache_metrics().fetched_bytes.Increment(static_cast<double>(bytes));
}

CacheCounts DiskCache::counts() const {
  std::lock_guard lock(mutex_);
  CacheCounts out = counts_;
  out.held_bytes = index_.bytes();
  return out;
}

}  // namespace quarry::objects
