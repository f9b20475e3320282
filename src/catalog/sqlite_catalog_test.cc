// What is particular to the embedded catalog: its file, a full disk, corruption, other processes.
#include <gtest/gtest.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "catalog/sqlite_catalog.h"
#include "catalog/versioned_cache.h"

namespace quarry::catalog {
namespace {

namespace fs = std::filesystem;

class SqliteCatalogTest : public testing::Test {
 protected:
  std::unique_ptr<Catalog> open(const SqliteOptions& options = {}) {
    auto opened = open_sqlite_catalog(file_, clock_, options);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  static Resource make(int i, size_t size = 0) {
    return {"object", "obj_" + std::to_string(i), "org_1", "ns_1", "bkt_1", "", {{"text", std::string(size, 'x')}}, 0, 0, 0};
  }
  void run(const std::string& sql) {
    soci::session session(soci::sqlite3, "dbname=" + file_.string());
    session << sql;
  }

  ManualClock clock_;
  Scope scope_{"org_1", "ns_1"};
  const TemporaryFolder made_{"quarry-sqlite"};
  const fs::path& folder_ = made_.path();
  const fs::path file_ = folder_ / "catalog.db";
};

TEST_F(SqliteCatalogTest, FoldsTheLogIntoTheFileOnClose) {
  open()->insert(make(1)).value();
  EXPECT_TRUE(fs::exists(file_));
  EXPECT_FALSE(fs::exists(file_.string() + "-wal"));
}

TEST_F(SqliteCatalogTest, AFullDiskIsToldRolledBackAndHeals) {
  auto catalog = open({.max_bytes = 400'000});
  ASSERT_TRUE(catalog->insert(make(0)).ok());
  Status status = catalog->write([&](Session& s) -> Status {
    for (int i = 1; i < 1'000; ++i) QUARRY_RETURN_IF_ERROR(s.insert(make(i, 2'000)));
    return Ok{};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kStorage);
  EXPECT_EQ(status.error().details.at("reason"), "disk_full");
  EXPECT_NE(status.error().message.find(file_.string()), std::string::npos);
  EXPECT_TRUE(catalog->get("object", scope_, "obj_0").ok());
  EXPECT_EQ(catalog->get("object", scope_, "obj_1").error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(catalog->insert(make(1)).ok());  // what still fits
  catalog.reset();
  EXPECT_TRUE(open()->insert(make(2, 500'000)).ok());
}

TEST_F(SqliteCatalogTest, AnExclusiveOneTellsOfEveryWriteOfAKind) {
  EXPECT_FALSE(open()->version("bucket").has_value()) << "others may write";
  auto catalog = open({.exclusive = true});
  VersionedCache<int64_t> cache{{"bucket"}};
  int reads = 0;
  auto revision = [&] {
    return *cache.get(*catalog, "one", [&]() -> Result<std::shared_ptr<const int64_t>> {
      ++reads;
      QUARRY_ASSIGN_OR_RETURN(Resource row, catalog->get("bucket", {"org", "ns"}, "bkt_1"));
      return std::make_shared<const int64_t>(row.revision);
    }).value();
  };
  Resource bucket = make(1, 10);
  bucket.kind = "bucket", bucket.id = "bkt_1", bucket.organization_id = "org", bucket.namespace_id = "ns";
  ASSERT_TRUE(catalog->insert(bucket).ok());
  EXPECT_EQ(revision(), 0);
  EXPECT_EQ(revision(), 0);
  EXPECT_EQ(reads, 1);
  for (int64_t change = 1; change <= 3; ++change) {
    ASSERT_TRUE(catalog->update("bucket", {"org", "ns"}, "bkt_1", [](Resource&) { return Status(Ok{}); }).ok());
    EXPECT_EQ(revision(), change);
  }
  EXPECT_EQ(reads, 4);
  const auto before = catalog->version("bucket");
  EXPECT_FALSE(catalog->write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.remove("bucket", {"org", "ns"}, "bkt_1"));
    return internal_error("no");
  }).ok());
  EXPECT_EQ(catalog->version("bucket"), before) << "what was rolled back changed nothing";
  ASSERT_TRUE(catalog->write([](Session& s) { return s.remove("bucket", {"org", "ns"}, "bkt_1"); }).ok());
  EXPECT_NE(catalog->version("bucket"), before);
  auto gone = cache.get(*catalog, "one", [&]() -> Result<std::shared_ptr<const int64_t>> {
    return catalog->get("bucket", {"org", "ns"}, "bkt_1").error();
  });
  EXPECT_FALSE(gone.ok());
}

TEST_F(SqliteCatalogTest, AFileThatIsNoDatabaseIsNamed) {
  std::ofstream(file_) << std::string(8'192, 'q');
  auto opened = open_sqlite_catalog(file_, clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(opened.error().message.find(file_.string()), std::string::npos);
}

TEST_F(SqliteCatalogTest, DamagedPagesAreCorruptionNotWrongAnswers) {
  {
    auto catalog = open();
    ASSERT_TRUE(catalog
                    ->write([&](Session& s) -> Status {
                      for (int i = 0; i < 300; ++i) QUARRY_RETURN_IF_ERROR(s.insert(make(i, 1'000)));
                      return Ok{};
                    })
                    .ok());
  }
  {
    std::fstream damage(file_, std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t page = 2; page < fs::file_size(file_) / 4'096; ++page) {
      damage.seekp(static_cast<std::streamoff>(page * 4'096));
      damage << std::string(64, '\xee');
    }
  }
  auto opened = open_sqlite_catalog(file_, clock_);
  Status status = Ok{};
  if (opened.ok()) {
    status = (*opened)->read([&](Session& s) -> Status {
      ListQuery query;
      query.kind = "object";
      query.scope = scope_;
      QUARRY_RETURN_IF_ERROR(s.list(query));
      return Ok{};
    });
  } else {
    status = opened.error();
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kCorruption) << status.error().message;
  EXPECT_NE(status.error().message.find(file_.string()), std::string::npos);
}

TEST_F(SqliteCatalogTest, ABodyThatIsNoJsonIsCorruption) {
  open()->insert(make(1)).value();
  run("UPDATE resources SET body = '{\"torn'");
  auto got = open()->get("object", scope_, "obj_1");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(got.error().message.find("obj_1"), std::string::npos);
}

TEST_F(SqliteCatalogTest, ANewerSchemaIsRefused) {
  open();
  run("INSERT INTO quarry_schema (version) VALUES (99)");
  auto opened = open_sqlite_catalog(file_, clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("version 99"), std::string::npos) << opened.error().message;
}

TEST_F(SqliteCatalogTest, AFileHeldByAnotherProcessIsUnavailable) {
  auto catalog = open({.busy_timeout_ms = 10});
  soci::session other(soci::sqlite3, "dbname=" + file_.string());
  other << "BEGIN IMMEDIATE";
  Status status = catalog->insert(make(1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable);
  other << "ROLLBACK";
  EXPECT_TRUE(catalog->insert(make(1)).ok());
}

TEST_F(SqliteCatalogTest, WhatCannotBeOpenedIsNamed) {
  EXPECT_FALSE(open_sqlite_catalog("/proc/nowhere/catalog.db", clock_).ok());
  auto opened = open_sqlite_catalog(folder_, clock_);  // a folder
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find(folder_.string()), std::string::npos);
  EXPECT_EQ(open_sqlite_catalog(folder_ / "a\"b", clock_).error().kind, ErrorKind::kBadRequest);
}

// The plans that keep lists and claims from reading whole tables.
TEST_F(SqliteCatalogTest, QueriesUseTheirIndexes) {
  open();
  soci::session session(soci::sqlite3, "dbname=" + file_.string());
  auto plan = [&](const std::string& sql) {
    soci::rowset<soci::row> rows = (session.prepare << "EXPLAIN QUERY PLAN " + sql);
    std::string out;
    for (const auto& row : rows) out += row.get<std::string>(3) + "; ";
    return out;
  };
  std::string by_parent = plan(
      "SELECT * FROM resources WHERE kind = 'o' AND organization_id = 'a' AND namespace_id = 'b' AND parent_id = 'c' AND (created_at, id) "
      "< (5, 'x') "
      "ORDER BY created_at DESC, id DESC LIMIT 10");
  EXPECT_NE(by_parent.find("USING INDEX resources_parent"), std::string::npos) << by_parent;
  EXPECT_EQ(by_parent.find("TEMP B-TREE"), std::string::npos) << by_parent;
  std::string by_namespace = plan(
      "SELECT * FROM resources WHERE kind = 'o' AND organization_id = 'a' AND namespace_id = 'b' ORDER BY created_at DESC, id DESC LIMIT "
      "10");
  EXPECT_NE(by_namespace.find("USING INDEX resources_namespace"), std::string::npos) << by_namespace;
  EXPECT_EQ(by_namespace.find("TEMP B-TREE"), std::string::npos) << by_namespace;
  std::string claim = plan(
      "SELECT * FROM tasks WHERE status IN ('PENDING','QUEUED','IN_PROGRESS','PROCESSING') AND (status IN ('PENDING','QUEUED') OR "
      "lease_expires_at <= 5) ORDER BY created_at, task_id LIMIT 1");
  EXPECT_NE(claim.find("USING INDEX tasks_open"), std::string::npos) << claim;
  EXPECT_EQ(claim.find("TEMP B-TREE"), std::string::npos) << claim;
  std::string by_name =
      plan("SELECT * FROM resources WHERE kind = 'o' AND organization_id = 'a' AND namespace_id = 'b' AND name = 'n' AND name <> ''");
  EXPECT_NE(by_name.find("USING INDEX"), std::string::npos) << by_name;
}

}  // namespace
}  // namespace quarry::catalog
