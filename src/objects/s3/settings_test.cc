#include <gtest/gtest.h>

#include "objects/s3_store.h"

namespace quarry::objects {
namespace {

S3Environment environment(std::map<std::string, std::string> variables = {}, std::map<std::string, std::string> files = {}) {
  S3Environment out;
  out.variables = std::move(variables);
  out.read_text = [files = std::move(files)](const std::filesystem::path& file) -> Result<std::string> {
    auto it = files.find(file.string());
    if (it == files.end()) return not_found("no file " + file.string());
    return it->second;
  };
  return out;
}

constexpr const char* kProfiles =
    "# a comment\n[default]\naws_access_key_id = D\naws_secret_access_key=DS\n\n[ work ]\r\naws_access_key_id=W\r\n"
    "aws_secret_access_key = WS\naws_session_token = WT\n[half]\naws_access_key_id=H\n";

TEST(S3Settings, TheLocationIsReadFromTheUrl) {
  auto location = parse_s3_url("s3://bucket/a/b/");
  ASSERT_TRUE(location.ok());
  EXPECT_EQ(location->bucket, "bucket");
  EXPECT_EQ(location->prefix, "a/b");
  EXPECT_EQ(parse_s3_url("s3://bucket")->prefix, "");
  for (const char* bad : {"", "s3:", "s3://", "s3:///x", "http://bucket", "bucket/prefix"}) EXPECT_FALSE(parse_s3_url(bad).ok()) << bad;
}

TEST(S3Settings, SettingsComeBeforeVariablesBeforeProfiles) {
  const std::map<std::string, std::string> variables{{"AWS_ACCESS_KEY_ID", "V"},  {"AWS_SECRET_ACCESS_KEY", "VS"},
                                                     {"AWS_SESSION_TOKEN", "VT"}, {"HOME", "/h"},
                                                     {"AWS_REGION", "r1"},        {"AWS_DEFAULT_REGION", "r2"}};
  const auto env = environment(variables, {{"/h/.aws/credentials", kProfiles}});
  S3Settings settings{.url = "s3://bucket"};
  auto options = resolve_s3_options(settings, env);
  ASSERT_TRUE(options.ok()) << options.error().message;
  EXPECT_EQ(options->credentials.access_key_id, "V");
  EXPECT_EQ(options->credentials.session_token, "VT");
  EXPECT_EQ(options->region, "r1");
  EXPECT_EQ(options->endpoint, "https://s3.r1.amazonaws.com");

  settings.profile = "work";
  EXPECT_EQ(resolve_s3_options(settings, env)->credentials.session_token, "WT");
  settings.access_key_id = "S";
  settings.secret_access_key = "SS";
  settings.region = "r0";
  options = resolve_s3_options(settings, env);
  EXPECT_EQ(options->credentials.access_key_id, "S");
  EXPECT_EQ(options->credentials.session_token, "");
  EXPECT_EQ(options->region, "r0");
  EXPECT_EQ(resolve_s3_options({.url = "s3://bucket"}, environment({{"HOME", "/h"}}, {{"/h/.aws/credentials", kProfiles}}))
                ->credentials.access_key_id,
            "D");
}

TEST(S3Settings, EndpointsComeFromVariablesToo) {
  S3Settings settings{.url = "s3://bucket", .access_key_id = "a", .secret_access_key = "b"};
  EXPECT_EQ(resolve_s3_options(settings, environment({{"AWS_ENDPOINT_URL", "http://one"}}))->endpoint, "http://one");
  EXPECT_EQ(
      resolve_s3_options(settings, environment({{"AWS_ENDPOINT_URL", "http://one"}, {"AWS_ENDPOINT_URL_S3", "http://two"}}))->endpoint,
      "http://two");
  settings.endpoint = "http://three";
  EXPECT_EQ(resolve_s3_options(settings, environment({{"AWS_ENDPOINT_URL_S3", "http://two"}}))->endpoint, "http://three");
}

TEST(S3Settings, WhatIsMissingIsNamed) {
  auto message = [](const S3Settings& settings, const S3Environment& env) {
    auto options = resolve_s3_options(settings, env);
    EXPECT_FALSE(options.ok());
    return options.ok() ? "" : options.error().message;
  };
  EXPECT_NE(message({.url = "s3://bucket"}, environment()).find("objects.access_key_id"), std::string::npos);
  EXPECT_NE(message({.url = "s3://bucket", .access_key_id = "a"}, environment()).find("together"), std::string::npos);
  const auto env = environment({{"HOME", "/h"}}, {{"/h/.aws/credentials", kProfiles}});
  EXPECT_NE(message({.url = "s3://bucket", .profile = "absent"}, env).find("[absent]"), std::string::npos);
  EXPECT_NE(message({.url = "s3://bucket", .profile = "half"}, env).find("[half]"), std::string::npos);
  EXPECT_NE(message({.url = "s3://bucket", .credentials_file = "/no"}, env).find("/no"), std::string::npos);
  EXPECT_NE(message({.url = "s3://bucket", .addressing = "odd"}, env).find("'odd'"), std::string::npos);
}

TEST(S3Settings, IllFormedOptionsAreRefusedBeforeAnyRequest) {
  S3Options sound;
  sound.bucket = "bucket";
  sound.endpoint = "http://127.0.0.1:1/";
  sound.credentials = {"a", "b", "", ""};
  EXPECT_TRUE(open_s3_store(sound).ok());
  auto refused = [&](auto change) {
    S3Options options = sound;
    change(options);
    return !open_s3_store(options).ok();
  };
  EXPECT_TRUE(refused([](S3Options& o) { o.bucket = "../etc"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.bucket = "B"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.prefix = "a/../b"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.prefix = std::string(201, 'a'); }));
  EXPECT_TRUE(refused([](S3Options& o) { o.endpoint = "ftp://host"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.endpoint = "http://user:password@host"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.endpoint = "http://host/path"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.endpoint = "http://"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.credentials.access_key_id = "a\r\nX: y"; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.region = ""; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.connections = 0; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.timeout_ms = 0; }));
  EXPECT_TRUE(refused([](S3Options& o) { o.part_bytes = 1; }));
}

}  // namespace
}  // namespace quarry::objects
