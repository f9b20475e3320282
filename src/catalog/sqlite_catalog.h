// Settings of the embedded catalog that only tests and operators change.
#pragma once

#include "catalog/catalog.h"

namespace quarry::catalog {

struct SqliteOptions {
  size_t read_connections = 4;
  int64_t max_bytes = 0;             // the file grows no further; 0: as far as the disk goes
  int64_t busy_timeout_ms = 10'000;  // how long to wait for another process that holds the file
  bool exclusive = false;            // nothing else writes to the file while it is open: version() tells of changes
};

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::filesystem::path& file, const Clock& clock, const SqliteOptions& options);

}  // namespace quarry::catalog
