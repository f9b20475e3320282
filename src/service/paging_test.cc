#include "service/paging.h"

#include <gtest/gtest.h>

namespace quarry::service {
namespace {

Request request_of(json::object query) {
  Request request;
  request.query = std::move(query);
  return request;
}

TEST(Paging, PagesEndWhereOffsetsDo) {
  auto last = parse_page(request_of({{"page", 11}, {"limit", 1'000}}));
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->offset, 10'000u);
  for (auto [page, limit] : {std::pair{12, 1'000}, {10'000, 1'000}, {102, 100}}) {
    auto refused = parse_page(request_of({{"page", page}, {"limit", limit}}));
    ASSERT_FALSE(refused.ok()) << page;
    EXPECT_EQ(refused.error().kind, ErrorKind::kValidation);
  }
}

TEST(Paging, NextPageIsOneThatIsServed) {
  PageRequest page;
  page.limit = 1'000;
  page.offset = 9'000;
  EXPECT_EQ(pagination(page, 1'000, true, std::nullopt, "x")["next_page"], "?limit=1000&offset=10000");
  page.offset = 10'000;
  json::object shown = pagination(page, 1'000, true, std::nullopt, "x");
  EXPECT_FALSE(shown.contains("next_page"));
  EXPECT_TRUE(shown.contains("next_cursor"));
}

}  // namespace
}  // namespace quarry::service
