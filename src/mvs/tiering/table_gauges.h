// What tables that are held in memory add to the gauges under /metrics.
#pragma once

#include <cstdint>

namespace quarry::mvs {

// One table's share. Not thread-safe.
class TableGauges {
 public:
  struct Values {
    int64_t rows = 0, deleted_rows = 0;        // live; gone, and still in a data file
    int64_t files = 0, file_bytes = 0;         // data files
    int64_t small_files = 0, small_bytes = 0;  // of those, what compaction has yet to merge
    int64_t unlinked_rows = 0;                 // of indexed columns, rows that no graph leads to yet
  };

  TableGauges() = default;
  TableGauges(const TableGauges&) = delete;
  TableGauges& operator=(const TableGauges&) = delete;
  ~TableGauges() { set({}); }

  void set(const Values& values);

 private:
  Values told_;
};

}  // namespace quarry::mvs
