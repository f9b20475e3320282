#include "objects/counting_store.h"

namespace quarry::objects {

Status CountingStore::put(std::string_view key, std::string_view bytes) {
  ++puts_;
  Status status = inner_.put(key, bytes);
  if (status.ok()) bytes_written_ += bytes.size();
  return status;
}

Status CountingStore::put_if_absent(std::string_view key, std::string_view bytes) {
  ++puts_;
  Status status = inner_.put_if_absent(key, bytes);
  if (status.ok()) bytes_written_ += bytes.size();
  return status;
}

Result<std::string> CountingStore::get(std::string_view key) {
  ++gets_;
  auto bytes = inner_.get(key);
  if (bytes.ok()) bytes_read_ += bytes->size();
  return bytes;
}

Result<std::string> CountingStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  ++range_gets_;
  auto bytes = inner_.get_range(key, offset, length);
  if (bytes.ok()) bytes_read_ += bytes->size();
  return bytes;
}

Result<ObjectInfo> CountingStore::head(std::string_view key) {
  ++heads_;
  return inner_.head(key);
}

Result<std::vector<ObjectInfo>> CountingStore::list(std::string_view prefix, std::string_view after, size_t limit) {
  ++lists_;
  return inner_.list(prefix, after, limit);
}

Status CountingStore::remove(std::string_view key) {
  ++removes_;
  return inner_.remove(key);
}

Status CountingStore::remove_many(std::span<const std::string> keys) {
  removes_ += keys.size();
  return inner_.remove_many(keys);
}

StoreCounts CountingStore::counts() const { return {puts_, gets_, range_gets_, heads_, lists_, removes_, bytes_read_, bytes_written_}; }

void CountingStore::reset() { puts_ = gets_ = range_gets_ = heads_ = lists_ = removes_ = bytes_read_ = bytes_written_ = 0; }

}  // namespace quarry::objects
