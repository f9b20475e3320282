// Blocks as files under one folder, the least recently used of them removed to stay within a size.
// Invariants: a file under its final name is whole unless power failed, which its checksum shows (nothing is synced: a lost block costs one
// fetch); a file is in the index before it is read.
#pragma once

#include <mutex>

#include "base/file.h"
#include "objects/cache/block_index.h"
#include "objects/caching_store.h"

namespace quarry::objects {

// Thread-safe; files are read and written without the lock.
class DiskCache {
 public:
  // Takes up what an earlier process left in `options.folder`; kConflict if another one uses it.
  static Result<std::unique_ptr<DiskCache>> open(const CacheOptions& options);

  // nullopt: not held, or damaged and now dropped.
  std::optional<std::string> read(std::string_view key, uint64_t block);
  // A failure is counted, not told: the cache is a convenience.
  void write(std::string_view key, uint64_t block, std::string_view payload);
  void remove(std::string_view key);
  void remove_block(std::string_view key, uint64_t block);

  void count_fetch(uint64_t blocks, uint64_t bytes);
  CacheCounts counts() const;

 private:
  DiskCache(const CacheOptions& options, FileDescriptor lock);
  Status adopt_files();
  BlockId id_of(std::string_view key, uint64_t block) const;
  std::filesystem::path path_of(const BlockId& id) const;
  void drop(const BlockId& id, bool is_damaged);
  void refresh_time(const BlockId& id);
  Status write_file(const BlockId& id, std::string_view bytes);

  const CacheOptions options_;
  const std::filesystem::path blocks_dir_, temporary_dir_;
  const FileDescriptor lock_;
  mutable std::mutex mutex_;
  BlockIndex index_;
  CacheCounts counts_;
  uint64_t next_temporary_ = 0;
  bool warned_ = false;
};

}  // namespace quarry::objects
