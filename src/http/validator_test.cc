#include "http/validator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "http/json_decoder.h"

namespace quarry::http {
namespace {

// A document whose components are what the cases below refer to.
const json::value& document() {
  static const json::value value = json::parse(R"({"components": {"schemas": {
    "Pet": {"type": "object", "required": ["name"], "x-aliases": {"label": "name", "kin": "siblings"}, "properties": {
      "name": {"type": "string", "minLength": 2, "maxLength": 5},
      "age": {"type": "integer", "minimum": 0, "maximum": 30},
      "weight": {"type": "number"},
      "born": {"type": "string", "format": "date-time"},
      "kind": {"type": "string", "enum": ["cat", "dog"]},
      "chip": {"type": "string", "pattern": "^[0-9]+$"},
      "vector": {"type": "array", "items": {"type": "number"}},
      "siblings": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}, "maxItems": 2},
      "notes": {"type": "object", "additionalProperties": {}},
      "free": {},
      "maybe": {"type": ["string", "null"]}}},
    "Filter": {"anyOf": [
      {"type": "object", "required": ["field"], "properties": {"field": {"type": "string"}, "value": {}}},
      {"type": "object", "additionalProperties": true, "properties": {"AND": {"type": "array", "items": {"$ref": "#/components/schemas/Filter"}}}}]},
    "Shape": {"anyOf": [
      {"type": "object", "required": ["kind", "radius"], "properties": {"kind": {"type": "string", "enum": ["circle"]}, "radius": {"type": "number"}}},
      {"type": "object", "required": ["kind", "side"], "properties": {"kind": {"type": "string", "enum": ["square"]}, "side": {"type": "integer"}}},
      {"type": "array", "items": {"type": "number"}}]},
    "Open": {"type": "object", "additionalProperties": true, "properties": {"n": {"type": "integer"}}},
    "Loop": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Loop"}]},
    "Map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "Bare": {"type": "object"},
    "Closed": {"type": "object", "properties": {}}
  }}})");
  return value;
}

const Schema& schema(std::string_view name) {
  static SchemaSet set(document());
  static std::map<std::string, const Schema*, std::less<>> kept;
  auto it = kept.find(name);
  if (it == kept.end()) {
    auto made = set.compile(json::object{{"$ref", "#/components/schemas/" + std::string(name)}});
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    it = kept.emplace(name, *made).first;
  }
  return *it->second;
}

struct Good {
  const char *name, *in, *out;
};

class Accepts : public testing::TestWithParam<Good> {};

TEST_P(Accepts, AndNormalises) {
  json::value value = json::parse(GetParam().in);
  Status status = validate_value(schema(GetParam().name), value, "body");
  ASSERT_TRUE(status.ok()) << json::serialize(status.error().details);
  EXPECT_EQ(value, json::parse(GetParam().out)) << json::serialize(value);
}

INSTANTIATE_TEST_SUITE_P(
    Tables, Accepts,
    testing::Values(
        Good{"Pet", R"({"name":"Kit"})", R"({"name":"Kit"})"}, Good{"Pet", R"({"name":"Kit","age":null,"kind":null})", R"({"name":"Kit"})"},
        Good{"Pet", R"({"name":"Kit","free":null,"maybe":null})", R"({"name":"Kit","free":null,"maybe":null})"},
        Good{"Pet", R"({"label":"Kit"})", R"({"name":"Kit"})"},
        Good{"Pet", R"({"label":"Kit","name":"Kit","age":3})", R"({"name":"Kit","age":3})"},
        Good{"Pet", R"({"label":null,"name":"Kit"})", R"({"name":"Kit"})"},
        Good{"Pet", R"({"name":"Kit","kin":[{"label":"Tom","age":null}]})", R"({"name":"Kit","siblings":[{"name":"Tom"}]})"},
        Good{"Pet", R"({"name":"äöüß€"})", R"({"name":"äöüß€"})"},
        Good{"Pet", R"({"name":"Kit","born":"2026-01-31T12:00:00Z"})", R"({"name":"Kit","born":"2026-01-31T12:00:00Z"})"},
        Good{"Pet", R"({"name":"Kit","notes":{"a":null,"b":[1,{"c":null}]}})", R"({"name":"Kit","notes":{"a":null,"b":[1,{"c":null}]}})"},
        Good{"Filter", R"({"field":"a","value":null})", R"({"field":"a","value":null})"},
        Good{"Filter", R"({"AND":[{"field":"a","value":1},{"AND":[{"status":"x"}]}]})",
             R"({"AND":[{"field":"a","value":1},{"AND":[{"status":"x"}]}]})"},
        Good{"Shape", R"({"kind":"square","side":2.0})", R"({"kind":"square","side":2})"},
        Good{"Open", R"({"n":1,"whatever":{"x":null}})", R"({"n":1,"whatever":{"x":null}})"},
        Good{"Map", R"({"a":1,"b":2})", R"({"a":1,"b":2})"}, Good{"Bare", R"({"a":[1]})", R"({"a":[1]})"}, Good{"Closed", "{}", "{}"}));

struct Bad {
  const char *name, *in, *type, *location, *message;
};

class Rejects : public testing::TestWithParam<Bad> {};

TEST_P(Rejects, WithTypePlaceAndReason) {
  json::value value = json::parse(GetParam().in);
  const json::value before = value;
  Status status = validate_value(schema(GetParam().name), value, "body");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kValidation);
  const json::object& first = status.error().details.at("validation_errors").at(0).as_object();
  EXPECT_EQ(first.at("type"), GetParam().type);
  EXPECT_EQ(json::serialize(first.at("location")), GetParam().location);
  EXPECT_NE(std::string_view(first.at("message").as_string()).find(GetParam().message), std::string_view::npos) << first.at("message");
  EXPECT_EQ(value, before) << "a refused value was changed";
}

INSTANTIATE_TEST_SUITE_P(
    Tables, Rejects,
    testing::Values(Bad{"Pet", R"({})", "missing", R"(["body","name"])", "required"},
                    Bad{"Pet", R"({"name":null})", "missing", R"(["body","name"])", "required"},
                    Bad{"Pet", R"({"name":7})", "string_type", R"(["body","name"])", "must be a string, not 7"},
                    Bad{"Pet", R"({"name":"K"})", "string_too_short", R"(["body","name"])", "at least 2"},
                    Bad{"Pet", R"({"name":"Kittens"})", "string_too_long", R"(["body","name"])", "has 7"},
                    Bad{"Pet", R"({"nmae":"Kit"})", "extra_forbidden", R"(["body","nmae"])", "did you mean 'name'?"},
                    Bad{"Pet", R"({"name":"Kit","sibling":[]})", "extra_forbidden", R"(["body","sibling"])", "'siblings'"},
                    Bad{"Pet", R"({"name":"Kit","zzzzzzzz":1})", "extra_forbidden", R"(["body","zzzzzzzz"])", "unknown field"},
                    Bad{"Pet", R"({"name":"Kit","label":"Tom"})", "alias_conflict", R"(["body","label"])", "differ"},
                    Bad{"Pet", R"({"name":"Kit","age":-1})", "greater_than_equal", R"(["body","age"])", "at least 0"},
                    Bad{"Pet", R"({"name":"Kit","age":31})", "less_than_equal", R"(["body","age"])", "at most 30"},
                    Bad{"Pet", R"({"name":"Kit","age":1.5})", "int_type", R"(["body","age"])", "an integer"},
                    Bad{"Pet", R"({"name":"Kit","age":18446744073709551615})", "int_type", R"(["body","age"])", "an integer"},
                    Bad{"Pet", R"({"name":"Kit","age":"3"})", "int_type", R"(["body","age"])", "\"3\""},
                    Bad{"Pet", R"({"name":"Kit","weight":true})", "float_type", R"(["body","weight"])", "a number"},
                    Bad{"Pet", R"({"name":"Kit","born":"yesterday"})", "datetime_parsing", R"(["body","born"])", "ISO 8601"},
                    Bad{"Pet", R"({"name":"Kit","kind":"cow"})", "enum", R"(["body","kind"])", "\"cat\", \"dog\""},
                    Bad{"Pet", R"({"name":"Kit","chip":"12a"})", "string_pattern_mismatch", R"(["body","chip"])", "^[0-9]+$"},
                    Bad{"Pet", R"({"name":"Kit","vector":[1,2,"x",4]})", "float_type", R"(["body","vector",2])", "\"x\""},
                    Bad{"Pet", R"({"name":"Kit","siblings":[{"name":"Tom"},{"age":1}]})", "missing", R"(["body","siblings",1,"name"])",
                        "required"},
                    Bad{"Pet", R"({"name":"Kit","siblings":[{},{},{}]})", "too_long", R"(["body","siblings"])", "at most 2"},
                    Bad{"Pet", R"([])", "dict_type", R"(["body"])", "an object, not an array"},
                    Bad{"Filter", R"({"AND":[{"AND":[{"AND":3}]}]})", "list_type", R"(["body","AND",0,"AND",0,"AND"])", "an array"},
                    Bad{"Shape", R"({"kind":"circle","radius":"wide"})", "float_type", R"(["body","radius"])", "a number"},
                    Bad{"Shape", R"({"kind":"square"})", "missing", R"(["body","side"])", "required"},
                    Bad{"Shape", R"("round")", "type_error", R"(["body"])", "an array or an object"},
                    Bad{"Map", R"({"a":1,"b":"2"})", "int_type", R"(["body","b"])", "an integer"},
                    Bad{"Closed", R"({"a":1})", "extra_forbidden", R"(["body","a"])", "unknown field"}));

TEST(Validator, NumbersBecomeDoublesAndIntegersInt64) {
  json::value value = json::parse(R"({"name":"Kit","age":3.0,"weight":4,"vector":[1,2.5,18446744073709551615]})");
  ASSERT_TRUE(validate_value(schema("Pet"), value, "body").ok());
  EXPECT_TRUE(value.at("age").is_int64());
  EXPECT_TRUE(value.at("weight").is_double());
  for (const json::value& item : value.at("vector").as_array()) EXPECT_TRUE(item.is_double());
}

TEST(Validator, AnInfinityIsRefused) {
  json::value value = json::object{{"name", "Kit"}, {"weight", std::numeric_limits<double>::infinity()}};
  EXPECT_FALSE(validate_value(schema("Pet"), value, "body").ok());
}

TEST(Validator, ErrorsAreBounded) {
  json::object object{{"name", "Kit"}};
  for (int i = 0; i < 50; ++i) object["unknown_" + std::to_string(i)] = i;
  json::value value = object;
  Status status = validate_value(schema("Pet"), value, "body");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().details.at("validation_errors").as_array().size(), kMaxReportedErrors);
  EXPECT_EQ(status.error().details.at("errors_not_shown"), 30);
}

// A guess at the meant name for each of these would take minutes.
TEST(Validator, MembersThatAreOnlyCountedCostLittle) {
  json::object object{{"name", "Kit"}};
  for (int i = 0; i < 300'000; ++i) object["an_unknown_member_with_a_long_name_that_nothing_resembles_" + std::to_string(i)] = i;
  json::value value = std::move(object);
  Status status = validate_value(schema("Pet"), value, "body");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().details.at("errors_not_shown"), 300'000 - kMaxReportedErrors);
}

// Alternatives inside alternatives must not multiply: each of these 60 levels could be either branch.
TEST(Validator, DeepAlternativesTakeLinearWork) {
  std::string text = R"({"field": 5})";
  for (int i = 0; i < 60; ++i) text = R"({"AND":[{"field":"a"},)" + text + "]}";
  json::value good = json::parse(text, {}, {.max_depth = 200});
  EXPECT_TRUE(validate_value(schema("Filter"), good, "body").ok());  // {"field": 5} asks for equality
  text = R"({"AND": 5})";
  for (int i = 0; i < 60; ++i) text = R"({"AND":[{"field":"a"},)" + text + "]}";
  json::value bad = json::parse(text, {}, {.max_depth = 200});
  EXPECT_FALSE(validate_value(schema("Filter"), bad, "body").ok());
}

TEST(Validator, ALongVectorKeepsItsBlockOfMemory) {
  std::string text = R"({"name":"Kit","vector":[)";
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i) + ",";
  text += "0]}";
  auto value = decode_json(text, 64);
  ASSERT_TRUE(value.ok());
  ASSERT_TRUE(validate_value(schema("Pet"), *value, "body").ok());
  EXPECT_EQ(value->at("vector").as_array().size(), 20'001u);
  EXPECT_EQ(value->at("vector").at(777), 777.0);
}

TEST(Schema, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {R"({"type":"vector"})", R"({"$ref":"#/components/schemas/Nobody"})", R"({"$ref":"other.json"})",
                           R"({"$ref":"#/components/schemas/Loop"})", R"({"type":"string","pattern":"("})",
                           R"({"type":"object","properties":{"a":{}},"x-aliases":{"b":"c"}})", "3"}) {
    SchemaSet set(document());
    json::value node = json::parse(text);
    EXPECT_FALSE(set.compile(node).ok()) << text;
  }
}

}  // namespace
}  // namespace quarry::http
