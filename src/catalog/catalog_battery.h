// Fixture of what every catalog must do: each test runs on SQLite and on PostgreSQL.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/temporary_folder.h"
#include "catalog/catalog.h"
#include "catalog/postgres_cluster.h"

namespace quarry::catalog {

namespace fs = std::filesystem;

// An empty catalog that can be closed and opened again.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<std::unique_ptr<Catalog>> open(const Clock& clock) = 0;
};

class SqliteBackend : public Backend {
 public:
  Result<std::unique_ptr<Catalog>> open(const Clock& clock) override {
    return open_sqlite_catalog(folder_.path() / "a folder" / "catalog.db", clock);
  }

 private:
  const TemporaryFolder folder_{"quarry-catalog"};
};

// Each in a schema of its own.
class PostgresBackend : public Backend {
 public:
  PostgresBackend() { run("CREATE SCHEMA " + schema_); }
  ~PostgresBackend() override { run("DROP SCHEMA " + schema_ + " CASCADE"); }
  Result<std::unique_ptr<Catalog>> open(const Clock& clock) override {
    return open_postgres_catalog(PostgresCluster::connection() + " options='-c search_path=" + schema_ + "'", clock);
  }

 private:
  static void run(const std::string& sql) {
    soci::session session(soci::postgresql, PostgresCluster::connection() + " options='-c client_min_messages=error'");
    session << sql;
  }
  std::string schema_ = "t_" + secure_token(12);
};

class CatalogBattery : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "postgres") {
      if (PostgresCluster::connection().empty()) GTEST_SKIP() << PostgresCluster::why_not();
      backend_ = std::make_unique<PostgresBackend>();
    } else {
      backend_ = std::make_unique<SqliteBackend>();
    }
    reopen();
  }

  void reopen() {
    catalog_.reset();
    auto opened = backend_->open(clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    catalog_ = std::move(opened).value();
  }

  Resource make(std::string id, std::string name = "", json::object body = {}) {
    return {"bucket", std::move(id), "org_1", "ns_1", "", std::move(name), std::move(body), 0, 0, 0};
  }
  void add(const Resource& r) {
    Status status = catalog_->insert(r);
    ASSERT_TRUE(status.ok()) << status.error().message;
    clock_.advance_us(1'000);
  }
  std::vector<std::string> ids(const ListQuery& query) {
    auto page = catalog_->list(query);
    EXPECT_TRUE(page.ok()) << (page.ok() ? "" : page.error().message);
    std::vector<std::string> out;
    if (page.ok())
      for (const auto& r : page->items) out.push_back(r.id);
    return out;
  }
  ListQuery buckets() {
    ListQuery query;
    query.kind = "bucket";
    query.scope = scope_;
    return query;
  }
  Status write(const std::function<Status(Session&)>& body) { return catalog_->write(body); }

  void enqueue(const std::string& id, std::string type = "batch") {
    Task task;
    task.task_id = id;
    task.task_type = std::move(type);
    task.organization_id = "org_1";
    task.namespace_id = "ns_1";
    task.inputs = {{"batch_id", "bat_1"}};
    ASSERT_TRUE(write([&](Session& s) { return s.enqueue(task); }).ok());
    clock_.advance_us(1'000);
  }
  std::optional<Task> claim(const std::string& owner, std::vector<std::string> types = {}, int64_t lease_us = 1'000'000) {
    std::optional<Task> out;
    Status status = write([&](Session& s) -> Status {
      QUARRY_ASSIGN_OR_RETURN(out, s.claim(owner, types, lease_us, clock_.now_us()));
      return Ok{};
    });
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return out;
  }
  Task task(const std::string& id) {
    Task out;
    EXPECT_TRUE(catalog_
                    ->read([&](Session& s) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(out, s.get_task_any(id));
                      return Ok{};
                    })
                    .ok());
    return out;
  }
  ErrorKind error_of(const Status& status) {
    EXPECT_FALSE(status.ok());
    return status.ok() ? ErrorKind::kInternal : status.error().kind;
  }

  ManualClock clock_;
  Scope scope_{"org_1", "ns_1"};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Catalog> catalog_;
};

template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? ErrorKind::kInternal : result.error().kind;
}

inline std::string backend_name(const testing::TestParamInfo<const char*>& instance) { return instance.param; }

#define QUARRY_CATALOG_SUITE(suite) INSTANTIATE_TEST_SUITE_P(Backends, suite, testing::Values("sqlite", "postgres"), backend_name)

}  // namespace quarry::catalog
