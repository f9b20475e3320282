// Where SQLite and PostgreSQL differ. Private to this folder.
#pragma once

#include <soci/soci.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/sql_connection.h"

namespace quarry::catalog {

struct SqlFailure {
  Error error;
  bool may_retry = false;  // the transaction lost against another: run it again
  bool is_broken = false;  // the connection is of no further use
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual std::string text_type() const = 0;  // one that compares by bytes
  virtual std::string begin_read() const = 0;
  virtual std::string begin_write() const = 0;
  virtual std::string lock_row() const = 0;     // suffix of the SELECT that claims a task
  virtual std::string lock_schema() const = 0;  // statement that keeps other processes from changing the schema; may be empty
  virtual SqlFailure classify(const std::exception& e) const = 0;
  virtual std::string describe() const = 0;  // for messages; no secrets
};

// Brings the tables up to date, in one transaction. kStorage naming both versions if they were made by a newer release.
Status migrate(SqlConnection& connection, const Dialect& dialect);

}  // namespace quarry::catalog
