#include "catalog/sql_transaction.h"

#include <fmt/format.h>

#include "base/executor.h"
#include "catalog/sql_session.h"

namespace quarry::catalog {
namespace {

TransactionOutcome failed(SqlFailure failure) { return {std::move(failure.error), failure.may_retry, failure.is_broken}; }

// A database that failed may have rolled back by itself; that this finds nothing to roll back is fine then.
void roll_back(SqlConnection& connection, bool database_failed, TransactionOutcome& outcome) {
  try {
    connection.execute("ROLLBACK");
  } catch (const std::exception&) {
    outcome.is_broken = outcome.is_broken || !database_failed;
  }
}

TransactionOutcome commit(SqlConnection& connection, const Dialect& dialect) {
  try {
    connection.execute("COMMIT");
    return {};
  } catch (const std::exception& e) {
    TransactionOutcome outcome = failed(dialect.classify(e));
    roll_back(connection, true, outcome);
    return outcome;
  }
}

// The connection serves others afterwards, so nothing may leave its transaction open.
Status run_body(SqlSession& session, const std::function<Status(Session&)>& body) {
  try {
    return body(session);
  } catch (const std::exception& e) {
    return internal_error(fmt::format("a catalog transaction was broken off: {}", e.what()));
  }
}

}  // namespace

TransactionOutcome run_transaction(SqlConnection& connection, const Dialect& dialect, const Clock& clock, Access access,
                                   const std::function<Status(Session&)>& body) {
  try {
    connection.execute(access == Access::kWrite ? dialect.begin_write() : dialect.begin_read());
  } catch (const std::exception& e) {
    return failed(dialect.classify(e));
  }
  SqlSession session(connection, dialect, clock);
  TransactionOutcome outcome{run_body(session, body)};
  if (session.failure()) outcome = failed(*session.failure());
  if (outcome.status.ok()) {
    outcome = commit(connection, dialect);
    outcome.written_kinds = session.written_kinds();
    return outcome;
  }
  roll_back(connection, session.failure().has_value(), outcome);
  return outcome;
}

Result<ConnectionPool::Lease> ConnectionPool::lease() {
  std::unique_ptr<SqlConnection> connection;
  {
    std::unique_lock lock(mutex_);
    if (free_.empty()) {
      const Waiting for_a_connection;
      available_.wait(lock, [&] { return !free_.empty(); });
    }
    connection = std::move(free_.back());
    free_.pop_back();
  }
  Lease lease(*this, std::move(connection));
  if (!lease.is_open()) {
    QUARRY_ASSIGN_OR_RETURN(auto opened, open_());
    lease.fill(std::move(opened));
  }
  return lease;
}

void ConnectionPool::give_back(std::unique_ptr<SqlConnection> connection) {
  {
    std::lock_guard lock(mutex_);
    free_.push_back(std::move(connection));
  }
  available_.notify_one();
}

}  // namespace quarry::catalog
