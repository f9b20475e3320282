// What every catalog must do, run on SQLite and on PostgreSQL.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "base/rng.h"
#include "catalog/catalog.h"
#include "catalog/postgres_cluster.h"

namespace quarry::catalog {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

// An empty catalog that can be closed and opened again.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<std::unique_ptr<Catalog>> open(const Clock& clock) = 0;
};

class SqliteBackend : public Backend {
 public:
  SqliteBackend() {
    std::string pattern = (fs::temp_directory_path() / "quarry-catalog-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~SqliteBackend() override { fs::remove_all(folder_); }
  Result<std::unique_ptr<Catalog>> open(const Clock& clock) override { return open_sqlite_catalog(folder_ / "a folder" / "catalog.db", clock); }

 private:
  fs::path folder_;
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
    EXPECT_TRUE(catalog_->read([&](Session& s) -> Status {
      QUARRY_ASSIGN_OR_RETURN(out, s.get_task_any(id));
      return Ok{};
    }).ok());
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

// --- resources

TEST_P(CatalogBattery, KeepsAResourceWhole) {
  json::object body = json::parse(R"({"s":"quote \" ' \\ \u0000 é 東 %","n":[1,-2.5,1e300,9223372036854775807,18446744073709551615],"o":{"deep":{"er":[[],{}]}},"b":true,"z":null})").as_object();
  Resource r{"bucket", "bkt_1", "org_1", "ns_1", "parent", "It's a name", body, 5, 7, 3};
  add(r);
  auto got = catalog_->get("bucket", scope_, "bkt_1");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->kind, "bucket");
  EXPECT_EQ(got->organization_id, "org_1");
  EXPECT_EQ(got->namespace_id, "ns_1");
  EXPECT_EQ(got->parent_id, "parent");
  EXPECT_EQ(got->name, "It's a name");
  EXPECT_EQ(got->body, body);
  EXPECT_EQ(got->created_at, 5);
  EXPECT_EQ(got->updated_at, 7);
  EXPECT_EQ(got->revision, 3);
}

TEST_P(CatalogBattery, StampsTheTime) {
  TimestampUs now = clock_.now_us();
  add(make("bkt_1"));
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->created_at, now);
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->updated_at, now);
}

TEST_P(CatalogBattery, SurvivesReopening) {
  add(make("bkt_1", "one"));
  reopen();
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->name, "one");
  reopen();
  add(make("bkt_2", "two"));
  EXPECT_EQ(ids(buckets()).size(), 2u);
}

TEST_P(CatalogBattery, RefusesATakenIdOrName) {
  add(make("bkt_1", "one"));
  Status same_id = catalog_->insert(make("bkt_1", "other"));
  EXPECT_EQ(error_of(same_id), ErrorKind::kAlreadyExists);
  EXPECT_NE(same_id.error().message.find("'bkt_1'"), std::string::npos);
  Status same_name = catalog_->insert(make("bkt_2", "one"));
  EXPECT_EQ(error_of(same_name), ErrorKind::kAlreadyExists);
  EXPECT_NE(same_name.error().message.find("named 'one'"), std::string::npos);
  add(make("bkt_3"));
  add(make("bkt_4"));  // without names there is nothing to clash
  Resource elsewhere = make("bkt_5", "one");
  elsewhere.namespace_id = "ns_2";
  add(elsewhere);
  Resource below = make("bkt_6", "one");
  below.parent_id = "p";
  add(below);
  Resource other_kind = make("bkt_1", "one");
  other_kind.kind = "collection";
  add(other_kind);
}

TEST_P(CatalogBattery, ATransactionGoesOnAfterAnInsertThatWasRefused) {
  add(make("bkt_1", "one"));
  ASSERT_TRUE(write([&](Session& s) -> Status {
    Status refused = s.insert(make("bkt_1", "one"));
    EXPECT_EQ(error_of(refused), ErrorKind::kAlreadyExists);
    return s.insert(make("bkt_2", "two"));
  }).ok());
  EXPECT_TRUE(catalog_->get("bucket", scope_, "bkt_2").ok());
}

TEST_P(CatalogBattery, ScopesEveryLookup) {
  add(make("bkt_1", "one"));
  for (const Scope& other : {Scope{"org_2", "ns_1"}, Scope{"org_1", "ns_2"}, Scope{"org_1", ""}, Scope{"", ""}}) {
    EXPECT_EQ(kind_of(catalog_->get("bucket", other, "bkt_1")), ErrorKind::kNotFound);
    EXPECT_EQ(kind_of(catalog_->find("bucket", other, "one")), ErrorKind::kNotFound);
    EXPECT_EQ(kind_of(catalog_->update("bucket", other, "bkt_1", [](Resource&) -> Status { return Ok{}; })), ErrorKind::kNotFound);
    EXPECT_EQ(error_of(write([&](Session& s) { return s.remove("bucket", other, "bkt_1"); })), ErrorKind::kNotFound);
    ListQuery query = buckets();
    query.scope = other;
    query.with_total = true;
    EXPECT_EQ(*catalog_->list(query)->total, 0u);
  }
  EXPECT_EQ(kind_of(catalog_->get("collection", scope_, "bkt_1")), ErrorKind::kNotFound);
  Status any = catalog_->read([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Resource r, s.get_any("bucket", "bkt_1"));
    EXPECT_EQ(r.organization_id, "org_1");
    return Ok{};
  });
  EXPECT_TRUE(any.ok());
}

TEST_P(CatalogBattery, FindsByIdBeforeName) {
  add(make("bkt_1", "bkt_2"));
  add(make("bkt_2", "plain"));
  EXPECT_EQ(catalog_->find("bucket", scope_, "bkt_2")->id, "bkt_2");
  EXPECT_EQ(catalog_->find("bucket", scope_, "plain")->id, "bkt_2");
  EXPECT_EQ(kind_of(catalog_->find("bucket", scope_, "Plain")), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(catalog_->find("bucket", scope_, "")), ErrorKind::kNotFound);
}

TEST_P(CatalogBattery, AsksForAParentWhenANameIsNotEnough) {
  for (const char* parent : {"p1", "p2"}) {
    Resource r = make(std::string("bkt_") + parent, "same");
    r.parent_id = parent;
    add(r);
  }
  EXPECT_EQ(kind_of(catalog_->find("bucket", scope_, "same")), ErrorKind::kBadRequest);
  ASSERT_TRUE(catalog_->read([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Resource r, s.find("bucket", scope_, "same", "p2"));
    EXPECT_EQ(r.id, "bkt_p2");
    return Ok{};
  }).ok());
}

TEST_P(CatalogBattery, HostileLookupsFindNothing) {
  add(make("bkt_1", "one"));
  for (std::string hostile : {std::string("one\0x", 5), std::string("bkt_1\0", 6), std::string("\xff\xfe"), std::string("' OR 1=1 --"), std::string(":x"), std::string("%"),
                              std::string(100'000, 'a')}) {
    EXPECT_EQ(kind_of(catalog_->find("bucket", scope_, hostile)), ErrorKind::kNotFound);
    EXPECT_EQ(kind_of(catalog_->get("bucket", scope_, hostile)), ErrorKind::kNotFound);
    EXPECT_EQ(kind_of(catalog_->get("bucket", {hostile, hostile}, "bkt_1")), ErrorKind::kNotFound);
    ListQuery query = buckets();
    query.name_contains = hostile;
    EXPECT_TRUE(ids(query).empty());
    query = buckets();
    query.parent_id = hostile;
    EXPECT_TRUE(ids(query).empty());
  }
  EXPECT_EQ(error_of(catalog_->insert(make(std::string("a\0b", 3)))), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(catalog_->insert(make("bkt_9", "\xff"))), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(catalog_->insert(make("bkt_9", "", {{"k", "\xff"}}))), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(catalog_->insert(make(""))), ErrorKind::kBadRequest);
}

TEST_P(CatalogBattery, RefusesBodiesItCouldNotReadBack) {
  json::value nested = 1;
  for (int i = 0; i < 2'000; ++i) {
    json::array wrapped;
    wrapped.push_back(std::move(nested));
    nested = std::move(wrapped);
  }
  json::object body;
  body["deep"] = std::move(nested);
  EXPECT_EQ(error_of(catalog_->insert(make("bkt_1", "", std::move(body)))), ErrorKind::kBadRequest);
  json::value fine = 1;
  for (int i = 0; i < 900; ++i) {
    json::array wrapped;
    wrapped.push_back(std::move(fine));
    fine = std::move(wrapped);
  }
  json::object deep;
  deep["deep"] = std::move(fine);
  add(make("bkt_2", "", std::move(deep)));
  EXPECT_TRUE(catalog_->get("bucket", scope_, "bkt_2").ok());
}

TEST_P(CatalogBattery, UpdatesWithRevisions) {
  add(make("bkt_1", "one", {{"v", 1}}));
  TimestampUs created = catalog_->get("bucket", scope_, "bkt_1")->created_at;
  auto updated = catalog_->update("bucket", scope_, "bkt_1", [](Resource& r) -> Status {
    r.body["v"] = 2;
    r.name = "uno";
    return Ok{};
  });
  ASSERT_TRUE(updated.ok()) << updated.error().message;
  EXPECT_EQ(updated->revision, 1);
  EXPECT_EQ(updated->body.at("v"), 2);
  EXPECT_EQ(updated->created_at, created);
  EXPECT_EQ(updated->updated_at, clock_.now_us());
  EXPECT_EQ(catalog_->find("bucket", scope_, "uno")->id, "bkt_1");
  Resource stale = *updated;
  stale.revision = 0;
  EXPECT_EQ(error_of(write([&](Session& s) { return s.replace(stale); })), ErrorKind::kConflict);
  stale.id = "bkt_none";
  stale.name.clear();
  EXPECT_EQ(error_of(write([&](Session& s) { return s.replace(stale); })), ErrorKind::kNotFound);
}

TEST_P(CatalogBattery, RenamingToATakenNameIsRefused) {
  add(make("bkt_1", "one"));
  add(make("bkt_2", "two"));
  auto rename = catalog_->update("bucket", scope_, "bkt_2", [](Resource& r) -> Status {
    r.name = "one";
    return Ok{};
  });
  EXPECT_EQ(kind_of(rename), ErrorKind::kAlreadyExists);
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_2")->name, "two");
}

TEST_P(CatalogBattery, ConcurrentUpdatesAreAllCounted) {
  add(make("bkt_1", "", {{"n", 0}}));
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto updated = catalog_->update("bucket", scope_, "bkt_1", [](Resource& r) -> Status {
          r.body["n"] = r.body.at("n").as_int64() + 1;
          return Ok{};
        });
        if (!updated.ok()) ++failures;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->body.at("n"), 100);
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->revision, 100);
}

TEST_P(CatalogBattery, RacingInsertsOfOneNameHaveOneWinner) {
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> won{0}, lost{0};
    std::barrier start(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        start.arrive_and_wait();
        Status status = catalog_->insert(make("bkt_" + std::to_string(round) + "_" + std::to_string(t), "name " + std::to_string(round)));
        if (status.ok()) ++won;
        if (!status.ok() && status.error().kind == ErrorKind::kAlreadyExists) ++lost;
      });
    for (auto& t : threads) t.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 3);
  }
}

TEST_P(CatalogBattery, AFailedBodyLeavesNothing) {
  Status status = write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.insert(make("bkt_1")));
    return bad_request("changed my mind");
  });
  EXPECT_EQ(error_of(status), ErrorKind::kBadRequest);
  EXPECT_EQ(status.error().message, "changed my mind");
  EXPECT_EQ(kind_of(catalog_->get("bucket", scope_, "bkt_1")), ErrorKind::kNotFound);
}

TEST_P(CatalogBattery, ATransactionSeesItsOwnWrites) {
  ASSERT_TRUE(write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.insert(make("bkt_1", "one")));
    QUARRY_ASSIGN_OR_RETURN(Resource r, s.find("bucket", scope_, "one"));
    EXPECT_EQ(r.id, "bkt_1");
    QUARRY_ASSIGN_OR_RETURN(uint64_t n, s.count(buckets()));
    EXPECT_EQ(n, 1u);
    return Ok{};
  }).ok());
}

TEST_P(CatalogBattery, AReadIsASnapshot) {
  add(make("bkt_1"));
  Status status = catalog_->read([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(uint64_t before, s.count(buckets()));
    std::thread writer([&] { EXPECT_TRUE(catalog_->insert(make("bkt_2")).ok()); });
    writer.join();
    QUARRY_ASSIGN_OR_RETURN(uint64_t after, s.count(buckets()));
    EXPECT_EQ(before, 1u);
    EXPECT_EQ(after, 1u);
    return Ok{};
  });
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(ids(buckets()).size(), 2u);
}

TEST_P(CatalogBattery, AReadCannotWrite) {
  Status status = catalog_->read([&](Session& s) { return s.insert(make("bkt_1")); });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(kind_of(catalog_->get("bucket", scope_, "bkt_1")), ErrorKind::kNotFound);
  EXPECT_TRUE(catalog_->insert(make("bkt_2")).ok());
  EXPECT_EQ(ids(buckets()).size(), 1u);
}

TEST_P(CatalogBattery, ADatabaseErrorCannotBeSwallowed) {
  Status status = catalog_->read([&](Session& s) -> Status {
    (void)s.insert(make("bkt_1"));
    return Ok{};
  });
  EXPECT_FALSE(status.ok());
}

TEST_P(CatalogBattery, ReadersAndWritersRunTogether) {
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> readers;
  // Pairs are inserted together, so a snapshot always holds an even number.
  for (int t = 0; t < 3; ++t)
    readers.emplace_back([&] {
      while (!done) {
        Status status = catalog_->read([&](Session& s) -> Status {
          QUARRY_ASSIGN_OR_RETURN(uint64_t n, s.count(buckets()));
          if (n % 2 != 0) ++failures;
          return Ok{};
        });
        if (!status.ok()) ++failures;
      }
    });
  for (int i = 0; i < 50; ++i) {
    Status status = write([&](Session& s) -> Status {
      QUARRY_RETURN_IF_ERROR(s.insert(make("a" + std::to_string(i))));
      return s.insert(make("b" + std::to_string(i)));
    });
    EXPECT_TRUE(status.ok());
  }
  done = true;
  for (auto& t : readers) t.join();
  EXPECT_EQ(failures, 0);
}

TEST_P(CatalogBattery, RemovesOneAndChildren) {
  add(make("bkt_1"));
  for (int i = 0; i < 5; ++i) {
    Resource object = make("obj_" + std::to_string(i));
    object.kind = "object";
    object.parent_id = i < 3 ? "bkt_1" : "bkt_2";
    add(object);
  }
  ASSERT_TRUE(write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.remove_children("object", "bkt_1"));
    return s.remove("bucket", scope_, "bkt_1");
  }).ok());
  ListQuery objects = buckets();
  objects.kind = "object";
  EXPECT_THAT(ids(objects), ElementsAre("obj_4", "obj_3"));
  EXPECT_EQ(error_of(write([&](Session& s) { return s.remove("bucket", scope_, "bkt_1"); })), ErrorKind::kNotFound);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.remove_children("object", ""); })), ErrorKind::kBadRequest);
}

// --- lists

class CatalogLists : public CatalogBattery {
 protected:
  // Twelve buckets b00..b11; names run backwards, every third is red, times go up in pairs.
  void fill() {
    TimestampUs start = clock_.now_us();
    for (int i = 0; i < 12; ++i) {
      std::string number = fmt::format("{:02}", i);
      Resource r = make("b" + number, fmt::format("Name {:02}", 11 - i), {{"i", i}, {"color", i % 3 == 0 ? "red" : "blue"}});
      r.created_at = start + i / 2 * 1'000;
      r.updated_at = start - i;
      r.parent_id = i < 6 ? "p" : "";
      add(r);
    }
  }
};

TEST_P(CatalogLists, NewestFirstByDefault) {
  fill();
  EXPECT_THAT(ids(buckets()), ElementsAre("b11", "b10", "b09", "b08", "b07", "b06", "b05", "b04", "b03", "b02", "b01", "b00"));
}

TEST_P(CatalogLists, SortsByEveryKeyInBothDirections) {
  fill();
  struct Case {
    SortKey sort;
    bool descending;
    const char* first;
    const char* last;
  };
  for (const Case& c : {Case{SortKey::kCreatedAt, false, "b00", "b11"}, Case{SortKey::kUpdatedAt, true, "b00", "b11"}, Case{SortKey::kUpdatedAt, false, "b11", "b00"},
                        Case{SortKey::kName, false, "b11", "b00"}, Case{SortKey::kName, true, "b00", "b11"}, Case{SortKey::kId, false, "b00", "b11"},
                        Case{SortKey::kId, true, "b11", "b00"}}) {
    ListQuery query = buckets();
    query.sort = c.sort;
    query.descending = c.descending;
    auto got = ids(query);
    ASSERT_EQ(got.size(), 12u);
    EXPECT_EQ(got.front(), c.first);
    EXPECT_EQ(got.back(), c.last);
  }
}

TEST_P(CatalogLists, NamesSortByBytes) {
  for (const char* name : {"b", "A", "a", "B", "é", "_"}) add(make(std::string("id ") + name, name));
  ListQuery query = buckets();
  query.sort = SortKey::kName;
  query.descending = false;
  EXPECT_THAT(ids(query), ElementsAre("id A", "id B", "id _", "id a", "id b", "id é"));
}

TEST_P(CatalogLists, PagesByOffset) {
  fill();
  ListQuery query = buckets();
  query.limit = 5;
  query.with_total = true;
  auto page = catalog_->list(query);
  EXPECT_TRUE(page->has_more);
  EXPECT_EQ(*page->total, 12u);
  EXPECT_EQ(page->items.size(), 5u);
  query.offset = 10;
  page = catalog_->list(query);
  EXPECT_FALSE(page->has_more);
  EXPECT_EQ(page->items.size(), 2u);
  query.offset = 7;
  EXPECT_FALSE(catalog_->list(query)->has_more);
  query.offset = 6;
  EXPECT_TRUE(catalog_->list(query)->has_more);
  query.offset = 1'000;
  EXPECT_TRUE(catalog_->list(query)->items.empty());
  query.offset = SIZE_MAX;
  EXPECT_TRUE(catalog_->list(query)->items.empty());
  query.offset = 0;
  query.limit = 0;
  EXPECT_TRUE(catalog_->list(query)->items.empty());
  EXPECT_TRUE(catalog_->list(query)->has_more);
}

TEST_P(CatalogLists, PagesByKeysetInEveryOrderWithAndWithoutFilter) {
  fill();
  for (SortKey sort : {SortKey::kCreatedAt, SortKey::kUpdatedAt, SortKey::kName, SortKey::kId})
    for (bool descending : {false, true})
      for (bool filtered : {false, true}) {
        ListQuery query = buckets();
        query.sort = sort;
        query.descending = descending;
        if (filtered) query.filter = equals("color", "blue");
        auto all = ids(query);
        EXPECT_EQ(all.size(), filtered ? 8u : 12u);
        query.limit = 3;
        query.with_total = true;
        std::vector<std::string> paged;
        for (bool more = true; more;) {
          auto page = catalog_->list(query);
          ASSERT_TRUE(page.ok());
          EXPECT_EQ(*page->total, all.size());
          for (const auto& r : page->items) paged.push_back(r.id);
          more = page->has_more;
          query.after_id = page->items.back().id;
        }
        EXPECT_EQ(paged, all);
      }
}

TEST_P(CatalogLists, ACursorThatIsGoneIsRefused) {
  fill();
  ListQuery query = buckets();
  query.after_id = "nothing";
  EXPECT_EQ(kind_of(catalog_->list(query)), ErrorKind::kBadRequest);
}

TEST_P(CatalogLists, FiltersOverBodiesAndNames) {
  fill();
  ListQuery query = buckets();
  query.filter = all_of({equals("color", "red"), *condition("i", FilterOp::kGt, 0)});
  EXPECT_THAT(ids(query), ElementsAre("b09", "b06", "b03"));
  query.offset = 1;
  query.limit = 1;
  query.with_total = true;
  auto page = catalog_->list(query);
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].id, "b06");
  EXPECT_TRUE(page->has_more);
  EXPECT_EQ(*page->total, 3u);
  query = buckets();
  query.name_contains = "nAmE 0";
  EXPECT_EQ(ids(query).size(), 10u);
  query.name_contains = "1";
  EXPECT_THAT(ids(query), UnorderedElementsAre("b10", "b01", "b00"));
}

TEST_P(CatalogLists, ByParentAndAcrossNamespaces) {
  fill();
  Resource elsewhere = make("other");
  elsewhere.namespace_id = "ns_2";
  add(elsewhere);
  ListQuery query = buckets();
  query.parent_id = "p";
  EXPECT_EQ(ids(query).size(), 6u);
  query.parent_id = "";
  EXPECT_EQ(ids(query).size(), 6u);
  query = buckets();
  query.all_namespaces = true;
  EXPECT_EQ(ids(query).size(), 13u);
}

TEST_P(CatalogLists, FilteredScansReachPastTheFirstBatch) {
  ASSERT_TRUE(write([&](Session& s) -> Status {
    for (int i = 0; i < 5'000; ++i) QUARRY_RETURN_IF_ERROR(s.insert(make(fmt::format("b{:05}", i), "", {{"i", i}})));
    return Ok{};
  }).ok());
  for (SortKey sort : {SortKey::kCreatedAt, SortKey::kName}) {
    ListQuery query = buckets();
    query.sort = sort;
    query.filter = *condition("i", FilterOp::kIn, json::array{0, 2'500, 4'999});
    query.with_total = true;
    auto page = catalog_->list(query);
    ASSERT_TRUE(page.ok()) << page.error().message;
    EXPECT_EQ(*page->total, 3u);
    ASSERT_EQ(page->items.size(), 3u);
    EXPECT_EQ(page->items[0].id, "b04999");
    EXPECT_FALSE(page->has_more);
  }
}

// --- tasks

class CatalogTasks : public CatalogBattery {};

TEST_P(CatalogTasks, KeepsATaskWhole) {
  Task t;
  t.task_id = "task_1";
  t.task_type = "batch";
  t.organization_id = "org_1";
  t.namespace_id = "ns_1";
  t.status = TaskStatus::kDraft;
  t.inputs = {{"a", "'\"\\"}};
  t.additional_data = {{"n", json::array{1, 2}}};
  t.error = "it\xff broke";
  ASSERT_TRUE(write([&](Session& s) { return s.enqueue(t); }).ok());
  EXPECT_EQ(error_of(write([&](Session& s) { return s.enqueue(t); })), ErrorKind::kAlreadyExists);
  Task got = task("task_1");
  EXPECT_EQ(got.task_type, "batch");
  EXPECT_EQ(got.status, TaskStatus::kDraft);
  EXPECT_EQ(got.inputs, t.inputs);
  EXPECT_EQ(got.additional_data, t.additional_data);
  EXPECT_EQ(got.error, "it? broke");
  EXPECT_EQ(got.created_at, clock_.now_us());
  EXPECT_FALSE(claim("w1"));  // a draft waits for no one
  for (const Scope& scope : {Scope{"org_2", "ns_1"}, Scope{"org_1", "ns_2"}})
    EXPECT_EQ(error_of(catalog_->read([&](Session& s) -> Status {
      QUARRY_RETURN_IF_ERROR(s.get_task(scope, "task_1"));
      return Ok{};
    })), ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, AreClaimedOldestFirstAndOnce) {
  enqueue("t1");
  enqueue("t2", "other");
  enqueue("t3");
  auto first = claim("w1");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->task_id, "t1");
  EXPECT_EQ(first->status, TaskStatus::kProcessing);
  EXPECT_EQ(first->lease_owner, "w1");
  EXPECT_EQ(first->lease_expires_at, clock_.now_us() + 1'000'000);
  EXPECT_EQ(first->attempts, 1);
  EXPECT_EQ(task("t1").lease_owner, "w1");
  EXPECT_EQ(claim("w2", {"nothing", "batch"})->task_id, "t3");
  EXPECT_FALSE(claim("w2", {"batch"}));
  EXPECT_EQ(claim("w2")->task_id, "t2");
  EXPECT_FALSE(claim("w2"));
}

TEST_P(CatalogTasks, ExpiredLeasesAreTakenOver) {
  enqueue("t1");
  Task old = *claim("w1");
  clock_.advance_us(999'999);
  EXPECT_FALSE(claim("w2"));
  clock_.advance_us(1);
  auto taken = claim("w2");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->attempts, 2);
  EXPECT_EQ(error_of(write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.extend_lease("t1", "w1", 1'000'000, clock_.now_us()));
    return Ok{};
  })), ErrorKind::kConflict);
  old.status = TaskStatus::kCompleted;
  EXPECT_EQ(error_of(write([&](Session& s) { return s.update_task(old); })), ErrorKind::kConflict);
  EXPECT_EQ(task("t1").status, TaskStatus::kProcessing);
}

TEST_P(CatalogTasks, AnEarlierAttemptOfTheSameWorkerIsRefused) {
  enqueue("t1");
  Task old = *claim("w1");
  clock_.advance_us(2'000'000);
  ASSERT_EQ(claim("w1")->attempts, 2);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.update_task(old); })), ErrorKind::kConflict);
}

TEST_P(CatalogTasks, LeasesAreExtended) {
  enqueue("t1");
  claim("w1");
  clock_.advance_us(900'000);
  Status extended = write([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Task t, s.extend_lease("t1", "w1", 1'000'000, clock_.now_us()));
    EXPECT_EQ(t.lease_expires_at, clock_.now_us() + 1'000'000);
    EXPECT_FALSE(t.cancel_requested);
    return Ok{};
  });
  ASSERT_TRUE(extended.ok());
  clock_.advance_us(900'000);
  EXPECT_FALSE(claim("w2"));
  EXPECT_EQ(error_of(write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.extend_lease("none", "w1", 1, clock_.now_us()));
    return Ok{};
  })), ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, ACancelIsSeenAndNotOverwritten) {
  enqueue("t1");
  Task held = *claim("w1");
  ASSERT_TRUE(write([&](Session& s) { return s.request_cancel("t1"); }).ok());
  held.additional_data["progress"] = 0.5;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  EXPECT_TRUE(task("t1").cancel_requested);
  EXPECT_EQ(task("t1").additional_data.at("progress"), 0.5);
  held.status = TaskStatus::kCanceled;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  EXPECT_EQ(task("t1").status, TaskStatus::kCanceled);
  clock_.advance_us(10'000'000);
  EXPECT_FALSE(claim("w2"));
  EXPECT_EQ(error_of(write([&](Session& s) { return s.request_cancel("none"); })), ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, AFinishedTaskCanBeginAnew) {
  enqueue("t1");
  Task held = *claim("w1");
  ASSERT_TRUE(write([&](Session& s) { return s.request_cancel("t1"); }).ok());
  held.status = TaskStatus::kFailed;
  held.error = "no";
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  Task again = task("t1");
  EXPECT_EQ(again.error, "no");
  again.status = TaskStatus::kPending;
  again.error.clear();
  again.cancel_requested = false;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(again); }).ok());
  EXPECT_FALSE(task("t1").cancel_requested);
  EXPECT_EQ(task("t1").lease_owner, "");
  auto taken = claim("w2");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->attempts, 2);
}

TEST_P(CatalogTasks, ReleasedLeasesAreClaimedAtOnce) {
  enqueue("t1");
  enqueue("t2");
  claim("dead", {}, 1'000'000'000);
  uint64_t released = 0;
  ASSERT_TRUE(write([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(released, s.release_leases());
    return Ok{};
  }).ok());
  EXPECT_EQ(released, 1u);
  auto taken = claim("w1");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->task_id, "t1");
  EXPECT_EQ(taken->attempts, 2);
}

TEST_P(CatalogTasks, RacingWorkersShareTheWork) {
  constexpr int kTasks = 40;
  for (int i = 0; i < kTasks; ++i) enqueue(fmt::format("t{:02}", i));
  std::mutex mutex;
  std::map<std::string, int> claims;
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w)
    workers.emplace_back([&, w] {
      while (auto got = claim("w" + std::to_string(w), {}, 1'000'000'000)) {
        std::lock_guard lock(mutex);
        ++claims[got->task_id];
      }
    });
  for (auto& w : workers) w.join();
  EXPECT_EQ(claims.size(), size_t{kTasks});
  for (const auto& [id, n] : claims) EXPECT_EQ(n, 1) << id;
}

TEST_P(CatalogTasks, AreListed) {
  enqueue("t1");
  enqueue("t2", "other");
  enqueue("t3");
  claim("w1");
  auto list = [&](TaskQuery query) {
    std::vector<std::string> out;
    query.scope = scope_;
    EXPECT_TRUE(catalog_->read([&](Session& s) -> Status {
      uint64_t total = 0;
      QUARRY_ASSIGN_OR_RETURN(auto tasks, s.list_tasks(query, &total));
      for (const Task& t : tasks) out.push_back(t.task_id);
      out.push_back(std::to_string(total));
      return Ok{};
    }).ok());
    return out;
  };
  EXPECT_THAT(list({}), ElementsAre("t3", "t2", "t1", "3"));
  EXPECT_THAT(list({.scope = {}, .statuses = {TaskStatus::kPending}}), ElementsAre("t3", "t2", "2"));
  EXPECT_THAT(list({.scope = {}, .statuses = {TaskStatus::kPending, TaskStatus::kProcessing}, .task_type = "batch"}), ElementsAre("t3", "t1", "2"));
  EXPECT_THAT(list({.scope = {}, .statuses = {}, .task_type = "", .offset = 1, .limit = 1}), ElementsAre("t2", "3"));
}

// --- work items

class CatalogItems : public CatalogBattery {
 protected:
  ItemCounts counts() {
    ItemCounts out;
    EXPECT_TRUE(catalog_->read([&](Session& s) -> Status {
      QUARRY_ASSIGN_OR_RETURN(out, s.count_items("t1"));
      return Ok{};
    }).ok());
    return out;
  }
  std::vector<WorkItem> items(std::optional<ItemStatus> status = std::nullopt, size_t offset = 0, size_t limit = 100) {
    std::vector<WorkItem> out;
    EXPECT_TRUE(catalog_->read([&](Session& s) -> Status {
      QUARRY_ASSIGN_OR_RETURN(out, s.list_items("t1", status, offset, limit));
      return Ok{};
    }).ok());
    return out;
  }
  std::vector<std::string> item_ids(std::optional<ItemStatus> status = std::nullopt, size_t offset = 0, size_t limit = 100) {
    std::vector<std::string> out;
    for (const auto& item : items(status, offset, limit)) out.push_back(item.item_id);
    return out;
  }
};

TEST_P(CatalogItems, AreAddedOnceInOrder) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"o3", "o1", "o2"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"o1", "o4"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t2", {"o1"}); }).ok());
  EXPECT_THAT(item_ids(), ElementsAre("o3", "o1", "o2", "o4"));
  EXPECT_THAT(item_ids(std::nullopt, 1, 2), ElementsAre("o1", "o2"));
  EXPECT_EQ(items()[3].position, 3);
  EXPECT_EQ(counts().pending, 4u);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.add_items("t1", {""}); })), ErrorKind::kBadRequest);
}

TEST_P(CatalogItems, FinishAndBeginAgain) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a", "b", "c", "d"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) {
    return s.finish_items("t1", {{"a", 0, ItemStatus::kDone, {{"documents_written", 3}}}, {"b", 0, ItemStatus::kFailed, {{"message", "bad"}}}, {"d", 0, ItemStatus::kSkipped, {}}});
  }).ok());
  ItemCounts after = counts();
  EXPECT_EQ(after.pending, 1u);
  EXPECT_EQ(after.done, 1u);
  EXPECT_EQ(after.failed, 1u);
  EXPECT_EQ(after.skipped, 1u);
  EXPECT_EQ(after.total(), 4u);
  EXPECT_THAT(item_ids(ItemStatus::kPending), ElementsAre("c"));
  EXPECT_EQ(items(ItemStatus::kFailed)[0].outcome.at("message"), "bad");
  ASSERT_TRUE(write([&](Session& s) { return s.reset_items("t1", ItemStatus::kFailed); }).ok());
  EXPECT_THAT(item_ids(ItemStatus::kPending), ElementsAre("b", "c"));
  EXPECT_TRUE(items(ItemStatus::kPending)[0].outcome.empty());
  EXPECT_EQ(items(ItemStatus::kDone)[0].outcome.at("documents_written"), 3);
}

TEST_P(CatalogItems, AnUnknownItemUndoesTheTransaction) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a"}); }).ok());
  Status status = write([&](Session& s) { return s.finish_items("t1", {{"a", 0, ItemStatus::kDone, {}}, {"x", 0, ItemStatus::kDone, {}}}); });
  EXPECT_EQ(error_of(status), ErrorKind::kNotFound);
  EXPECT_EQ(counts().pending, 1u);
}

std::string backend_name(const testing::TestParamInfo<const char*>& instance) { return instance.param; }

INSTANTIATE_TEST_SUITE_P(Backends, CatalogBattery, testing::Values("sqlite", "postgres"), backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, CatalogLists, testing::Values("sqlite", "postgres"), backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, CatalogTasks, testing::Values("sqlite", "postgres"), backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, CatalogItems, testing::Values("sqlite", "postgres"), backend_name);

}  // namespace
}  // namespace quarry::catalog
