// SQLite in WAL mode: one connection writes behind a mutex, a few read on snapshots of their own.
#include "catalog/sqlite_catalog.h"

#include <fmt/format.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <array>
#include <atomic>

#include "base/executor.h"
#include "base/file.h"
#include "catalog/sql_session.h"
#include "catalog/sql_transaction.h"

namespace quarry::catalog {
namespace {

namespace fs = std::filesystem;

// Result codes of SQLite that need an answer of their own (sqlite.org/rescode.html).
enum ResultCode {
  kBusy = 5,
  kLocked = 6,
  kNoMemory = 7,
  kReadOnly = 8,
  kIoError = 10,
  kCorrupt = 11,
  kFull = 13,
  kCannotOpen = 14,
  kNotADatabase = 26
};

class SqliteDialect : public Dialect {
 public:
  explicit SqliteDialect(fs::path file) : file_(std::move(file)) {}

  std::string text_type() const override { return "TEXT"; }
  std::string begin_read() const override { return "BEGIN DEFERRED"; }
  std::string begin_write() const override { return "BEGIN IMMEDIATE"; }
  std::string lock_row() const override { return ""; }
  std::string lock_schema() const override { return ""; }
  std::string describe() const override { return "sqlite://" + file_.string(); }

  SqlFailure classify(const std::exception& e) const override {
    auto* known = dynamic_cast<const soci::sqlite3_soci_error*>(&e);
    std::string message = fmt::format("catalog {}: {}", file_.string(), e.what());
    switch (known == nullptr ? 0 : known->result() & 0xff) {
      case kFull: return {full_disk(std::move(message))};
      case kCorrupt:
      case kNotADatabase: return {corruption(std::move(message))};
      case kBusy:
      case kLocked: return {Error{ErrorKind::kUnavailable, message + " (another process holds it)"}};
      case kReadOnly:
      case kIoError:
      case kCannotOpen: return {storage_error(std::move(message))};
      default: return {internal_error(std::move(message))};
    }
  }

 private:
  static Error full_disk(std::string message) {
    return {ErrorKind::kStorage, message + " (the disk is full: free space and retry; reads go on)", json::object{{"reason", "disk_full"}}};
  }

  const fs::path file_;
};

void set_up(SqlConnection& connection, const SqliteOptions& options) {
  connection.run(fmt::format("PRAGMA busy_timeout = {}", options.busy_timeout_ms));
  connection.run("PRAGMA synchronous = FULL");  // a commit survives a power cut
  connection.run("PRAGMA temp_store = MEMORY");
  connection.run("PRAGMA cache_size = -8192");  // KiB
  connection.run("PRAGMA journal_size_limit = 67108864");
}

class SqliteCatalog : public Catalog {
 public:
  SqliteCatalog(fs::path file, const Clock& clock, const SqliteOptions& options)
      : file_(std::move(file)),
        clock_(clock),
        options_(options),
        dialect_(file_),
        readers_(std::max<size_t>(options.read_connections, 1), [this] { return open_reader(); }) {}

  Status open() {
    QUARRY_RETURN_IF_ERROR(make_directories(file_.parent_path()));
    QUARRY_ASSIGN_OR_RETURN(writer_, connect());
    QUARRY_RETURN_IF_ERROR(use_wal());
    return migrate(*writer_, dialect_);
  }

  Status write(const std::function<Status(Session&)>& body) override {
    const Waiting for_the_disk;
    std::lock_guard lock(write_mutex_);
    if (writer_ == nullptr) {
      QUARRY_ASSIGN_OR_RETURN(writer_, connect());
    }
    TransactionOutcome outcome = run_transaction(*writer_, dialect_, clock_, Access::kWrite, body);
    if (outcome.is_broken) writer_.reset();
    for (size_t bit = 0; bit < versions_.size(); ++bit)
      if (outcome.written_kinds >> bit & 1) ++versions_[bit];
    return std::move(outcome.status);
  }

  std::optional<uint64_t> version(std::string_view kind) const override {
    if (!options_.exclusive) return std::nullopt;
    return versions_[kind_bit(kind)].load();
  }

  Status read(const std::function<Status(Session&)>& body) override {
    QUARRY_ASSIGN_OR_RETURN(auto reader, readers_.lease());
    TransactionOutcome outcome = run_transaction(*reader, dialect_, clock_, Access::kRead, body);
    if (outcome.is_broken) reader.discard();
    return std::move(outcome.status);
  }

  std::string describe() const override { return dialect_.describe(); }

 private:
  Result<std::unique_ptr<SqlConnection>> connect() {
    try {
      auto connection = std::make_unique<SqlConnection>(soci::sqlite3, fmt::format("dbname=\"{}\"", file_.string()));
      set_up(*connection, options_);
      if (options_.max_bytes > 0)
        connection->run(fmt::format("PRAGMA max_page_count = {}", std::max<int64_t>(options_.max_bytes / 4096, 1)));
      return connection;
    } catch (const std::exception& e) {
      return dialect_.classify(e).error;
    }
  }

  Result<std::unique_ptr<SqlConnection>> open_reader() {
    QUARRY_ASSIGN_OR_RETURN(auto connection, connect());
    try {
      connection->run("PRAGMA query_only = 1");
      return connection;
    } catch (const std::exception& e) {
      return dialect_.classify(e).error;
    }
  }

  Status use_wal() {
    try {
      std::string mode;
      Rows rows = writer_->query("PRAGMA journal_mode = WAL", "t", {});
      while (rows.next()) mode = rows.text(0);
      if (mode == "wal") return Ok{};
      return storage_error(
          fmt::format("catalog {}: its file system does not support SQLite's WAL mode (it is in mode '{}')", file_.string(), mode));
    } catch (const std::exception& e) {
      return dialect_.classify(e).error;
    }
  }

  const fs::path file_;
  const Clock& clock_;
  const SqliteOptions options_;
  const SqliteDialect dialect_;
  std::array<std::atomic<uint64_t>, 64> versions_{};  // by kind_bit()
  std::mutex write_mutex_;
  std::unique_ptr<SqlConnection> writer_;  // closed after the readers: the last to close folds the WAL into the file
  ConnectionPool readers_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const fs::path& file, const Clock& clock, const SqliteOptions& options) {
  std::error_code error;
  fs::path absolute = fs::absolute(file, error);
  if (error) return errno_error("resolve", file, error.value());
  if (absolute.string().find('"') != std::string::npos)
    return bad_request(fmt::format("catalog {}: the path may not contain a double quote", file.string()));
  auto catalog = std::make_unique<SqliteCatalog>(std::move(absolute), clock, options);
  QUARRY_RETURN_IF_ERROR(catalog->open());
  return std::unique_ptr<Catalog>(std::move(catalog));
}

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const fs::path& file, const Clock& clock) {
  return open_sqlite_catalog(file, clock, SqliteOptions{});
}

}  // namespace quarry::catalog
