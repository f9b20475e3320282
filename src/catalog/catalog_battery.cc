// What every catalog must do with single resources and transactions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <thread>

#include "catalog/catalog_battery.h"

namespace quarry::catalog {
namespace {

using testing::ElementsAre;

TEST_P(CatalogBattery, KeepsAResourceWhole) {
  json::object body =
      json::parse(
          R"({"s":"quote \" ' \\ \u0000 é 東 %","n":[1,-2.5,1e300,9223372036854775807,18446744073709551615],"o":{"deep":{"er":[[],{}]}},"b":true,"z":null})")
          .as_object();
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

TEST_P(CatalogBattery, OneIdInTwoOrganizationsIsTwoResources) {
  add(make("bkt_1", "one"));
  Resource other = make("bkt_1", "uno");
  other.organization_id = "org_2";
  add(other);
  const Scope theirs{"org_2", "ns_1"};
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->name, "one");
  EXPECT_EQ(catalog_->get("bucket", theirs, "bkt_1")->name, "uno");
  ASSERT_TRUE(catalog_
                  ->update("bucket", theirs, "bkt_1",
                           [](Resource& r) -> Status {
                             r.name = "due";
                             return Ok{};
                           })
                  .ok());
  EXPECT_EQ(catalog_->get("bucket", scope_, "bkt_1")->name, "one");
  ASSERT_TRUE(write([&](Session& s) { return s.remove("bucket", scope_, "bkt_1"); }).ok());
  EXPECT_EQ(catalog_->get("bucket", theirs, "bkt_1")->name, "due");
  EXPECT_EQ(error_of(write([&](Session& s) { return s.insert(other); })), ErrorKind::kAlreadyExists);
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
  ASSERT_TRUE(catalog_
                  ->read([&](Session& s) -> Status {
                    QUARRY_ASSIGN_OR_RETURN(Resource r, s.find("bucket", scope_, "same", "p2"));
                    EXPECT_EQ(r.id, "bkt_p2");
                    return Ok{};
                  })
                  .ok());
}

TEST_P(CatalogBattery, HostileLookupsFindNothing) {
  add(make("bkt_1", "one"));
  for (std::string hostile : {std::string("one\0x", 5), std::string("bkt_1\0", 6), std::string("\xff\xfe"), std::string("' OR 1=1 --"),
                              std::string(":x"), std::string("%"), std::string(100'000, 'a')}) {
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

TEST_P(CatalogBattery, ABodyThatThrowsLeavesNothingAndBlocksNobody) {
  Status status = write([&](Session& s) -> Status {
    QUARRY_RETURN_IF_ERROR(s.insert(make("bkt_1")));
    throw std::runtime_error("out of luck");
  });
  EXPECT_EQ(error_of(status), ErrorKind::kInternal);
  EXPECT_NE(status.error().message.find("out of luck"), std::string::npos);
  EXPECT_EQ(kind_of(catalog_->get("bucket", scope_, "bkt_1")), ErrorKind::kNotFound);
  EXPECT_TRUE(catalog_->insert(make("bkt_2")).ok());
  EXPECT_EQ(error_of(catalog_->read([](Session&) -> Status { throw std::runtime_error("again"); })), ErrorKind::kInternal);
  EXPECT_EQ(ids(buckets()).size(), 1u);
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
  Resource strangers = make("obj_0");  // another organization's, under a parent of the same id
  strangers.kind = "object";
  strangers.parent_id = "bkt_1";
  strangers.organization_id = "org_b";
  add(strangers);
  ASSERT_TRUE(write([&](Session& s) -> Status {
                QUARRY_RETURN_IF_ERROR(s.remove_children("object", scope_, "bkt_1"));
                return s.remove("bucket", scope_, "bkt_1");
              }).ok());
  ListQuery objects = buckets();
  objects.kind = "object";
  EXPECT_THAT(ids(objects), ElementsAre("obj_4", "obj_3"));
  objects.scope.organization_id = "org_b";
  EXPECT_THAT(ids(objects), ElementsAre("obj_0"));
  EXPECT_EQ(error_of(write([&](Session& s) { return s.remove("bucket", scope_, "bkt_1"); })), ErrorKind::kNotFound);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.remove_children("object", scope_, ""); })), ErrorKind::kBadRequest);
}

TEST_P(CatalogBattery, KeepsTheNewestOfAParent) {
  for (int i = 0; i < 12; ++i) {
    Resource run = make("run_" + std::to_string(10 + i));
    run.kind = i == 11 ? "other" : "run";
    run.parent_id = i == 10 ? "ret_2" : "ret_1";
    run.created_at = 1'000 + i / 2;  // pairs are made at once
    add(run);
  }
  ListQuery runs = buckets();
  runs.kind = "run";
  auto keep = [&](const Scope& scope, const char* parent, size_t count) {
    ASSERT_TRUE(write([&](Session& s) { return s.keep_newest("run", scope, parent, count); }).ok());
  };
  keep(scope_, "ret_1", 10);  // as many as there are
  EXPECT_EQ(ids(runs).size(), 11u);
  keep({scope_.organization_id, "elsewhere"}, "ret_1", 0);
  keep(scope_, "ret_none", 0);
  EXPECT_EQ(ids(runs).size(), 11u);
  keep(scope_, "ret_1", 3);
  EXPECT_THAT(ids(runs), ElementsAre("run_20", "run_19", "run_18", "run_17"));
  keep(scope_, "ret_1", 0);
  EXPECT_THAT(ids(runs), ElementsAre("run_20"));
  runs.kind = "other";
  EXPECT_THAT(ids(runs), ElementsAre("run_21"));
}

QUARRY_CATALOG_SUITE(CatalogBattery);

}  // namespace
}  // namespace quarry::catalog
