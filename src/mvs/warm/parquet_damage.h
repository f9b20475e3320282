// Where a Parquet file is damaged, by the checksums that its pages bear.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace arrow {
class Buffer;
}

namespace quarry::mvs {

struct ParquetDamage {
  uint64_t offset = 0;  // bytes
  std::string what;
};

// Of a file that is not what was written: the first column whose pages do not match their own checksums, else the footer, or what lies
// between pages. Reads all of it.
ParquetDamage find_damage(const std::shared_ptr<arrow::Buffer>& bytes);

}  // namespace quarry::mvs
