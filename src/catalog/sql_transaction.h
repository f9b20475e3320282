// Begin, body, commit or roll back, for both engines. Private to this folder.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "catalog/catalog.h"
#include "catalog/sql_dialect.h"

namespace quarry::catalog {

struct TransactionOutcome {
  Status status = Ok{};
  bool may_retry = false;
  bool is_broken = false;  // throw the connection away
  uint64_t written_kinds = 0;
};

enum class Access { kRead, kWrite };

TransactionOutcome run_transaction(SqlConnection& connection, const Dialect& dialect, const Clock& clock, Access access,
                                   const std::function<Status(Session&)>& body);

// A fixed number of connections, opened when first needed. Thread-safe; waits while all are lent.
class ConnectionPool {
 public:
  using Open = std::function<Result<std::unique_ptr<SqlConnection>>()>;

  ConnectionPool(size_t size, Open open) : open_(std::move(open)), free_(size) {}

  // One connection, given back when this goes.
  class Lease {
   public:
    Lease(ConnectionPool& pool, std::unique_ptr<SqlConnection> connection) : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
    ~Lease() {
      if (pool_ != nullptr) pool_->give_back(std::move(connection_));
    }
    bool is_open() const { return connection_ != nullptr; }
    void fill(std::unique_ptr<SqlConnection> connection) { connection_ = std::move(connection); }
    SqlConnection& operator*() { return *connection_; }
    void discard() { connection_.reset(); }  // the next to lease this place opens a new one

   private:
    ConnectionPool* pool_;
    std::unique_ptr<SqlConnection> connection_;
  };

  Result<Lease> lease();

 private:
  void give_back(std::unique_ptr<SqlConnection> connection);

  const Open open_;
  std::mutex mutex_;
  std::condition_variable available_;
  std::vector<std::unique_ptr<SqlConnection>> free_;  // null: not open
};

}  // namespace quarry::catalog
