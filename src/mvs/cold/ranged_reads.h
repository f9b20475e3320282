// Many ranges of many objects at once: what one round trip to the object store brings.
#pragma once

#include <string>
#include <vector>

#include "base/executor.h"
#include "mvs/warm/parquet_columns.h"
#include "objects/object_store.h"

namespace quarry::mvs {

struct RangeOfObject {
  std::string key;
  ByteRange range;
};

// The bytes of each range, in the order asked, read beside each other on `io` and the calling thread. Ranges of an object that nearly touch
// are read as one, long ones in pieces. kCorruption names an object that is absent or ends before the range does; `failed`, if given, is then
// the position of a range in it.
Result<std::vector<std::string>> read_ranges(objects::ObjectStore& store, Executor* io, const std::vector<RangeOfObject>& wanted,
                                             size_t* failed = nullptr);

}  // namespace quarry::mvs
