// Many ranges of many objects at once: what one round trip to the object store brings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "mvs/warm/parquet_columns.h"
#include "objects/object_store.h"

namespace quarry::mvs {

struct RangeOfObject {
  std::string key;
  ByteRange range;
};

// The bytes of ranges, in the order they were asked for. Several may lie in one run of bytes, as they were read.
class RangedBytes {
 public:
  RangedBytes() = default;
  RangedBytes(RangedBytes&&) = default;
  RangedBytes& operator=(RangedBytes&&) = default;
  size_t size() const { return ranges_.size(); }
  std::string_view operator[](size_t i) const { return ranges_[i]; }

 private:
  friend class RangedRead;

  std::vector<std::string> runs_, joined_;  // as read; ranges that came in pieces
  std::vector<std::string_view> ranges_;
};

// Read beside each other on `io` and the calling thread. Ranges of an object that nearly touch are read as one, long ones in pieces.
// kCorruption names an object that is absent or ends before the range does; `failed`, if given, is then the position of a range in it.
Result<RangedBytes> read_ranges(objects::ObjectStore& store, Executor* io, const std::vector<RangeOfObject>& wanted,
                                size_t* failed = nullptr);

}  // namespace quarry::mvs
