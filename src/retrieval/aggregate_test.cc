#include "retrieval/aggregate.h"

#include <gtest/gtest.h>

#include "retrieval/aggregate_date.h"

namespace quarry::retrieval {
namespace {

const char* const kDocuments[] = {
    R"({"kind":"a","price":10,"when":"2024-01-31T23:30:00Z","tags":["x","y"],"in":{"n":1}})",
    R"({"kind":"a","price":20,"when":"2024-02-01T00:30:00+01:00","tags":["x"],"in":{"n":2}})",
    R"({"kind":"b","price":2.5,"when":"2024-02-03","tags":[],"lines":[{"sku":"p","qty":2},{"sku":"q","qty":5}]})",
    R"({"kind":"b","price":"free","when":"soon","tags":"z"})",
    R"({"price":null,"lines":[{"sku":"p","qty":1}]})",
};

Result<json::object> aggregate(std::string_view request, Aggregation::Limits limits = {}) {
  QUARRY_ASSIGN_OR_RETURN(std::unique_ptr<Aggregation> aggregation, Aggregation::parse(json::parse(request).as_object(), limits));
  for (const char* document : kDocuments) QUARRY_RETURN_IF_ERROR(aggregation->add(json::parse(document).as_object()));
  return aggregation->finish();
}

TEST(Aggregate, Table) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"aggregations":[{"function":"count","alias":"n"}]})", R"([{"group":{},"metrics":{"n":5}}])"},
      {R"({"group_by":[{"field":"kind"}],"aggregations":[{"function":"count","alias":"n"},{"function":"sum","field":"price","alias":"s"},{"function":"avg","field":"price","alias":"a"}]})",
       R"([{"group":{"kind":null},"metrics":{"n":1,"s":0,"a":null}},{"group":{"kind":"a"},"metrics":{"n":2,"s":30,"a":15.0}},{"group":{"kind":"b"},"metrics":{"n":2,"s":2.5,"a":2.5}}])"},
      {R"({"aggregations":[{"function":"min","field":"price","alias":"lo"},{"function":"max","field":"price","alias":"hi"},{"function":"count","field":"price","alias":"n"},{"function":"first","field":"kind","alias":"f"},{"function":"last","field":"kind","alias":"l"}]})",
       R"([{"group":{},"metrics":{"lo":2.5,"hi":"free","n":4,"f":"a","l":"b"}}])"},
      {R"({"aggregations":[{"function":"push","field":"kind","alias":"all"},{"function":"add_to_set","field":"kind","alias":"set"},{"function":"count_distinct","distinct_field":"kind","alias":"d"}]})",
       R"([{"group":{},"metrics":{"all":["a","a","b","b"],"set":["a","b"],"d":2}}])"},
      {R"({"group_by":[{"field":"in.n","alias":"n"}],"aggregations":[{"function":"count","alias":"c"}],"sort_by":"n","sort_direction":"desc","limit":2})",
       R"([{"group":{"n":2},"metrics":{"c":1}},{"group":{"n":1},"metrics":{"c":1}}])"},
      {R"({"unwind":"tags","group_by":[{"field":"tags"}],"aggregations":[{"function":"count","alias":"n"}],"sort_by":"n"})",
       R"([{"group":{"tags":"x"},"metrics":{"n":2}},{"group":{"tags":"y"},"metrics":{"n":1}},{"group":{"tags":"z"},"metrics":{"n":1}}])"},
      {R"({"unwind":"lines","group_by":[{"field":"lines.sku","alias":"sku"}],"aggregations":[{"function":"sum","field":"lines.qty","alias":"q"}]})",
       R"([{"group":{"sku":"p"},"metrics":{"q":3}},{"group":{"sku":"q"},"metrics":{"q":5}}])"},
      {R"({"group_by":[{"field":"when","date_trunc":"month","alias":"m"}],"aggregations":[{"function":"count","alias":"n"}]})",
       R"([{"group":{"m":null},"metrics":{"n":2}},{"group":{"m":"2024-01-01T00:00:00.000000Z"},"metrics":{"n":2}},{"group":{"m":"2024-02-01T00:00:00.000000Z"},"metrics":{"n":1}}])"},
      {R"({"group_by":[{"field":"kind"}],"aggregations":[{"function":"count","alias":"n"}],"having":[{"field":"n","operator":"gt","value":1},{"field":"kind","operator":"ne","value":"a"}]})",
       R"([{"group":{"kind":"b"},"metrics":{"n":2}}])"},
      {R"({"range_buckets":[{"field":"price","boundaries":[0,10,20.5],"default_bucket":"other"}],"aggregations":[{"function":"count","alias":"n"}]})",
       R"x([{"group":{"price":"[0, 10)"},"metrics":{"n":1}},{"group":{"price":"[10, 20.5)"},"metrics":{"n":2}},{"group":{"price":"other"},"metrics":{"n":2}}])x"},
      {R"({"group_by":[{"field":"price","alias":"band"}],"range_buckets":[{"field":"price","boundaries":[0,100]}],"aggregations":[{"function":"count","alias":"n"}]})",
       R"x([{"group":{"band":null},"metrics":{"n":2}},{"group":{"band":"[0, 100)"},"metrics":{"n":3}}])x"},
  };
  for (const auto& [request, expected] : cases) {
    SCOPED_TRACE(request);
    Result<json::object> result = aggregate(request);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->at("results"), json::parse(expected)) << json::serialize(result->at("results"));
  }
}

TEST(Aggregate, TotalsCountBeforeTheLimit) {
  Result<json::object> result = aggregate(R"({"group_by":[{"field":"kind"}],"aggregations":[{"function":"count","alias":"n"}],"limit":1})");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->at("results").as_array().size(), 1u);
  EXPECT_EQ(result->at("total_groups"), 3);
  EXPECT_EQ(result->at("query_info").at("documents"), 5);
}

TEST(Aggregate, DateParts) {
  json::value t = "2024-03-10T14:05:06.789Z";  // a Sunday
  const std::pair<const char*, int> parts[] = {{"year", 2024},    {"month", 3}, {"day", 10},   {"week", 10}, {"dayOfWeek", 1},
                                               {"dayOfYear", 70}, {"hour", 14}, {"minute", 5}, {"second", 6}};
  for (const auto& [part, expected] : parts) EXPECT_EQ(date_part(t, part), expected) << part;
  EXPECT_EQ(date_part("2024-01-01", "week"), 0);
  EXPECT_EQ(date_part("2024-01-07", "week"), 1);
  EXPECT_EQ(date_part("2023-01-01", "week"), 1);  // began on a Sunday
  EXPECT_EQ(date_part("2024-12-31", "dayOfYear"), 366);
  const std::pair<const char*, const char*> units[] = {{"year", "2024-01-01T00:00:00.000000Z"},  {"month", "2024-03-01T00:00:00.000000Z"},
                                                       {"week", "2024-03-10T00:00:00.000000Z"},  {"day", "2024-03-10T00:00:00.000000Z"},
                                                       {"hour", "2024-03-10T14:00:00.000000Z"},  {"minute", "2024-03-10T14:05:00.000000Z"},
                                                       {"second", "2024-03-10T14:05:06.000000Z"}};
  for (const auto& [unit, expected] : units) EXPECT_EQ(truncate_date(t, unit), expected) << unit;
  EXPECT_EQ(truncate_date("1969-12-31T23:59:59Z", "day"), "1969-12-31T00:00:00.000000Z");
  EXPECT_TRUE(truncate_date("soon", "day").is_null());
  EXPECT_TRUE(date_part(7, "day").is_null());
}

TEST(Aggregate, IntegersStayExactWhileTheyFit) {
  auto aggregation = Aggregation::parse(json::parse(R"({"aggregations":[{"function":"sum","field":"n","alias":"s"}]})").as_object());
  ASSERT_TRUE(aggregation.ok());
  ASSERT_TRUE((*aggregation)->add({{"n", int64_t{9007199254740993}}}).ok());
  ASSERT_TRUE((*aggregation)->add({{"n", int64_t{2}}}).ok());
  EXPECT_EQ((*aggregation)->finish().at("results").at(0).at("metrics").at("s"), int64_t{9007199254740995});
  auto large = Aggregation::parse(json::parse(R"({"aggregations":[{"function":"sum","field":"n","alias":"s"}]})").as_object());
  ASSERT_TRUE((*large)->add({{"n", INT64_MAX}}).ok());
  ASSERT_TRUE((*large)->add({{"n", INT64_MAX}}).ok());
  EXPECT_TRUE((*large)->finish().at("results").at(0).at("metrics").at("s").is_double());
}

TEST(Aggregate, Refusals) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "aggregations"},
      {R"({"aggregations":[]})", "at least 1"},
      {R"({"aggregations":[{"function":"median","alias":"m"}]})", "must be one of"},
      {R"({"aggregations":[{"function":"sum","alias":"m"}]})", "needs 'field'"},
      {R"({"aggregations":[{"function":"count","alias":"m"},{"function":"count","alias":"m"}]})", "given twice"},
      {R"({"group_by":[{"field":"a","date_trunc":"day","date_part":"day"}],"aggregations":[{"function":"count","alias":"m"}]})",
       "not both"},
      {R"({"aggregations":[{"function":"count","alias":"total"}],"sort_by":"totl"})", "did you mean 'total'"},
      {R"({"aggregations":[{"function":"count","alias":"n"}],"having":[{"field":"m","operator":"gt","value":1}]})", "did you mean 'n'"},
      {R"({"aggregations":[{"function":"count","alias":"n"}],"having":[{"field":"n","operator":"over","value":1}]})", "unknown operator"},
      {R"({"aggregations":[{"function":"count","alias":"n"}],"range_buckets":[{"field":"p","boundaries":[5,1]}]})", "must ascend"},
      {R"({"aggregations":[{"function":"count","alias":"n"}],"limit":0})", "at least 1"},
  };
  for (const auto& [request, words] : cases) {
    SCOPED_TRACE(request);
    Result<json::object> result = aggregate(request);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kValidation);
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  }
}

TEST(Aggregate, MemoryIsBounded) {
  Result<json::object> groups =
      aggregate(R"({"group_by":[{"field":"in.n"}],"aggregations":[{"function":"count","alias":"n"}]})", {.max_groups = 2});
  ASSERT_FALSE(groups.ok());
  EXPECT_EQ(groups.error().kind, ErrorKind::kBadRequest);
  Result<json::object> bytes = aggregate(R"({"aggregations":[{"function":"push","field":"kind","alias":"n"}]})", {.max_bytes = 300});
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.error().kind, ErrorKind::kBadRequest);
}

}  // namespace
}  // namespace quarry::retrieval
