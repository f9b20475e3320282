// One database connection with its prepared statements. Private to this folder.
#pragma once

#include <soci/soci.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace quarry::catalog {

using SqlValue = std::variant<std::string, long long>;
using SqlValues = std::vector<SqlValue>;

struct PreparedStatement;

// The rows of one query, first to last. One that is dropped before its end takes its statement with it, so no read stays open.
class Rows {
 public:
  Rows(class SqlConnection& connection, std::shared_ptr<PreparedStatement> statement);
  Rows(Rows&&) = default;
  Rows(const Rows&) = delete;
  ~Rows();

  bool next();
  // Of the current row, by position from 0; valid until next().
  const std::string& text(size_t column) const;
  long long number(size_t column) const;

 private:
  class SqlConnection* connection_;
  std::shared_ptr<PreparedStatement> statement_;
  bool done_ = false;
};

// Not thread-safe. Everything throws soci::soci_error.
class SqlConnection {
 public:
  SqlConnection(const soci::backend_factory& backend, const std::string& connect_string);

  // `columns` has one letter for each: t (text) or n (number). Parameters are written :name and bound in their order in `sql`. A
  // statement may not run again while its Rows are read.
  Rows query(const std::string& sql, std::string_view columns, SqlValues parameters);
  // Returns the number of rows touched.
  long long execute(const std::string& sql, SqlValues parameters = {});
  // Without preparing: schema changes, pragmas.
  void run(const std::string& sql);

 private:
  friend class Rows;
  std::shared_ptr<PreparedStatement> prepared(const std::string& sql, std::string_view columns, SqlValues parameters);
  void forget(const PreparedStatement& statement);

  soci::session session_;  // outlives the statements
  std::unordered_map<std::string, std::shared_ptr<PreparedStatement>> statements_;
};

}  // namespace quarry::catalog
