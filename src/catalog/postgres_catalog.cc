// PostgreSQL: serialisable transactions over a pool of connections; one that loses against another runs again.
#include <fmt/format.h>
#include <libpq-fe.h>
#include <soci/postgresql/soci-postgresql.h>

#include <chrono>
#include <thread>

#include "base/executor.h"
#include "base/rng.h"
#include "catalog/sql_transaction.h"

namespace quarry::catalog {
namespace {

constexpr size_t kConnections = 8;
constexpr int kAttempts = 30;
constexpr int64_t kMaxDelayUs = 50'000;

// host, port and database of a connection string; never its password.
std::string describe_connection(const std::string& connection) {
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(connection.c_str(), nullptr), PQconninfoFree);
  std::string host = "localhost", port = "5432", database;
  for (auto* o = options.get(); o != nullptr && o->keyword != nullptr; ++o) {
    if (o->val == nullptr) continue;
    std::string_view key = o->keyword;
    if (key == "host") host = o->val;
    if (key == "port") port = o->val;
    if (key == "dbname") database = o->val;
  }
  return fmt::format("postgresql://{}:{}/{}", host, port, database);
}

class PostgresDialect : public Dialect {
 public:
  explicit PostgresDialect(const std::string& connection) : description_(describe_connection(connection)) {}

  std::string text_type() const override { return "TEXT COLLATE \"C\""; }
  std::string begin_read() const override { return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"; }
  std::string begin_write() const override { return "BEGIN ISOLATION LEVEL SERIALIZABLE"; }
  std::string lock_row() const override { return " FOR UPDATE SKIP LOCKED"; }
  std::string lock_schema() const override { return "SELECT pg_advisory_xact_lock(7312461901)"; }
  std::string describe() const override { return description_; }

  // Codes: postgresql.org/docs/15/errcodes-appendix.html.
  SqlFailure classify(const std::exception& e) const override {
    auto* known = dynamic_cast<const soci::postgresql_soci_error*>(&e);
    std::string state = known == nullptr ? "" : known->sqlstate();
    std::string message = fmt::format("catalog {}: {}", description_, first_line(e.what()));
    // A unique violation can only be a race: the session looks before it writes.
    if (state == "40001" || state == "40P01" || state == "23505" || state == "42P07")
      return {Error{ErrorKind::kConflict, message}, true, false};
    if (state == "53100") return {Error{ErrorKind::kStorage, message + " (its disk is full)", json::object{{"reason", "disk_full"}}}};
    if (state.starts_with("XX")) return {corruption(std::move(message))};
    bool is_lost =
        known == nullptr || state.starts_with("08") || state.starts_with("57P") || state.starts_with("  ") || state.starts_with("53");
    if (is_lost) return {Error{ErrorKind::kUnavailable, std::move(message)}, false, true};
    return {internal_error(std::move(message))};
  }

 private:
  static std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

  const std::string description_;
};

class PostgresCatalog : public Catalog {
 public:
  PostgresCatalog(std::string connection, const Clock& clock)
      : connection_(std::move(connection)), clock_(clock), dialect_(connection_), pool_(kConnections, [this] { return connect(); }) {}

  Status open() {
    QUARRY_ASSIGN_OR_RETURN(auto lease, pool_.lease());
    Status status = migrate(*lease, dialect_);
    if (!status.ok()) lease.discard();
    return status;
  }

  Status write(const std::function<Status(Session&)>& body) override { return run(Access::kWrite, body); }
  Status read(const std::function<Status(Session&)>& body) override { return run(Access::kRead, body); }
  std::string describe() const override { return dialect_.describe(); }

 private:
  Result<std::unique_ptr<SqlConnection>> connect() {
    try {
      auto connection = std::make_unique<SqlConnection>(soci::postgresql, connection_);
      connection->run("SET client_min_messages = error");  // libpq prints notices on standard error
      return connection;
    } catch (const std::exception& e) {
      return dialect_.classify(e).error;
    }
  }

  Status run(Access access, const std::function<Status(Session&)>& body) {
    const Waiting for_the_database;
    Status status = Ok{};
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      QUARRY_ASSIGN_OR_RETURN(auto lease, pool_.lease());
      TransactionOutcome outcome = run_transaction(*lease, dialect_, clock_, access, body);
      if (outcome.is_broken) lease.discard();
      status = std::move(outcome.status);
      if (status.ok() || !outcome.may_retry) return status;
      wait(attempt);
    }
    Error error = std::move(status).error();
    error.kind = ErrorKind::kUnavailable;  // too much traffic on the same rows: the client may try again
    return error;
  }

  // Full jitter up to 50 ms, so that those who lost do not meet again.
  static void wait(int attempt) {
    uint64_t seed = 0;
    fill_secure_random(std::span(reinterpret_cast<uint8_t*>(&seed), sizeof seed));
    int64_t ceiling = std::min<int64_t>(kMaxDelayUs, int64_t{500} << std::min(attempt, 10));
    std::this_thread::sleep_for(std::chrono::microseconds(seed % static_cast<uint64_t>(ceiling)));
  }

  const std::string connection_;
  const Clock& clock_;
  const PostgresDialect dialect_;
  ConnectionPool pool_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> open_postgres_catalog(const std::string& connection, const Clock& clock) {
  auto catalog = std::make_unique<PostgresCatalog>(connection, clock);
  QUARRY_RETURN_IF_ERROR(catalog->open());
  return std::unique_ptr<Catalog>(std::move(catalog));
}

}  // namespace quarry::catalog
