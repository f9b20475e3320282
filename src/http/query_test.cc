#include "http/query.h"

#include <gtest/gtest.h>

namespace quarry::http {
namespace {

const std::vector<Parameter>& parameters() {
  static const json::value document =
      json::parse(R"({"integer": {"type": "integer", "minimum": 1, "maximum": 100}, "number": {"type": "number"},
      "boolean": {"type": "boolean"}, "string": {"type": "string"}, "time": {"type": "string", "format": "date-time"},
      "list": {"type": "array", "items": {"type": "integer"}}, "any": {}, "choice": {"type": "string", "enum": ["a", "b"]}})");
  static SchemaSet set(document);
  static const std::vector<Parameter> made = [] {
    std::vector<Parameter> out;
    for (const auto& member : document.as_object()) out.push_back({member.key(), false, *set.compile(member.value())});
    return out;
  }();
  return made;
}

TEST(Query, Typed) {
  auto q = parse_query("integer=7&number=2.5&boolean=true&string=a%20b+c%2B&time=2026-01-01T00:00:00Z&list=1,2&list=3&any=%7B&choice=b&",
                       parameters());
  ASSERT_TRUE(q.ok()) << q.error().message;
  EXPECT_EQ(
      json::serialize(*q),
      R"({"integer":7,"number":2.5E0,"boolean":true,"string":"a b c+","time":"2026-01-01T00:00:00Z","list":[1,2,3],"any":"{","choice":"b"})");
}

TEST(Query, EmptyAndAbsent) {
  EXPECT_TRUE(parse_query("", parameters())->empty());
  EXPECT_EQ(parse_query("string=", parameters())->at("string"), "");
  EXPECT_EQ(parse_query("string", parameters())->at("string"), "");
  EXPECT_EQ(parse_query("string=1&string=2", parameters())->at("string"), "2");
  EXPECT_EQ(json::serialize(parse_query("list[]=4&list[]=5", parameters())->at("list")), "[4,5]");
  EXPECT_EQ(json::serialize(parse_query("number=3", parameters())->at("number")), "3E0");
}

TEST(Query, Refused) {
  const std::pair<const char*, const char*> cases[] = {{"integer=x", "int_type"},
                                                       {"integer=1.5", "int_type"},
                                                       {"integer=0", "greater_than_equal"},
                                                       {"integer=101", "less_than_equal"},
                                                       {"integer=", "int_type"},
                                                       {"number=nan", "float_type"},
                                                       {"number=inf", "float_type"},
                                                       {"number=1e999", "float_type"},
                                                       {"boolean=maybe", "bool_type"},
                                                       {"time=noon", "datetime_parsing"},
                                                       {"list=1,x", "int_type"},
                                                       {"choice=c", "enum"},
                                                       {"intger=3", "extra_forbidden"},
                                                       {"integer=99999999999999999999", "int_type"}};
  for (auto& [text, type] : cases) {
    auto q = parse_query(text, parameters());
    ASSERT_FALSE(q.ok()) << text;
    const json::object& error = q.error().details.at("validation_errors").at(0).as_object();
    EXPECT_EQ(error.at("type"), type) << text;
    EXPECT_EQ(error.at("location").at(0), "query") << text;
  }
  EXPECT_NE(parse_query("intger=3", parameters()).error().message.find("'integer'"), std::string::npos);
  for (const char* text : {"string=%", "string=%zz", "%00=1", "string=%ff"})
    EXPECT_EQ(parse_query(text, parameters()).error().kind, ErrorKind::kBadRequest);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "string=x&";
  EXPECT_EQ(parse_query(many, parameters()).error().kind, ErrorKind::kBadRequest);
}

TEST(Query, RequiredOnes) {
  std::vector<Parameter> required = {parameters()[0]};
  required[0].required = true;
  auto q = parse_query("", required);
  ASSERT_FALSE(q.ok());
  EXPECT_EQ(q.error().details.at("validation_errors").at(0).at("type"), "missing");
}

}  // namespace
}  // namespace quarry::http
