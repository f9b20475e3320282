#include "model/schema.h"

#include <gtest/gtest.h>

namespace quarry {
namespace {

ObjectSchema schema_of(std::string_view text) {
  auto parsed = parse_schema(json::parse(text));
  EXPECT_TRUE(parsed.ok()) << text << ": " << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? *parsed : ObjectSchema{};
}

TEST(ParseSchema, AcceptsBothForms) {
  EXPECT_EQ(schema_of(R"({"properties":{"a":{"type":"text"}}})").properties.at("a").type, FieldType::kText);
  EXPECT_EQ(schema_of(R"({"a":{"type":"text","required":true}})").properties.at("a").required, true);
  EXPECT_EQ(schema_of(R"({"properties":{"type":"string"}})").properties.count("properties"), 1u);
  EXPECT_EQ(schema_of(R"({"properties":{"type":{"type":"string"}}})").properties.count("type"), 1u);
  EXPECT_TRUE(schema_of(R"({"properties":{"a":{"type":"text"},"b":{"type":"text"}},"required":["b"]})").properties.at("b").required);
  EXPECT_TRUE(schema_of("null").properties.empty());
}

TEST(ParseSchema, RoundTripsWhatItWasGiven) {
  std::string_view text =
      R"({"properties":{"a":{"type":"array","required":true,"items":{"type":"integer","required":false},"description":"numbers","examples":[[1]]},
    "o":{"type":"object","required":false,"properties":{"k":{"type":"string","required":false,"default":"x","enum":["x","y"]}}}}})";
  EXPECT_EQ(to_json(schema_of(text)), json::parse(text));
}

TEST(ParseSchema, RefusesWhatIsNoSchema) {
  for (const char* bad :
       {"1", "[]", R"({"a":1})", R"({"a":{}})", R"({"a":{"type":"varchar"}})", R"({"properties":7})", R"({"a":{"type":"string","enum":1}})",
        R"({"":{"type":"string"}})", R"({"a":{"type":"string","required":"yes"}})",
        R"({"properties":{"a":{"type":"text"}},"required":["b"]})", R"({"a":{"type":"array","items":{"type":"list"}}})"}) {
    auto parsed = parse_schema(json::parse(bad));
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kValidation) << bad;
  }
}

TEST(ParseSchema, LimitsDepthAndSize) {
  json::value nested = json::object{{"type", "string"}};
  for (int i = 0; i < 2'000; ++i) {
    json::object wrapped{{"type", "array"}};
    wrapped["items"] = std::move(nested);
    nested = std::move(wrapped);
  }
  EXPECT_FALSE(parse_schema(json::object{{"a", nested}}).ok());
  json::object wide;
  for (int i = 0; i < 1'001; ++i) wide["f" + std::to_string(i)] = json::object{{"type", "string"}};
  EXPECT_FALSE(parse_schema(wide).ok());
}

struct Case {
  const char* type;
  const char* value;
  bool ok;
};

class FieldTypes : public testing::TestWithParam<Case> {};

TEST_P(FieldTypes, AreChecked) {
  ObjectSchema schema = schema_of(std::string(R"({"f":{"type":")") + GetParam().type + "\"}}");
  json::object values{{"f", json::parse(GetParam().value)}};
  EXPECT_EQ(validate(schema, values, "body").ok(), GetParam().ok) << GetParam().type << " " << GetParam().value;
}

INSTANTIATE_TEST_SUITE_P(All, FieldTypes,
                         testing::Values(Case{"string", R"("x")", true}, Case{"string", "1", false}, Case{"text", R"("")", true},
                                         Case{"text", "[]", false}, Case{"number", "1.5", true}, Case{"number", R"("1")", false},
                                         Case{"integer", "3", true}, Case{"integer", "3.0", true}, Case{"integer", "3.5", false},
                                         Case{"integer", "1e300", false}, Case{"float", "1", true}, Case{"float", "true", false},
                                         Case{"boolean", "false", true}, Case{"boolean", "0", false}, Case{"object", "{}", true},
                                         Case{"object", "[]", false}, Case{"array", "[1]", true}, Case{"array", R"("x")", false},
                                         Case{"date", R"("2026-02-28")", true}, Case{"date", R"("2026-02-30")", false},
                                         Case{"date", R"("2026-02-28T00:00:00Z")", false},
                                         Case{"datetime", R"("2026-02-28T00:00:00Z")", true}, Case{"datetime", "5", false},
                                         Case{"image", R"("https://x/y.png")", true}, Case{"pdf", "5", false},
                                         Case{"document_reference", R"({"document_id":"d"})", true}, Case{"string", "null", true}));

TEST(Validate, ReportsEveryProblemWithItsPlace) {
  ObjectSchema schema = schema_of(R"({"a":{"type":"string","required":true},"b":{"type":"array","items":{"type":"integer"}},
    "c":{"type":"object","properties":{"d":{"type":"string","enum":["x"],"required":true}}}})");
  json::object values = json::parse(R"({"b":[1,"2"],"c":{"d":"y"},"unknown":1})").as_object();
  Status status = validate(schema, values, "body");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(json::serialize(status.error().details),
            R"({"validation_errors":[{"type":"missing","location":["body","a"],"message":"field 'a' is required"},)"
            R"({"type":"type_error","location":["body","b",1],"message":"field 'b.1' must be of type integer, not a string"},)"
            R"({"type":"enum","location":["body","c","d"],"message":"field 'c.d' must be one of [\"x\"]"}]})");
}

TEST(Validate, FillsDefaultsAndMakesIntegersWhole) {
  ObjectSchema schema = schema_of(R"({"a":{"type":"string","required":true,"default":"x"},"n":{"type":"integer"}})");
  json::object values = json::parse(R"({"a":null,"n":4.0})").as_object();
  ASSERT_TRUE(validate(schema, values, "body").ok());
  EXPECT_EQ(json::serialize(values), R"({"a":"x","n":4})");
}

TEST(Validate, CapsTheReport) {
  ObjectSchema schema = schema_of(R"({"a":{"type":"array","items":{"type":"string"}}})");
  json::object values;
  values["a"] = json::array(100'000, 1);
  Status status = validate(schema, values, "body");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().details.at("validation_errors").as_array().size(), 100u);
}

}  // namespace
}  // namespace quarry
