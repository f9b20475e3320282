#include "objects/s3/signer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace quarry::objects::s3 {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string_view bytes_of(const Sha256& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

// "20130524T000000Z"
std::string compact_time(TimestampUs now) {
  std::string out;
  for (char c : format_timestamp(now).substr(0, 19))
    if (c != '-' && c != ':') out.push_back(c);
  return out + "Z";
}

struct Scope {
  std::string time;
  std::string text;  // "20130524/us-east-1/s3/aws4_request"
};

Scope make_scope(const SigningContext& context) {
  std::string time = compact_time(context.now);
  return {time, fmt::format("{}/{}/s3/aws4_request", time.substr(0, 8), context.region)};
}

std::string join_names(const Pairs& sorted_headers) {
  std::string out;
  for (const auto& [name, value] : sorted_headers) out.append(out.empty() ? "" : ";").append(name);
  return out;
}

std::string canonical_request(const RequestToSign& request, const Pairs& sorted_headers) {
  std::string out = fmt::format("{}\n{}\n{}\n", request.method, request.path, encode_query(request.query));
  for (const auto& [name, value] : sorted_headers) out.append(name).append(":").append(value).append("\n");
  return fmt::format("{}\n{}\n{}", out, join_names(sorted_headers), request.payload_sha256);
}

std::string signature(const std::string& canonical, const Scope& scope, const SigningContext& context) {
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, scope.time, scope.text, sha256_hex(canonical));
  Sha256 key = hmac_sha256("AWS4" + context.credentials.secret_access_key, scope.time.substr(0, 8));
  key = hmac_sha256(bytes_of(key), context.region);
  key = hmac_sha256(bytes_of(key), "s3");
  key = hmac_sha256(bytes_of(key), "aws4_request");
  return hmac_sha256_hex(bytes_of(key), to_sign);
}

}  // namespace

Pairs sign(const RequestToSign& request, const SigningContext& context) {
  const Scope scope = make_scope(context);
  Pairs headers = request.headers;
  headers.emplace_back("x-amz-content-sha256", request.payload_sha256);
  headers.emplace_back("x-amz-date", scope.time);
  if (!context.credentials.session_token.empty()) headers.emplace_back("x-amz-security-token", context.credentials.session_token);
  Pairs with_host = headers;
  with_host.emplace_back("host", request.host);
  std::sort(with_host.begin(), with_host.end());
  headers.emplace_back("authorization",
                       fmt::format("{} Credential={}/{},SignedHeaders={},Signature={}", kAlgorithm, context.credentials.access_key_id,
                                   scope.text, join_names(with_host), signature(canonical_request(request, with_host), scope, context)));
  return headers;
}

std::string presign(RequestToSign request, const SigningContext& context, int64_t ttl_s) {
  const Scope scope = make_scope(context);
  request.payload_sha256 = "UNSIGNED-PAYLOAD";
  request.headers = {{"host", request.host}};
  request.query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  request.query.emplace_back("X-Amz-Credential", context.credentials.access_key_id + "/" + scope.text);
  request.query.emplace_back("X-Amz-Date", scope.time);
  request.query.emplace_back("X-Amz-Expires", std::to_string(ttl_s));
  request.query.emplace_back("X-Amz-SignedHeaders", "host");
  if (!context.credentials.session_token.empty()) request.query.emplace_back("X-Amz-Security-Token", context.credentials.session_token);
  const std::string mark = signature(canonical_request(request, request.headers), scope, context);
  return fmt::format("{}&X-Amz-Signature={}", encode_query(request.query), mark);
}

}  // namespace quarry::objects::s3
