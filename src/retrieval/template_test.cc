#include "retrieval/template.h"

#include <gtest/gtest.h>

namespace quarry::retrieval {
namespace {

const json::object& inputs() {
  static const json::object kInputs = json::parse(R"({
    "query": "red bus", "k": 7, "rate": 0.5, "flag": true, "vector": [1, 2.5], "nothing": null,
    "nested": {"list": [{"name": "first"}, {"name": "second"}]}, "evil": "{{secrets.key}} {{INPUT.query}}", "a.b": 1
  })")
                                          .as_object();
  return kInputs;
}

Result<json::value> bound_value(std::string_view source) {
  static const json::object kContext{{"namespace_id", "ns_1"}};
  json::value value = json::parse(source);
  TemplateScope scope{&inputs(), nullptr, &kContext};
  QUARRY_RETURN_IF_ERROR(bind_templates(value, scope, {"body"}));
  return value;
}

TEST(Template, BindsByForm) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("{{INPUT.query}}")", R"("red bus")"},
      {R"("{{ input.query }}")", R"("red bus")"},
      {R"("{{inputs.query}}")", R"("red bus")"},
      {R"("{{INPUT.k}}")", "7"},
      {R"("{{INPUT.flag}}")", "true"},
      {R"("{{INPUT.vector}}")", "[1,2.5E0]"},
      {R"("{{INPUT.vector[0]}}")", "1"},
      {R"("{{INPUT.vector.0}}")", "1"},
      {R"("{{INPUT.nested.list[1].name}}")", R"("second")"},
      {R"("{{CONTEXT.namespace_id}}")", R"("ns_1")"},
      {R"("a {{INPUT.query}} and {{INPUT.k}}")", R"("a red bus and 7")"},
      {R"("{{INPUT.query}}{{INPUT.rate}}")", R"("red bus0.5")"},
      {R"("v={{INPUT.vector}}")", R"("v=[1,2.5E0]")"},
      {R"("no template { } }} here")", R"("no template { } }} here")"},
      {R"({"a":[{"b":"{{INPUT.k}}"},"x"],"c":{"type":"dynamic","field":"INPUT.query"}})", R"({"a":[{"b":7},"x"],"c":"red bus"})"},
      {R"({"type":"dynamic","field":"query"})", R"("red bus")"},
      {R"({"type":"dynamic","field":"query","more":1})", R"({"type":"dynamic","field":"query","more":1})"},
  };
  for (const auto& [source, expected] : cases) {
    SCOPED_TRACE(source);
    Result<json::value> bound = bound_value(source);
    ASSERT_TRUE(bound.ok()) << bound.error().message;
    EXPECT_EQ(json::serialize(*bound), expected);
  }
}

TEST(Template, BoundValuesAreNotReadAgain) {
  Result<json::value> bound = bound_value(R"("{{INPUT.evil}}")");
  ASSERT_TRUE(bound.ok());
  EXPECT_EQ(bound->as_string(), "{{secrets.key}} {{INPUT.query}}");
  bound = bound_value(R"("<{{INPUT.evil}}>")");
  ASSERT_TRUE(bound.ok());
  EXPECT_EQ(bound->as_string(), "<{{secrets.key}} {{INPUT.query}}>");
}

TEST(Template, MissingInputsAreNamed) {
  for (const char* source :
       {R"("{{INPUT.absent}}")", R"("x {{INPUT.nothing}}")", R"("{{INPUT.nested.list[9].name}}")", R"("{{INPUT.query.deeper}}")",
        R"("{{INPUT.vector[99999999999999999999]}}")", R"({"type":"dynamic","field":"absent"})"}) {
    SCOPED_TRACE(source);
    Result<json::value> bound = bound_value(source);
    ASSERT_FALSE(bound.ok());
    EXPECT_EQ(bound.error().kind, ErrorKind::kValidation);
    EXPECT_TRUE(is_missing_input(bound.error()));
  }
  Error error = bound_value(R"("{{INPUT.nested.list[9].name}}")").error();
  EXPECT_NE(error.message.find("'nested.list.9.name'"), std::string::npos) << error.message;
  EXPECT_EQ(json::serialize(error.details.at("validation_errors").at(0).at("location")), R"(["inputs","nested","list","9","name"])");
}

TEST(Template, HostileForms) {
  for (const char* source :
       {R"("{{")", R"("{{}}")", R"("{{ }}")", R"("{{INPUT}}")", R"("{{INPUT.}}")", R"("{{INPUT..x}}")", R"("{{INPUT[x]}}")",
        R"("{{INPUT.x[}}")", R"("{{INPUT.a b}}")", R"("{{INPUT.x | upper}}")", R"("{{__class__.x}}")", R"("{{{INPUT.x}}}")",
        R"("{{DOC.title}}")", R"("{{INPUT.x")", R"("{{CONTEXT.password}}")"}) {
    SCOPED_TRACE(source);
    Result<json::value> bound = bound_value(source);
    ASSERT_FALSE(bound.ok());
    EXPECT_EQ(bound.error().kind, ErrorKind::kValidation);
    EXPECT_FALSE(is_missing_input(bound.error()));
    EXPECT_LT(bound.error().message.size(), 500u);
  }
  Result<json::value> secret = bound_value(R"({"key":"Bearer {{secrets.stripe}}"})");
  ASSERT_FALSE(secret.ok());
  EXPECT_EQ(secret.error().kind, ErrorKind::kNotImplemented);
  EXPECT_FALSE(secret.error().details.at("retryable").as_bool());
}

TEST(Template, LimitsHold) {
  std::string many;
  for (int i = 0; i < 101; ++i) many += "{{INPUT.k}} ";
  EXPECT_FALSE(bound_value(json::serialize(json::string(many))).ok());

  std::string steps = "{{INPUT";
  for (int i = 0; i < 40; ++i) steps += ".a";
  EXPECT_FALSE(bound_value(json::serialize(json::string(steps + "}}"))).ok());

  json::value deep = "{{INPUT.k}}";
  for (int i = 0; i < 70; ++i) deep = json::array{deep};
  TemplateScope scope{&inputs(), nullptr, nullptr};
  EXPECT_FALSE(bind_templates(deep, scope, {}).ok());

  json::object big{{"text", std::string(1 << 20, 'x')}};
  TemplateScope large{&big, nullptr, nullptr};
  json::value copies = json::array(64, "{{INPUT.text}}");
  Status status = bind_templates(copies, large, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kPayloadTooLarge);
}

TEST(Template, FormIsCheckedWithoutValues) {
  EXPECT_TRUE(check_templates(json::parse(R"({"q":"{{INPUT.later}} {{DOC.title}}"})"), {}).ok());
  EXPECT_FALSE(check_templates(json::parse(R"({"q":["{{INPUT.later"]})"), {}).ok());
  EXPECT_FALSE(check_templates(json::parse(R"({"q":"{{secrets.x}}"})"), {}).ok());
}

}  // namespace
}  // namespace quarry::retrieval
