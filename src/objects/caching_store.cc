#include "objects/caching_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/executor.h"
#include "objects/cache/disk_cache.h"

namespace quarry::objects {
namespace {

constexpr uint64_t kMaxRunBytes = 64ull << 20;  // fetched by one request
constexpr uint64_t kLeastBlockBytes = 512, kMostBlockBytes = 64ull << 20;

}  // namespace

// Guarded by the store's mutex. `is_stale` once the object was written or removed meanwhile: then its bytes are handed out but not kept.
struct CachingStore::Load {
  bool is_done = false;
  bool is_stale = false;
  Result<Block> outcome = Block();
};

Result<std::unique_ptr<CachingStore>> CachingStore::open(ObjectStore& inner, CacheOptions options) {
  if (options.block_bytes < kLeastBlockBytes || options.block_bytes > kMostBlockBytes)
    return bad_request(fmt::format("a cache's blocks have {} to {} bytes", kLeastBlockBytes, kMostBlockBytes));
  if (!options.is_immutable) return bad_request("a cache must be told which keys never change");
  QUARRY_ASSIGN_OR_RETURN(auto disk, DiskCache::open(options));
  return std::unique_ptr<CachingStore>(new CachingStore(inner, std::move(options), std::move(disk)));
}

CachingStore::CachingStore(ObjectStore& inner, CacheOptions options, std::unique_ptr<DiskCache> disk)
    : inner_(inner), options_(std::move(options)), disk_(std::move(disk)) {}
CachingStore::~CachingStore() = default;

CacheCounts CachingStore::counts() const { return disk_->counts(); }

Status CachingStore::put(std::string_view key, std::string_view bytes) {
  if (!options_.is_immutable(key)) return inner_.put(key, bytes);
  Status status = inner_.put(key, bytes);
  forget(key);  // after a failure too: it may have taken place
  return status;
}

Status CachingStore::put_if_absent(std::string_view key, std::string_view bytes) {
  Status status = inner_.put_if_absent(key, bytes);
  if (options_.is_immutable(key)) forget(key);
  return status;
}

Status CachingStore::remove(std::string_view key) {
  Status status = inner_.remove(key);
  if (options_.is_immutable(key)) forget(key);
  return status;
}

Status CachingStore::remove_many(std::span<const std::string> keys) {
  Status status = inner_.remove_many(keys);
  for (const std::string& key : keys)
    if (options_.is_immutable(key)) forget(key);
  return status;
}

Result<std::string> CachingStore::get(std::string_view key) {
  if (!options_.is_immutable(key) || !validate_key(key).ok()) return inner_.get(key);
  return read_blocks(key, 0, UINT64_MAX);
}

Result<std::string> CachingStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  if (length == 0 || offset > INT64_MAX || !options_.is_immutable(key) || !validate_key(key).ok())
    return inner_.get_range(key, offset, length);
  return read_blocks(key, offset, length);
}

// A block shorter than the others is an object's last: sizes need not be known.
Result<std::string> CachingStore::read_blocks(std::string_view key, uint64_t offset, uint64_t length) {
  const uint64_t size = options_.block_bytes, run = std::max<uint64_t>(kMaxRunBytes / size, 1);
  const uint64_t end = offset + std::min<uint64_t>(length, INT64_MAX - offset);
  std::string out;
  for (uint64_t block = offset / size, last = (end - 1) / size; block <= last; block += run) {
    QUARRY_ASSIGN_OR_RETURN(auto blocks, load(std::string(key), block, std::min(run, last - block + 1)));
    for (size_t i = 0; i < blocks.size(); ++i) {
      const uint64_t begins = (block + i) * size, skip = offset > begins ? offset - begins : 0;
      if (skip < blocks[i]->size()) out.append(*blocks[i], skip, end - begins - skip);
      if (blocks[i]->size() < size) return out;
    }
  }
  return out;
}

Result<std::vector<CachingStore::Block>> CachingStore::load(const std::string& key, uint64_t first, size_t count) {
  const Claim wanted = claim(key, first, count);
  fill(key, first, wanted);
  std::vector<Block> blocks;
  std::unique_lock lock(mutex_);
  for (const auto& load : wanted.loads) {
    // Bounded as the request of whoever fetches it is; nobody waits before having filled what was claimed.
    if (!load->is_done) {
      const Waiting for_another_reader;
      loaded_.wait(lock, [&] { return load->is_done; });
    }
    if (!load->outcome.ok()) return load->outcome.error();
    blocks.push_back(*load->outcome);
    if (blocks.back()->size() < options_.block_bytes) break;
  }
  return blocks;
}

CachingStore::Claim CachingStore::claim(const std::string& key, uint64_t first, size_t count) {
  Claim out;
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < count; ++i) {
    auto [it, is_new] = loads_.try_emplace({key, first + i});
    if (is_new) it->second = std::make_shared<Load>();
    out.loads.push_back(it->second);
    out.is_ours.push_back(is_new);
  }
  return out;
}

// Fills what is claimed from the disk, and what lies between from the store behind, in as few requests as the gaps allow.
void CachingStore::fill(const std::string& key, uint64_t first, const Claim& claim) {
  const auto empty = std::make_shared<const std::string>();
  bool ended = false;
  size_t missing_from = SIZE_MAX;
  auto fetch_missing = [&](size_t end) {
    if (missing_from == SIZE_MAX) return;
    fetch(key, first + missing_from, std::span(claim.loads).subspan(missing_from, end - missing_from));
    missing_from = SIZE_MAX;
  };
  for (size_t i = 0; i < claim.loads.size(); ++i) {
    if (!claim.is_ours[i]) {
      fetch_missing(i);
      continue;
    }
    auto held = ended ? std::nullopt : disk_->read(key, first + i);
    if (!held && !ended) {
      missing_from = std::min(missing_from, i);
      continue;
    }
    fetch_missing(i);
    ended = ended || held->size() < options_.block_bytes;
    finish(key, first + i, claim.loads[i], held ? std::make_shared<const std::string>(std::move(*held)) : empty);
  }
  fetch_missing(claim.loads.size());
}

void CachingStore::fetch(const std::string& key, uint64_t first, std::span<const std::shared_ptr<Load>> loads) {
  const uint64_t size = options_.block_bytes;
  auto bytes = inner_.get_range(key, first * size, loads.size() * size);
  if (bytes.ok()) disk_->count_fetch(std::min<uint64_t>(loads.size(), bytes->size() / size + 1), bytes->size());
  for (size_t i = 0; i < loads.size(); ++i) {
    if (!bytes.ok()) {
      finish(key, first + i, loads[i], bytes.error());
      continue;
    }
    auto block = std::make_shared<const std::string>(i * size < bytes->size() ? bytes->substr(i * size, size) : "");
    // An empty block is kept only where it tells that the block before it is the last.
    const bool is_past_end = block->empty() && (i == 0 ? first > 0 : bytes->size() != i * size);
    if (!is_past_end) keep(key, first + i, *loads[i], *block);
    finish(key, first + i, loads[i], std::move(block));
  }
}

void CachingStore::finish(const std::string& key, uint64_t block, const std::shared_ptr<Load>& load, Result<Block> outcome) {
  {
    std::lock_guard lock(mutex_);
    load->outcome = std::move(outcome);
    load->is_done = true;
    auto it = loads_.find({key, block});
    if (it != loads_.end() && it->second == load) loads_.erase(it);
  }
  loaded_.notify_all();
}

void CachingStore::keep(const std::string& key, uint64_t block, const Load& load, const std::string& payload) {
  if (is_stale(load)) return;
  disk_->write(key, block, payload);
  if (is_stale(load)) disk_->remove_block(key, block);  // forgotten between the two
}

bool CachingStore::is_stale(const Load& load) {
  std::lock_guard lock(mutex_);
  return load.is_stale;
}

// First no load that is under way may be kept or joined any more, then what was kept goes.
void CachingStore::forget(std::string_view key) {
  {
    std::lock_guard lock(mutex_);
    for (auto it = loads_.lower_bound({std::string(key), 0}); it != loads_.end() && it->first.first == key; it = loads_.erase(it))
      it->second->is_stale = true;
  }
  disk_->remove(key);
}

}  // namespace quarry::objects
