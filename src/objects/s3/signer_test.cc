// The examples of Amazon's documentation: "Signature Calculations for the Authorization Header", "Authenticating Requests: Using Query
// Parameters".
#include "objects/s3/signer.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace quarry::objects::s3 {
namespace {

const S3Credentials kCredentials{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", ""};
constexpr const char* kHost = "examplebucket.s3.amazonaws.com";

SigningContext context() { return {kCredentials, "us-east-1", parse_timestamp("2013-05-24T00:00:00Z").value()}; }

std::string value_of(const Pairs& headers, std::string_view name) {
  for (const auto& [known, value] : headers)
    if (known == name) return value;
  return "";
}

std::string signature_of(const RequestToSign& request) {
  const std::string header = value_of(sign(request, context()), "authorization");
  return header.substr(header.rfind('=') + 1);
}

TEST(Signer, GetOfARange) {
  const RequestToSign request{"GET", kHost, "/test.txt", {}, {{"range", "bytes=0-9"}}, sha256_hex("")};
  EXPECT_EQ(value_of(sign(request, context()), "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(Signer, PutOfAKeyThatNeedsEncoding) {
  const RequestToSign request{"PUT",
                              kHost,
                              uri_encode("/test$file.text", true),
                              {},
                              {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                              sha256_hex("Welcome to Amazon S3.")};
  EXPECT_EQ(signature_of(request), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(Signer, QueriesAreSortedAndEncoded) {
  EXPECT_EQ(signature_of({"GET", kHost, "/", {{"lifecycle", ""}}, {}, sha256_hex("")}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature_of({"GET", kHost, "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, sha256_hex("")}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(Signer, PresignedUrl) {
  const std::string query = presign({.method = "GET", .host = kHost, .path = "/test.txt"}, context(), 86'400);
  EXPECT_EQ(query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(Signer, ASessionTokenIsSentAndSigned) {
  const S3Credentials temporary{"ASIA", "secret", "token/with+signs", ""};
  const Pairs headers = sign({"GET", kHost, "/", {}, {}, sha256_hex("")}, {temporary, "eu-west-1", 0});
  EXPECT_EQ(value_of(headers, "x-amz-security-token"), "token/with+signs");
  EXPECT_NE(value_of(headers, "authorization").find("x-amz-security-token"), std::string::npos);
  EXPECT_NE(presign({.method = "GET", .host = kHost, .path = "/"}, {temporary, "eu-west-1", 0}, 60).find("token%2Fwith%2Bsigns"),
            std::string::npos);
}

TEST(Encoding, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(uri_encode("a/b c+d~e%\xc3\xa9"), "a%2Fb%20c%2Bd~e%25%C3%A9");
  EXPECT_EQ(uri_encode("a/b c", true), "a/b%20c");
  EXPECT_EQ(content_md5(""), "1B2M2Y8AsgTpgAmY7PhCfg==");
  EXPECT_EQ(xml_escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
}

}  // namespace
}  // namespace quarry::objects::s3
