#include "objects/s3/replies.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace quarry::objects::s3 {
namespace {

std::string list_of(const std::string& contents, const std::string& rest = "<IsTruncated>false</IsTruncated>") {
  return R"(<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)" + rest + contents +
         "</ListBucketResult>";
}
std::string entry(const std::string& key, const std::string& size = "5") {
  return fmt::format("<Contents><Key>{}</Key><LastModified>2024-02-03T04:05:06.789Z</LastModified><Size>{}</Size></Contents>", key, size);
}
HttpReply reply(long status, const std::string& code, const std::string& message = "why") {
  HttpReply out{.status = status};
  if (!code.empty()) out.body = fmt::format("<Error><Code>{}</Code><Message>{}</Message></Error>", code, message);
  return out;
}

TEST(ParseList, ReadsAPage) {
  auto page = parse_list(list_of(entry("r/ a &amp; b") + entry("r/x&#233;", "0"),
                                 "<IsTruncated>true</IsTruncated><NextContinuationToken>t/+=</NextContinuationToken>"),
                         "r/");
  ASSERT_TRUE(page.ok()) << page.error().message;
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, " a & b");
  EXPECT_EQ(page->objects[0].size, 5u);
  EXPECT_EQ(page->objects[0].modified_at, parse_timestamp("2024-02-03T04:05:06.789Z").value());
  EXPECT_EQ(page->objects[1].key, "x\xc3\xa9");
  EXPECT_EQ(page->continuation, "t/+=");
}

TEST(ParseList, LeavesOutWhatIsNoKey) {
  auto page = parse_list(list_of(entry("r/") + entry("r/a/") + entry("r/b")), "r/");
  ASSERT_TRUE(page.ok()) << page.error().message;
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].key, "b");
}

TEST(ParseList, RefusesWhatIsNoList) {
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string("<html/>"), list_of(entry("a", "many")), list_of(entry("other/a")),
        list_of(entry("r/b") + entry("r/a")), list_of("", "<IsTruncated>true</IsTruncated>"),
        list_of("<Contents><Key>r/a</Key><Size>1</Size></Contents>"), list_of(entry("r/a")) + "x"})
    EXPECT_FALSE(parse_list(body, "r/").ok()) << body;
}

TEST(ParseXml, RefusesBombs) {
  const std::string laughs = "<!DOCTYPE a [<!ENTITY x \"ha\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
  auto bomb = parse_xml(laughs);
  ASSERT_FALSE(bomb.ok());
  EXPECT_NE(bomb.error().message.find("DOCTYPE"), std::string::npos) << bomb.error().message;
  EXPECT_FALSE(parse_xml("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>").ok());
  EXPECT_FALSE(parse_xml("<a>&nbsp;</a>").ok());
  std::string deep, wide = "<a>";
  for (int i = 0; i < 50'000; ++i) deep += "<a>";
  EXPECT_FALSE(parse_xml(deep).ok());
  for (int i = 0; i < 100'001; ++i) wide += "<b/>";
  EXPECT_FALSE(parse_xml(wide + "</a>").ok());
  EXPECT_FALSE(parse_xml(std::string("<a>\xff</a>")).ok());
  EXPECT_FALSE(parse_xml(std::string("<a>\0</a>", 8)).ok());
}

TEST(ReplyError, TellsWhatMayPass) {
  for (const auto& [status, code] : std::vector<std::pair<long, std::string>>{
           {500, "InternalError"}, {503, "SlowDown"}, {429, ""}, {409, "ConditionalRequestConflict"}, {400, "RequestTimeout"}, {502, ""}}) {
    Error error = reply_error(reply(status, code), "put 'k'", "s3://b");
    EXPECT_EQ(error.kind, ErrorKind::kStorage) << status;
    EXPECT_FALSE(error.details.contains("reason")) << status << " is retried";
  }
  for (const auto& [status, code] : std::vector<std::pair<long, std::string>>{{403, "SignatureDoesNotMatch"},
                                                                              {403, "AccessDenied"},
                                                                              {403, ""},
                                                                              {404, "NoSuchBucket"},
                                                                              {404, "XAdminUserNotFound"},
                                                                              {301, "PermanentRedirect"},
                                                                              {400, "Odd"}}) {
    Error error = reply_error(reply(status, code), "put 'k'", "s3://b");
    EXPECT_EQ(error.kind, ErrorKind::kStorage) << status;
    EXPECT_TRUE(error.details.contains("reason")) << status << " is not retried";
    EXPECT_NE(error.message.find("s3://b"), std::string::npos) << error.message;
  }
}

TEST(ReplyError, HasTheKindsOfTheFace) {
  EXPECT_EQ(reply_error(reply(404, "NoSuchKey"), "get 'k'", "s3://b").kind, ErrorKind::kNotFound);
  EXPECT_EQ(reply_error(reply(404, ""), "head 'k'", "s3://b").kind, ErrorKind::kNotFound);
  EXPECT_EQ(reply_error(reply(412, "PreconditionFailed"), "put_if_absent 'k'", "s3://b").kind, ErrorKind::kAlreadyExists);
  EXPECT_EQ(reply_error(reply(400, "KeyTooLongError"), "put 'k'", "s3://b").kind, ErrorKind::kBadRequest);
  const std::string message = reply_error(reply(403, "AccessDenied", "bad\nline" + std::string(1'000, 'x')), "get 'k'", "s3://b").message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 600u);
}

TEST(ParseDeleteResult, NamesWhatStays) {
  EXPECT_TRUE(parse_delete_result("<DeleteResult/>", "s3://b").ok());
  EXPECT_TRUE(parse_delete_result("<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>", "s3://b").ok());
  Status failed = parse_delete_result("<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error></DeleteResult>", "s3://b");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("'a' (AccessDenied)"), std::string::npos) << failed.error().message;
  EXPECT_FALSE(parse_delete_result("<html/>", "s3://b").ok());
}

}  // namespace
}  // namespace quarry::objects::s3
