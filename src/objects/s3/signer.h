// AWS Signature Version 4 for S3: the key's path is encoded once, the payload's digest is a signed header.
// Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)"; its examples are the tests.
#pragma once

#include "objects/s3/encoding.h"
#include "objects/s3_store.h"

namespace quarry::objects::s3 {

struct RequestToSign {
  std::string method;
  std::string host;  // as the Host header has it: with the port unless it is the scheme's own
  std::string path;  // encoded
  Pairs query;       // not encoded
  Pairs headers;     // further ones, names in lower case; all are signed
  std::string payload_sha256;
};

struct SigningContext {
  const S3Credentials& credentials;
  std::string_view region;
  TimestampUs now = 0;
};

// Every header to send: those of `request` but Host, the x-amz-* ones and Authorization.
Pairs sign(const RequestToSign& request, const SigningContext& context);

// The encoded query of a URL that whoever holds it may use for `ttl_s` seconds; the payload is not signed.
std::string presign(RequestToSign request, const SigningContext& context, int64_t ttl_s);

}  // namespace quarry::objects::s3
