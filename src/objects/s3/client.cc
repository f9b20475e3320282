#include "objects/s3/client.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "objects/s3/signer.h"

namespace quarry::objects::s3 {
namespace {

constexpr int64_t kMaxPresignedSeconds = 7 * 24 * 3'600;

bool uses_virtual_host(const S3Options& options) {
  if (options.addressing != S3Addressing::kAuto) return options.addressing == S3Addressing::kVirtual;
  return options.endpoint.ends_with(".amazonaws.com") && options.bucket.find('.') == std::string::npos;
}

// What HTTP leaves out of a Host header must be left out of what is signed.
std::string host_of(const std::string& endpoint) {
  std::string host = endpoint.substr(endpoint.find("://") + 3);
  const std::string_view own_port = endpoint.starts_with("https:") ? ":443" : ":80";
  if (host.ends_with(own_port)) host.erase(host.size() - own_port.size());
  return host;
}

}  // namespace

Client::Client(S3Options options)
    : options_(std::move(options)),
      is_virtual_(uses_virtual_host(options_)),
      root_(options_.prefix.empty() ? "" : options_.prefix + "/"),
      place_(fmt::format("s3://{}{}{}", options_.bucket, options_.prefix.empty() ? "" : "/", options_.prefix)),
      scheme_(options_.endpoint.substr(0, options_.endpoint.find("://"))),
      host_((is_virtual_ ? options_.bucket + "." : "") + host_of(options_.endpoint)),
      transport_({options_.connections, options_.timeout_ms, options_.ca_file}) {}

std::string Client::path_of(std::string_view key) const {
  std::string path = is_virtual_ ? "" : "/" + uri_encode(options_.bucket);
  if (!key.empty()) return path + "/" + uri_encode(root_ + std::string(key), true);
  return path.empty() ? "/" : path;
}

Result<HttpReply> Client::send(const Call& call) {
  RequestToSign request{call.method, host_, path_of(call.key), call.query, call.headers, sha256_hex(call.body)};
  const SigningContext context{options_.credentials, options_.region, options_.clock->now_us()};
  HttpRequest http;
  http.method = call.method;
  http.url = fmt::format("{}://{}{}", scheme_, host_, request.path);
  if (!call.query.empty()) http.url += "?" + encode_query(call.query);
  http.headers = sign(request, context);
  http.body = call.body;
  http.max_reply_bytes = call.max_reply_bytes;
  return transport_.send(http);
}

std::string Client::presigned_url(const std::string& method, std::string_view key, int64_t ttl_s) const {
  RequestToSign request{.method = method, .host = host_, .path = path_of(key)};
  const SigningContext context{options_.credentials, options_.region, options_.clock->now_us()};
  const std::string query = presign(request, context, std::clamp<int64_t>(ttl_s, 1, kMaxPresignedSeconds));
  return fmt::format("{}://{}{}?{}", scheme_, host_, request.path, query);
}

}  // namespace quarry::objects::s3
