#include "model/filter.h"

#include <gtest/gtest.h>

namespace quarry {
namespace {

json::value parse(std::string_view text) { return json::parse(text); }

Filter filter_of(std::string_view text) {
  auto parsed = parse_filter(parse(text));
  EXPECT_TRUE(parsed.ok()) << text << ": " << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? *parsed : Filter{};
}

const json::object& document() {
  static const json::object doc = parse(R"({
    "title": "The Quick Brown Fox", "price": 19.5, "stock": 7, "big": 9007199254740993, "sold": true, "note": null, "empty": [],
    "tags": ["Red", "green", "blue"], "sizes": [1, 2, 3], "created": "2026-01-15T10:00:00Z", "day": "2026-01-15",
    "a.b": "literal", "a": {"b": "nested", "c": {"d": 5}},
    "blobs": [{"type": "text", "n": 1}, {"type": "image", "n": 2}, {"n": 3}],
    "place": {"lat": 52.52, "lon": 13.405}, "path": [[13.4, 52.5], [2.35, 48.85]], "pacific": {"lat": 0, "lon": 179.5},
    "french": "L'Été à la Plage", "meta": {"author": "Ann", "year": 2020}
  })")
                                      .as_object();
  return doc;
}

struct Case {
  const char* filter;
  bool expected;
};

class FilterTable : public testing::TestWithParam<Case> {};

TEST_P(FilterTable, Matches) { EXPECT_EQ(matches(filter_of(GetParam().filter), document()), GetParam().expected) << GetParam().filter; }

INSTANTIATE_TEST_SUITE_P(Equality, FilterTable,
                         testing::Values(Case{R"({"field":"stock","operator":"eq","value":7})", true},
                                         Case{R"({"field":"stock","operator":"eq","value":7.0})", true},
                                         Case{R"({"field":"stock","value":7})", true},
                                         Case{R"({"field":"stock","operator":"eq","value":"7"})", false},
                                         Case{R"({"field":"title","operator":"eq","value":"the quick brown fox"})", false},
                                         Case{R"({"field":"big","operator":"eq","value":9007199254740992.0})", false},
                                         Case{R"({"field":"big","operator":"gt","value":9007199254740992.0})", true},
                                         Case{R"({"field":"tags","operator":"eq","value":"green"})", true},
                                         Case{R"({"field":"tags","operator":"eq","value":["Red","green","blue"]})", true},
                                         Case{R"({"field":"tags","operator":"ne","value":"green"})", false},
                                         Case{R"({"field":"tags","operator":"ne","value":"black"})", true},
                                         Case{R"({"field":"meta","operator":"eq","value":{"year":2020.0,"author":"Ann"}})", true},
                                         Case{R"({"field":"absent","operator":"eq","value":1})", false},
                                         Case{R"({"field":"absent","operator":"ne","value":1})", true},
                                         Case{R"({"field":"note","operator":"eq","value":null})", true},
                                         Case{R"({"field":"absent","operator":"eq","value":null})", true},
                                         Case{R"({"field":"title","operator":"ne","value":null})", true},
                                         Case{R"({"field":"empty","operator":"eq","value":1})", false},
                                         Case{R"({"field":"empty","operator":"ne","value":1})", true}));

INSTANTIATE_TEST_SUITE_P(Lists, FilterTable,
                         testing::Values(Case{R"({"field":"stock","operator":"in","value":[1,7,"x"]})", true},
                                         Case{R"({"field":"stock","operator":"in","value":7})", true},
                                         Case{R"({"field":"stock","operator":"in","value":[]})", false},
                                         Case{R"({"field":"stock","operator":"nin","value":[]})", true},
                                         Case{R"({"field":"tags","operator":"in","value":["blue","black"]})", true},
                                         Case{R"({"field":"tags","operator":"nin","value":["blue"]})", false},
                                         Case{R"({"field":"absent","operator":"nin","value":[1]})", true},
                                         Case{R"({"field":"absent","operator":"in","value":[1,null]})", true},
                                         Case{R"({"field":"absent","operator":"nin","value":[1,null]})", false}));

INSTANTIATE_TEST_SUITE_P(Ordering, FilterTable,
                         testing::Values(Case{R"({"field":"price","operator":"gt","value":19})", true},
                                         Case{R"({"field":"price","operator":"lte","value":19.5})", true},
                                         Case{R"({"field":"price","operator":"lt","value":19.5})", false},
                                         Case{R"({"field":"price","operator":"gt","value":"1"})", false},
                                         Case{R"({"field":"absent","operator":"lt","value":1})", false},
                                         Case{R"({"field":"note","operator":"lte","value":1})", false},
                                         Case{R"({"field":"sizes","operator":"gte","value":3})", true},
                                         Case{R"({"field":"sizes","operator":"gt","value":3})", false},
                                         Case{R"({"field":"created","operator":"gt","value":"2026-01-15T11:30:00+02:00"})", true},
                                         Case{R"({"field":"created","operator":"gte","value":"2026-01-15"})", true},
                                         Case{R"({"field":"day","operator":"lt","value":"2026-01-15T00:00:01Z"})", true},
                                         Case{R"({"field":"title","operator":"lt","value":"Zebra"})", true},
                                         Case{R"({"field":"sold","operator":"gte","value":0})", false}));

INSTANTIATE_TEST_SUITE_P(Strings, FilterTable,
                         testing::Values(Case{R"({"field":"title","operator":"contains","value":"QUICK"})", true},
                                         Case{R"({"field":"title","operator":"contains","value":"QUICK","case_sensitive":true})", false},
                                         Case{R"({"field":"tags","operator":"contains","value":"red"})", true},
                                         Case{R"({"field":"tags","operator":"contains","value":"re"})", false},
                                         Case{R"({"field":"tags","operator":"contains","value":"red","case_sensitive":true})", false},
                                         Case{R"({"field":"tags","operator":"contains","value":["red","BLUE"]})", true},
                                         Case{R"({"field":"tags","operator":"contains","value":["red","black"]})", false},
                                         Case{R"({"field":"sizes","operator":"contains","value":2})", true},
                                         Case{R"({"field":"stock","operator":"contains","value":7})", false},
                                         Case{R"({"field":"title","operator":"starts_with","value":"the "})", true},
                                         Case{R"({"field":"title","operator":"ends_with","value":"FOX"})", true},
                                         Case{R"({"field":"tags","operator":"starts_with","value":"gr"})", true},
                                         Case{R"({"field":"french","operator":"contains","value":"ÉTÉ"})", true},
                                         Case{R"({"field":"title","operator":"regex","value":"q.*k\\b"})", true},
                                         Case{R"({"field":"title","operator":"regex","value":"^Quick"})", false},
                                         Case{R"({"field":"title","operator":"regex","value":"quick","case_sensitive":true})", false},
                                         Case{R"({"AND":[{"field":"title","operator":"contains","value":"quick"}],"case_sensitive":true})",
                                              false}));

INSTANTIATE_TEST_SUITE_P(Words, FilterTable,
                         testing::Values(Case{R"({"field":"title","operator":"text","value":"fox quick"})", true},
                                         Case{R"({"field":"title","operator":"text","value":"fox cat"})", false},
                                         Case{R"({"field":"title","operator":"words","value":"fox cat"})", true},
                                         Case{R"({"field":"title","operator":"words","value":"cat dog"})", false},
                                         Case{R"({"field":"title","operator":"phrase","value":"quick, BROWN"})", true},
                                         Case{R"({"field":"title","operator":"phrase","value":"brown quick"})", false},
                                         Case{R"({"field":"title","operator":"text","value":"bro"})", false},
                                         Case{R"({"field":"french","operator":"phrase","value":"à la plage"})", true},
                                         Case{R"({"field":"stock","operator":"text","value":"7"})", false}));

INSTANTIATE_TEST_SUITE_P(Presence, FilterTable,
                         testing::Values(Case{R"({"field":"title","operator":"exists"})", true},
                                         Case{R"({"field":"title","operator":"exists","value":false})", false},
                                         Case{R"({"field":"absent","operator":"exists","value":false})", true},
                                         Case{R"({"field":"note","operator":"exists"})", false},
                                         Case{R"({"field":"note","operator":"is_null"})", true},
                                         Case{R"({"field":"absent","operator":"is_null","value":true})", true},
                                         Case{R"({"field":"title","operator":"is_null","value":false})", true},
                                         Case{R"({"field":"empty","operator":"exists"})", true}));

INSTANTIATE_TEST_SUITE_P(Paths, FilterTable,
                         testing::Values(Case{R"({"field":"a.b","operator":"eq","value":"literal"})", true},
                                         Case{R"({"field":"a.c.d","operator":"eq","value":5})", true},
                                         Case{R"({"field":"blobs.type","operator":"eq","value":"image"})", true},
                                         Case{R"({"field":"blobs.type","operator":"ne","value":"image"})", false},
                                         Case{R"({"field":"blobs.0.type","operator":"eq","value":"text"})", true},
                                         Case{R"({"field":"blobs.1.type","operator":"eq","value":"text"})", false},
                                         Case{R"({"field":"blobs.9.type","operator":"exists","value":true})", false},
                                         Case{R"({"field":"blobs.n","operator":"gt","value":2})", true}));

INSTANTIATE_TEST_SUITE_P(Logic, FilterTable,
                         testing::Values(Case{"null", true}, Case{"{}", true}, Case{R"({"AND":[]})", true}, Case{R"({"OR":[]})", false},
                                         Case{R"({"NOT":[]})", true}, Case{R"({"AND":[{"stock":7},{"sold":true}]})", true},
                                         Case{R"({"OR":[{"stock":8},{"sold":true}]})", true},
                                         Case{R"({"NOT":[{"stock":8},{"sold":true}]})", false}, Case{R"({"NOT":{"stock":8}})", true},
                                         Case{R"({"AND":[{"stock":7}],"NOT":[{"sold":true}]})", false},
                                         Case{R"({"stock":7,"sold":true})", true}, Case{R"({"stock":7,"sold":false})", false},
                                         Case{R"([{"stock":7},{"sold":false}])", false},
                                         Case{R"({"OR":[{"stock":8}],"sold":true})", false}));

INSTANTIATE_TEST_SUITE_P(
    Geo, FilterTable,
    testing::Values(
        Case{R"({"field":"place","operator":"geo_radius","value":{"center":{"lat":52.52,"lon":13.4},"radius":400}})", true},
        Case{R"({"field":"place","operator":"geo_radius","value":{"center":{"lat":52.52,"lon":13.4},"radius":300}})", false},
        Case{R"({"field":"place","operator":"geo_radius","value":{"lat":52.52,"lon":13.405,"radius":0}})", true},
        Case{R"({"field":"path","operator":"geo_radius","value":{"center":{"lat":48.85,"lon":2.35},"radius":10}})", true},
        Case{
            R"({"field":"place","operator":"geo_bounding_box","value":{"top_left":{"lat":53,"lon":13},"bottom_right":{"lat":52,"lon":14}}})",
            true},
        Case{
            R"({"field":"place","operator":"geo_bounding_box","value":{"top_left":{"lat":52,"lon":13},"bottom_right":{"lat":51,"lon":14}}})",
            false},
        Case{
            R"({"field":"pacific","operator":"geo_bounding_box","value":{"top_left":{"lat":10,"lon":170},"bottom_right":{"lat":-10,"lon":-170}}})",
            true},
        Case{
            R"({"field":"place","operator":"geo_bounding_box","value":{"top_left":{"lat":60,"lon":170},"bottom_right":{"lat":-10,"lon":-170}}})",
            false},
        Case{
            R"({"field":"place","operator":"geo_polygon","value":{"exterior":{"points":[{"lat":52,"lon":13},{"lat":53,"lon":13},{"lat":53,"lon":14},{"lat":52,"lon":14}]}}})",
            true},
        Case{
            R"({"field":"place","operator":"geo_polygon","value":{"exterior":{"points":[{"lat":52,"lon":13},{"lat":53,"lon":13},{"lat":53,"lon":14},{"lat":52,"lon":14}]},
          "interiors":[{"points":[{"lat":52.5,"lon":13.3},{"lat":52.6,"lon":13.3},{"lat":52.6,"lon":13.5},{"lat":52.5,"lon":13.5}]}]}})",
            false},
        Case{R"({"field":"place","operator":"geo_polygon","value":{"points":[[13,52],[13,53],[14,53]]}})", true},
        Case{R"({"field":"title","operator":"geo_radius","value":{"lat":0,"lon":0,"radius":1e9}})", false}));

struct BadCase {
  const char* filter;
  const char* message_part;
  const char* location;  // as JSON
};

class FilterErrors : public testing::TestWithParam<BadCase> {};

TEST_P(FilterErrors, AreValidationErrorsThatNameThePlace) {
  auto parsed = parse_filter(parse(GetParam().filter));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().kind, ErrorKind::kValidation);
  EXPECT_NE(parsed.error().message.find(GetParam().message_part), std::string::npos) << parsed.error().message;
  EXPECT_EQ(json::serialize(parsed.error().details.at("validation_errors").at(0).at("location")), GetParam().location);
}

INSTANTIATE_TEST_SUITE_P(
    Bad, FilterErrors,
    testing::Values(
        BadCase{R"({"field":"a","operator":"like","value":1})", "known: eq, ne", R"(["operator"])"},
        BadCase{R"({"AND":[{"a":1},{"field":"a","operator":"regex","value":"("}]})", "invalid regular expression", R"(["AND",1,"value"])"},
        BadCase{R"({"field":"a","operator":"regex","value":"(a{1000}){1000}"})", "invalid regular expression", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"gt"})", "needs a value", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"gt","value":[1]})", "needs a number", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"text","value":"..."})", "at least one word", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"exists","value":"yes"})", "true, false", R"(["value"])"},
        BadCase{R"({"field":7,"operator":"eq","value":1})", "must be a string", R"(["field"])"},
        BadCase{R"({"field":"","operator":"eq","value":1})", "1 to 512", R"(["field"])"},
        BadCase{R"({"field":"a","op":"eq","value":1})", "unknown field 'op'", R"(["op"])"},
        BadCase{R"({"field":"a","operator":"eq","value":{"type":"dynamic","field":"inputs.x"}})", "dynamic", R"(["value"])"},
        BadCase{R"({"price":{"$gt":5}})", "write {\"field\"", R"(["price"])"}, BadCase{R"({"OR":"x"})", "list of filters", R"(["OR"])"},
        BadCase{R"("x")", "must be an object", "[]"},
        BadCase{R"({"AND":[{"a":1}],"case_sensitive":"no"})", "true or false", R"(["case_sensitive"])"},
        BadCase{R"({"field":"a","operator":"geo_radius","value":{"lat":91,"lon":0,"radius":1}})", "geo_radius needs", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"geo_radius","value":{"lat":1,"lon":0,"radius":-1}})", "'radius'", R"(["value"])"},
        BadCase{R"({"field":"a","operator":"geo_bounding_box","value":{"top_left":{"lat":1,"lon":1}}})", "'bottom_right' is missing",
                R"(["value"])"},
        BadCase{R"({"field":"a","operator":"geo_polygon","value":{"exterior":{"points":[{"lat":1,"lon":1},{"lat":2,"lon":1}]}}})",
                "at least 3", R"(["value"])"}));

TEST(Filter, LimitsDepth) {
  json::value nested = json::object{{"a", 1}};
  for (int i = 0; i < 30; ++i) nested = json::object{{"NOT", json::array{nested}}};
  EXPECT_TRUE(parse_filter(nested).ok());
  for (int i = 0; i < 10'000; ++i) {
    json::array wrapped;
    wrapped.push_back(std::move(nested));
    nested = json::object{{"AND", std::move(wrapped)}};
  }
  auto parsed = parse_filter(nested);
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message.find("at most 32 deep"), std::string::npos);
  EXPECT_LT(json::serialize(parsed.error().details).size(), 2000u);
}

TEST(Filter, LimitsNodes) {
  json::array many;
  for (int i = 0; i < 999; ++i) many.push_back(json::object{{"a", i}});
  EXPECT_FALSE(parse_filter(json::object{{"OR", many}}).ok());
  json::object wide;
  for (int i = 0; i < 1'001; ++i) wide[std::to_string(i)] = i;
  EXPECT_FALSE(parse_filter(wide).ok());
}

TEST(Filter, LimitsTheDepthOfValues) {
  json::value value = 1;
  for (int i = 0; i < 5'000; ++i) {
    json::array wrapped;
    wrapped.push_back(std::move(value));
    value = std::move(wrapped);
  }
  EXPECT_FALSE(parse_filter(json::object{{"field", "a"}, {"operator", "eq"}, {"value", value}}).ok());
}

TEST(Filter, HostilePatternIsLinear) {
  Filter f = filter_of(R"({"field":"s","operator":"regex","value":"(a+)+$"})");
  std::string text(100'000, 'a');
  text.back() = 'b';
  json::object doc{{"s", text}};
  EXPECT_FALSE(matches(f, doc));  // a backtracking engine would not return
}

TEST(Filter, BuiltInCode) {
  EXPECT_TRUE(matches(all_of({equals("stock", 7), equals("sold", true)}), document()));
  EXPECT_TRUE(all_of({}).matches_all());
  EXPECT_TRUE(all_of({Filter{}, Filter{}}).matches_all());
  auto in = condition("stock", FilterOp::kIn, json::array{1, 7});
  ASSERT_TRUE(in.ok());
  EXPECT_TRUE(matches(*in, document()));
  EXPECT_FALSE(condition("stock", FilterOp::kRegex, "[").ok());
}

TEST(Filter, DynamicValuesThatNothingBoundAreRefused) {
  for (const char* value :
       {R"({"type":"dynamic","field":"x"})", R"([{"type":"dynamic","field":"x"}])", R"(["a",{"type":"dynamic","field":"x"}])"})
    for (const char* op : {"eq", "in", "contains"}) {
      auto parsed = parse_filter(json::object{{"field", "tags"}, {"operator", op}, {"value", parse(value)}});
      ASSERT_FALSE(parsed.ok()) << op << value;
      EXPECT_EQ(parsed.error().kind, ErrorKind::kValidation);
    }
}

TEST(Filter, StoredValuesOfAnyDepthCompare) {
  json::value deep = 1;
  for (int i = 0; i < 150; ++i) deep = json::array{deep};
  auto in = condition("a", FilterOp::kIn, json::array{deep, json::object{{"type", "dynamic"}, {"field", "x"}}});
  ASSERT_TRUE(in.ok()) << in.error().message;
  EXPECT_TRUE(matches(*in, json::object{{"a", deep}}));
  EXPECT_FALSE(condition("a", FilterOp::kIn, json::array(kMaxFilterValues + 1)).ok());
}

TEST(Filter, CopiesShareTheCompiledOperand) {
  Filter f = filter_of(R"({"field":"title","operator":"regex","value":"fox"})");
  Filter copy = f;
  f = Filter{};
  EXPECT_TRUE(matches(copy, document()));
}

TEST(MatchesCondition, TakesTheValueAtHand) {
  Filter ne = filter_of(R"({"field":"x","operator":"ne","value":1})");
  json::value one = 1, two = 2;
  EXPECT_TRUE(matches_condition(ne, nullptr));
  EXPECT_FALSE(matches_condition(ne, &one));
  EXPECT_TRUE(matches_condition(ne, &two));
}

TEST(CompareJson, IsATotalOrder) {
  std::vector<json::value> sorted{nullptr,
                                  false,
                                  true,
                                  -5,
                                  -4.5,
                                  0,
                                  0.5,
                                  1,
                                  9007199254740992.0,
                                  9007199254740993,
                                  INT64_MAX,
                                  uint64_t{INT64_MAX} + 1,
                                  UINT64_MAX,
                                  1e300,
                                  "",
                                  "A",
                                  "a",
                                  "\xc3\xa9",
                                  json::array{},
                                  json::array{1},
                                  json::array{1, 0},
                                  json::array{2},
                                  json::object{},
                                  json::object{{"a", 1}},
                                  json::object{{"a", 2}},
                                  json::object{{"b", 0}}};
  for (size_t i = 0; i < sorted.size(); ++i)
    for (size_t j = 0; j < sorted.size(); ++j) {
      int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(compare_json(sorted[i], sorted[j]), expected) << json::serialize(sorted[i]) << " and " << json::serialize(sorted[j]);
    }
  EXPECT_EQ(compare_json(json::object{{"a", 1}, {"b", 2}}, json::object{{"b", 2.0}, {"a", uint64_t{1}}}), 0);
}

TEST(ReadPath, ListsWhatAFilterReachesThroughArraysOfObjects) {
  const json::object o =
      parse(R"({"items":[{"name":"a","tags":["x","y"]},{"name":null},{"tags":["x"]},{"name":"b"}],"none":[{"n":null},{}],"t":[1]})")
          .as_object();
  json::value scratch;
  EXPECT_EQ(*read_path(o, "items.name", scratch), parse(R"(["a","b"])"));
  EXPECT_EQ(*read_path(o, "items.tags", scratch), parse(R"(["x","y","x"])"));
  EXPECT_EQ(*read_path(o, "items.3.name", scratch), "b");
  EXPECT_EQ(*read_path(o, "t", scratch), parse("[1]"));
  for (const char* absent : {"none.n", "items.x", "t.x", "name"}) EXPECT_EQ(read_path(o, absent, scratch), nullptr) << absent;
}

TEST(FindPath, WalksObjectsAndIndexes) {
  EXPECT_EQ(*find_path(document(), "a.b"), "literal");
  EXPECT_EQ(*find_path(document(), "a.c.d"), 5);
  EXPECT_EQ(*find_path(document(), "blobs.1.type"), "image");
  for (const char* absent : {"x", "a.x", "blobs.3.type", "blobs.99999999999.type", "blobs.type", "title.x", "", ".", "a."})
    EXPECT_EQ(find_path(document(), absent), nullptr) << absent;
}

}  // namespace
}  // namespace quarry
