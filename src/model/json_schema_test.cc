#include "model/json_schema.h"

#include <gtest/gtest.h>

#include "model/nearest_name.h"

namespace quarry {
namespace {

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

const json::object& schema() {
  static const json::object kSchema = parse(R"({
    "type": "object",
    "properties": {
      "top_k": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 100},
      "weight": {"type": "number", "minimum": 0, "exclusiveMaximum": 2},
      "mode": {"type": "string", "enum": ["rrf", "max"]},
      "name": {"type": "string", "minLength": 1, "maxLength": 4},
      "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
      "query": {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/vector"}]},
      "open": {"type": "object", "additionalProperties": true, "properties": {"a": {"type": "integer"}}},
      "map": {"type": "object", "additionalProperties": {"type": "number"}},
      "free": {"type": "object"},
      "any": {}
    },
    "required": ["mode"],
    "$defs": {"vector": {"type": "object", "properties": {"value": {"type": "array", "items": {"type": "number"}}}, "required": ["value"]}}
  })");
  return kSchema;
}

struct Case {
  const char* value;
  const char* type;      // of the first problem; empty: fits
  const char* location;  // as JSON
  const char* words;     // part of its message
};

TEST(JsonSchema, Table) {
  const Case cases[] = {
      {R"({"mode":"rrf"})", "", "", ""},
      {R"({})", "missing", R"(["body","mode"])", "is required"},
      {R"({"mode":"rrf","topk":3})", "unknown_field", R"(["body","topk"])", "did you mean 'top_k'"},
      {R"({"mode":"rff"})", "enum", R"(["body","mode"])", R"(["rrf","max"])"},
      {R"({"mode":7})", "type_error", R"(["body","mode"])", "of type string, not an integer"},
      {R"({"mode":"rrf","top_k":0})", "value_error", R"(["body","top_k"])", "at least 1"},
      {R"({"mode":"rrf","top_k":5001})", "value_error", R"(["body","top_k"])", "at most 5000"},
      {R"({"mode":"rrf","top_k":18446744073709551615})", "value_error", R"(["body","top_k"])", "at most 5000"},
      {R"({"mode":"rrf","top_k":1.5})", "type_error", R"(["body","top_k"])", "of type integer, not a number"},
      {R"({"mode":"rrf","top_k":true})", "type_error", R"(["body","top_k"])", "not a boolean"},
      {R"({"mode":"rrf","weight":2})", "value_error", R"(["body","weight"])", "less than 2"},
      {R"({"mode":"rrf","name":"äöüß"})", "", "", ""},
      {R"({"mode":"rrf","name":"äöüß1"})", "value_error", R"(["body","name"])", "at most 4 characters"},
      {R"({"mode":"rrf","name":""})", "value_error", R"(["body","name"])", "at least 1"},
      {R"({"mode":"rrf","tags":[]})", "value_error", R"(["body","tags"])", "at least 1 items"},
      {R"({"mode":"rrf","tags":["a","b","c"]})", "value_error", R"(["body","tags"])", "at most 2"},
      {R"({"mode":"rrf","tags":["a",5]})", "type_error", R"(["body","tags",1])", "field 'tags.1'"},
      {R"({"mode":"rrf","query":"x"})", "", "", ""},
      {R"({"mode":"rrf","query":{"value":[1,2.5]}})", "", "", ""},
      {R"({"mode":"rrf","query":{"value":[1,"x"]}})", "type_error", R"(["body","query","value",1])", "of type number"},
      {R"({"mode":"rrf","query":{"vaule":[1]}})", "unknown_field", R"(["body","query","vaule"])", "did you mean 'value'"},
      {R"({"mode":"rrf","query":5})", "type_error", R"(["body","query"])", "one of the types"},
      {R"({"mode":"rrf","open":{"b":1}})", "", "", ""},
      {R"({"mode":"rrf","open":{"a":"x"}})", "type_error", R"(["body","open","a"])", ""},
      {R"({"mode":"rrf","map":{"x":1,"y":"z"}})", "type_error", R"(["body","map","y"])", ""},
      {R"({"mode":"rrf","free":{"whatever":[1]}})", "", "", ""},
      {R"({"mode":"rrf","any":[1,{"a":null}]})", "", "", ""},
      {R"({"mode":"rrf","top_k":null})", "", "", ""},
      {R"({"mode":null})", "missing", R"(["body","mode"])", ""},
      {R"([1])", "type_error", R"(["body"])", "of type object, not an array"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.value);
    json::value value = json::parse(c.value);
    Status status = check_json(schema(), value, {"body"});
    if (*c.type == '\0') {
      EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
      continue;
    }
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kValidation);
    const json::object& first = status.error().details.at("validation_errors").as_array().at(0).as_object();
    EXPECT_EQ(first.at("type").as_string(), c.type);
    EXPECT_EQ(json::serialize(first.at("location")), c.location);
    EXPECT_NE(std::string(first.at("message").as_string()).find(c.words), std::string::npos) << first;
  }
}

TEST(JsonSchema, FillsDefaultsAndMakesIntegersWhole) {
  json::object value = parse(R"({"mode":"max","name":null})");
  ASSERT_TRUE(check_json(schema(), value, {}).ok());
  EXPECT_EQ(json::serialize(value), R"({"mode":"max","top_k":100})");

  json::object whole = parse(R"({"mode":"max","top_k":5.0})");
  ASSERT_TRUE(check_json(schema(), whole, {}).ok());
  EXPECT_TRUE(whole.at("top_k").is_int64());

  json::object bare = parse(R"({"mode":"max"})");
  ASSERT_TRUE(check_json(schema(), bare, {}, {.fill_defaults = false}).ok());
  EXPECT_EQ(json::serialize(bare), R"({"mode":"max"})");
}

TEST(JsonSchema, NamesEveryProblem) {
  json::object value = parse(R"({"top_k":0,"weight":-1,"nmae":"x"})");
  Status status = check_json(schema(), value, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().details.at("validation_errors").as_array().size(), 4u);
  EXPECT_NE(status.error().message.find("(and 3 more)"), std::string::npos);
}

TEST(JsonSchema, TemplatesPassOnlyWhenAllowed) {
  json::object value = parse(R"({"mode":"{{INPUT.mode}}","top_k":"{{INPUT.k}}"})");
  EXPECT_TRUE(check_json(schema(), value, {}, {.allow_templates = true}).ok());
  EXPECT_FALSE(check_json(schema(), value, {}).ok());
}

TEST(JsonSchema, ReportsAreBounded) {
  json::object value{{"mode", "rrf"}};
  for (int i = 0; i < 5000; ++i) value[fmt::format("x{}", i)] = i;
  Status status = check_json(schema(), value, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().details.at("validation_errors").as_array().size(), 100u);
}

TEST(NearestName, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("topk", "top_k"), 1u);
  EXPECT_EQ(edit_distance("nmae", "name"), 1u);
  EXPECT_EQ(edit_distance("TOP", "top"), 0u);
  EXPECT_EQ(edit_distance(std::string(5000, 'a'), std::string(5000, 'b')), 64u);
  std::vector<std::string> known{"filters", "query", "top_k"};
  EXPECT_EQ(nearest_name("filtres", known), "filters");
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace quarry
