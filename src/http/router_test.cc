#include "http/router.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "http/percent.h"
#include "http/suggest.h"

namespace quarry::http {
namespace {

const Router& router() {
  static const Router instance = [] {
    Router r;
    r.add(Method::kGet, "/v1/retrievers/{retriever_id}", 1);
    r.add(Method::kGet, "/v1/retrievers/stages", 2);
    r.add(Method::kGet, "/v1/retrievers/executions/{execution_id}", 3);
    r.add(Method::kPost, "/v1/retrievers/{retriever_id}/clone", 4);
    r.add(Method::kDelete, "/v1/retrievers/{retriever_id}", 5);
    r.add(Method::kPost, "/v1/namespaces/migrations/", 6);
    r.add(Method::kGet, "/v1/buckets/{b}/objects/{o}", 7);
    r.add(Method::kPost, "/v1/retrievers/list", 8);
    return r;
  }();
  return instance;
}

struct Case {
  Method method;
  const char* path;
  uint32_t route;
  std::vector<std::string> values;
};

TEST(Router, Table) {
  const Case cases[] = {
      {Method::kGet, "/v1/retrievers/ret_1", 1, {"ret_1"}},
      {Method::kHead, "/v1/retrievers/ret_1", 1, {"ret_1"}},
      {Method::kGet, "/v1/retrievers/ret_1/", 1, {"ret_1"}},
      {Method::kGet, "/v1/retrievers/stages", 2, {}},
      {Method::kGet, "/v1/retrievers/executions/e1", 3, {"e1"}},
      {Method::kGet, "/v1/retrievers/executions", 1, {"executions"}},
      {Method::kPost, "/v1/retrievers/executions/clone", 4, {"executions"}},
      {Method::kGet, "/v1/retrievers/list", 1, {"list"}},
      {Method::kPost, "/v1/retrievers/list", 8, {}},
      {Method::kDelete, "/v1/retrievers/a%2Fb", 5, {"a/b"}},
      {Method::kGet, "/v1/retrievers/%E2%82%AC%20x", 1, {"€ x"}},
      {Method::kGet, "/v1/retrievers/a+b", 1, {"a+b"}},
      {Method::kPost, "/v1/namespaces/migrations", 6, {}},
      {Method::kPost, "/v1/namespaces/migrations/", 6, {}},
      {Method::kGet, "/v1/buckets/x/objects/y", 7, {"x", "y"}},
  };
  for (const Case& c : cases) {
    auto match = router().match(c.method, c.path);
    ASSERT_TRUE(match.ok()) << c.path << ": " << match.error().message;
    EXPECT_EQ(match->route, c.route) << c.path;
    EXPECT_EQ(match->path_values, c.values) << c.path;
  }
}

TEST(Router, UnknownPathsAndMethods) {
  for (const char* path : {"/", "", "/v1", "/v1/nothing", "/v1/retrievers//clone", "/v1/buckets//objects/y", "/v1/buckets/x/objects",
                           "/v1/retrievers/a/b/c"}) {
    auto match = router().match(Method::kGet, path);
    ASSERT_FALSE(match.ok()) << path;
    EXPECT_EQ(match.error().kind, ErrorKind::kNotFound) << path;
  }
  auto wrong = router().match(Method::kPut, "/v1/retrievers/stages");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().kind, ErrorKind::kMethodNotAllowed);
  EXPECT_EQ(json::serialize(wrong.error().details.at("allow")), R"(["GET","DELETE","HEAD","OPTIONS"])");
  EXPECT_EQ(router().match(Method::kOther, "/v1/retrievers/x").error().kind, ErrorKind::kMethodNotAllowed);
  EXPECT_TRUE(router().allowed("/v1/none").empty());
  EXPECT_EQ(router().allowed("/v1/retrievers/x/clone").size(), 2u);
}

TEST(Router, BrokenEscapes) {
  for (const char* path : {"/v1/retrievers/%", "/v1/retrievers/%2", "/v1/retrievers/%zz", "/v1/retrievers/%00", "/v1/retrievers/%ff",
                           "/v1/retrievers/%c0%af", "/v1/retrievers/%ed%a0%80"}) {
    auto match = router().match(Method::kGet, path);
    ASSERT_FALSE(match.ok()) << path;
    EXPECT_EQ(match.error().kind, ErrorKind::kBadRequest) << path;
  }
  std::string deep = "/v1";
  for (int i = 0; i < 1000; ++i) deep += "/a";
  EXPECT_EQ(router().match(Method::kGet, deep).error().kind, ErrorKind::kNotFound);
}

TEST(Router, TwoRoutesForOneMethodAndPathAreABug) {
  Router r;
  r.add(Method::kGet, "/a/{b}", 1);
  EXPECT_DEATH(r.add(Method::kGet, "/a/{c}/", 2), "");
}

TEST(Percent, Utf8) {
  for (const char* good : {"", "a", "ä", "€", "\xf0\x9f\x98\x80"}) EXPECT_TRUE(is_valid_utf8(good));
  for (const char* bad : {"\xff", "\xc3", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80"})
    EXPECT_FALSE(is_valid_utf8(bad));
}

TEST(Suggest, Nearest) {
  const std::string_view known[] = {"bucket_name", "bucket_schema", "collection_identifiers", "top_k", "limit"};
  EXPECT_EQ(nearest_name("bucket_nmae", known), "bucket_name");
  EXPECT_EQ(nearest_name("Bucket_Schema", known), "bucket_schema");
  EXPECT_EQ(nearest_name("collection", known), "collection_identifiers");
  EXPECT_EQ(nearest_name("topk", known), "top_k");
  EXPECT_EQ(nearest_name("x", known), "");
  EXPECT_EQ(nearest_name("", known), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), known), "");
  EXPECT_EQ(edit_distance("ab", "ba", 5), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting", 5), 3u);
  EXPECT_EQ(edit_distance("aaaa", "bbbb", 2), 3u);
}

}  // namespace
}  // namespace quarry::http
