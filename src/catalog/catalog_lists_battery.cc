// How every catalog lists, pages and filters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/catalog_battery.h"

namespace quarry::catalog {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

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
  for (const Case& c :
       {Case{SortKey::kCreatedAt, false, "b00", "b11"}, Case{SortKey::kUpdatedAt, true, "b00", "b11"},
        Case{SortKey::kUpdatedAt, false, "b11", "b00"}, Case{SortKey::kName, false, "b11", "b00"}, Case{SortKey::kName, true, "b00", "b11"},
        Case{SortKey::kId, false, "b00", "b11"}, Case{SortKey::kId, true, "b11", "b00"}}) {
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
          query.after = page->last;
        }
        EXPECT_EQ(paged, all);
      }
}

TEST_P(CatalogLists, APositionOutlivesItsResource) {
  fill();
  for (SortKey sort : {SortKey::kCreatedAt, SortKey::kUpdatedAt, SortKey::kName, SortKey::kId})
    for (bool filtered : {false, true}) {
      ListQuery query = buckets();
      query.sort = sort;
      if (filtered) query.filter = equals("color", "blue");
      auto all = ids(query);
      query.limit = 4;
      auto first = catalog_->list(query);
      ASSERT_TRUE(first.ok());
      const Resource boundary = first->items.back();
      ASSERT_TRUE(write([&](Session& s) { return s.remove(boundary.kind, scope_, boundary.id); }).ok());
      query.after = first->last;
      query.limit = 100;
      EXPECT_EQ(ids(query), std::vector<std::string>(all.begin() + 4, all.end()));
      ASSERT_TRUE(catalog_->insert(boundary).ok());
    }
}

TEST_P(CatalogLists, APositionOfAnotherOrderIsRefused) {
  fill();
  ListQuery query = buckets();
  query.after = {"Name 03", "b08"};
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

QUARRY_CATALOG_SUITE(CatalogLists);

}  // namespace
}  // namespace quarry::catalog
