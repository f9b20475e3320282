#include "objects/s3_store.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "objects/s3/client.h"
#include "objects/s3/multipart.h"
#include "objects/s3/replies.h"

namespace quarry::objects {
namespace {

using namespace s3;

constexpr size_t kListPage = 1'000;     // S3's limit
constexpr size_t kDeleteBatch = 1'000;  // the same
constexpr int kMaxFolderRaces = 8;
constexpr uint64_t kMaxOffset = INT64_MAX - 1;
constexpr uint64_t kLeastPartBytes = 5ull << 20;
constexpr uint64_t kMaxSinglePut = 5ull << 30;

// Lists are XML, which has no way to write U+FFFE and U+FFFF: one such key would make every list that holds it unreadable.
Status check_key(std::string_view key) {
  QUARRY_RETURN_IF_ERROR(validate_key(key));
  if (key.find("\xef\xbf\xbe") == std::string_view::npos && key.find("\xef\xbf\xbf") == std::string_view::npos) return Ok{};
  return bad_request("an object key holds U+FFFE or U+FFFF, which object stores can't list");
}

// The longest beginning of `text` that is UTF-8 without control characters.
std::string_view sendable_prefix(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x20 && text[end] != 0x7f) ++end;
  text = text.substr(0, end);
  for (int i = 0; i < 3 && !text.empty() && !is_valid_utf8(text); ++i) text.remove_suffix(1);
  return is_valid_utf8(text) ? text : std::string_view();
}

// Whether a key may begin with `prefix`, which may end inside a character.
bool may_begin_a_key(std::string_view prefix) {
  if (sendable_prefix(prefix).size() + 3 < prefix.size()) return false;
  const size_t slash = prefix.rfind('/');
  return slash == std::string_view::npos || validate_key(prefix.substr(0, slash)).ok();
}

class S3Store : public ObjectStore {
 public:
  explicit S3Store(S3Options options) : client_(std::move(options)) {}

  Status put(std::string_view key, std::string_view bytes) override {
    QUARRY_RETURN_IF_ERROR(check_key(key));
    if (bytes.size() > client_.options().multipart_bytes) return put_in_parts(client_, key, bytes);
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, send_put({.method = "PUT", .key = key, .body = bytes}));
    return reply.status == 200 ? Status(Ok{}) : error_of(reply, "put", key);
  }

  Status put_if_absent(std::string_view key, std::string_view bytes) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectInfo> head(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override;

  Status remove(std::string_view key) override {
    QUARRY_RETURN_IF_ERROR(check_key(key));
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send({.method = "DELETE", .key = key}));
    if (reply.status == 204 || reply.status == 200) return Ok{};
    Error error = error_of(reply, "remove", key);
    return error.kind == ErrorKind::kNotFound ? Status(Ok{}) : error;
  }

  Status remove_many(std::span<const std::string> keys) override;

  std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const override {
    return client_.presigned_url("GET", key, ttl_s);
  }
  std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const override {
    return client_.presigned_url("PUT", key, ttl_s);
  }
  std::string describe() const override { return client_.place(); }

 private:
  Error error_of(const HttpReply& reply, std::string_view verb, std::string_view key) const {
    return reply_error(reply, fmt::format("{} '{}'", verb, key), client_.place());
  }
  Result<HttpReply> send_put(const Call& call);
  Status remove_batch(std::span<const std::string> keys);

  Client client_;
};

// A gateway over a file system makes folders for keys and removes them with their last object; a put that meets such a removal is told that
// the key is a folder (versitygw 1.8), though a moment later it is not.
Result<HttpReply> S3Store::send_put(const Call& call) {
  for (int i = 1;; ++i) {
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(call));
    if (i == kMaxFolderRaces || !is_folder_conflict(reply)) return reply;
  }
}

Status S3Store::put_if_absent(std::string_view key, std::string_view bytes) {
  QUARRY_RETURN_IF_ERROR(check_key(key));
  if (bytes.size() > kMaxSinglePut)
    return bad_request(fmt::format("put_if_absent '{}': {} bytes are more than one request can carry", key, bytes.size()));
  QUARRY_ASSIGN_OR_RETURN(HttpReply reply, send_put({.method = "PUT", .key = key, .headers = {{"if-none-match", "*"}}, .body = bytes}));
  if (reply.status == 200) return Ok{};
  // Sent twice: what stands in the way may be what the first sending put.
  const bool is_unclear = reply.status == 412 && reply.sent_twice;
  if (!is_unclear) return error_of(reply, "put_if_absent", key);
  QUARRY_ASSIGN_OR_RETURN(std::string stored, get(key));
  return stored == bytes ? Status(Ok{}) : error_of(reply, "put_if_absent", key);
}

Result<std::string> S3Store::get(std::string_view key) {
  QUARRY_RETURN_IF_ERROR(check_key(key));
  QUARRY_ASSIGN_OR_RETURN(HttpReply reply,
                          client_.send({.method = "GET", .key = key, .max_reply_bytes = client_.options().max_object_bytes}));
  if (reply.status != 200) return error_of(reply, "get", key);
  return std::move(reply.body);
}

// The offset that a Content-Range header begins with ("bytes 10-19/100"); nullopt if it is none.
std::optional<uint64_t> range_start(std::string_view header) {
  if (!header.starts_with("bytes ")) return std::nullopt;
  header.remove_prefix(6);
  uint64_t start = 0;
  const auto [end, ec] = std::from_chars(header.data(), header.data() + header.size(), start);
  return ec == std::errc() && end < header.data() + header.size() && *end == '-' ? std::optional(start) : std::nullopt;
}

Result<std::string> S3Store::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  if (offset > kMaxOffset || length == 0) {
    QUARRY_RETURN_IF_ERROR(head(key));
    return std::string();
  }
  QUARRY_RETURN_IF_ERROR(check_key(key));
  const uint64_t last = offset + std::min(length - 1, kMaxOffset - offset);
  Call call{.method = "GET", .key = key, .headers = {{"range", fmt::format("bytes={}-{}", offset, last)}}};
  call.max_reply_bytes = client_.options().max_object_bytes;
  QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(call));
  if (reply.status == 416) return std::string();
  if (reply.status == 200)
    return offset >= reply.body.size() ? std::string() : reply.body.substr(offset, length);  // the range was not heeded
  if (reply.status != 206) return error_of(reply, "get_range", key);
  if (range_start(reply.header("content-range")) != offset || reply.body.size() > length)
    return storage_error(
        fmt::format("get_range '{}': {} answered with another range than bytes {} to {}", key, client_.place(), offset, last));
  return std::move(reply.body);
}

Result<ObjectInfo> S3Store::head(std::string_view key) {
  QUARRY_RETURN_IF_ERROR(check_key(key));
  QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send({.method = "HEAD", .key = key}));
  if (reply.status != 200) return error_of(reply, "head", key);
  ObjectInfo info{.key = std::string(key)};
  const std::string_view size = reply.header("content-length");
  const auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), info.size);
  const time_t modified = curl_getdate(std::string(reply.header("last-modified")).c_str(), nullptr);
  if (ec != std::errc() || end != size.data() + size.size() || modified < 0)
    return storage_error(fmt::format("head '{}': {} gave no size or no time", key, client_.place()));
  info.modified_at = TimestampUs{modified} * 1'000'000;
  return info;
}

// Both strings may be any bytes; what can't be sent is shortened, and the replies are filtered.
Result<std::vector<ObjectInfo>> S3Store::list(std::string_view prefix, std::string_view after, size_t limit) {
  std::vector<ObjectInfo> found;
  const std::string_view sent_prefix = sendable_prefix(prefix), sent_after = sendable_prefix(after);
  if (limit == 0 || !may_begin_a_key(prefix)) return found;
  Call call{.method = "GET"};
  call.query = {{"list-type", "2"}, {"max-keys", std::to_string(std::min(limit, kListPage))}};
  call.query.emplace_back("prefix", client_.root() + std::string(sent_prefix));
  if (!sent_after.empty()) call.query.emplace_back("start-after", client_.root() + std::string(sent_after));
  call.query.emplace_back("continuation-token", "");
  std::string& continuation = call.query.back().second;
  for (;;) {
    Call page_call = call;
    if (continuation.empty()) page_call.query.pop_back();
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(page_call));
    if (reply.status != 200) return error_of(reply, "list", prefix);
    auto page = parse_list(reply.body, client_.root());
    if (!page.ok()) return std::move(page).error().with_context(fmt::format("list '{}' in {}", clip(prefix, 200), client_.place()));
    for (ObjectInfo& info : page->objects)
      if (found.size() < limit && info.key > after && info.key.starts_with(prefix)) found.push_back(std::move(info));
    if (found.size() == limit || page->continuation.empty()) return found;
    if (page->continuation == continuation)
      return storage_error(fmt::format("list '{}': {} repeats a page", clip(prefix, 200), client_.place()));
    continuation = std::move(page->continuation);
  }
}

Status S3Store::remove_many(std::span<const std::string> keys) {
  for (const std::string& key : keys) QUARRY_RETURN_IF_ERROR(check_key(key));
  for (size_t begin = 0; begin < keys.size(); begin += kDeleteBatch)
    QUARRY_RETURN_IF_ERROR(remove_batch(keys.subspan(begin, std::min(kDeleteBatch, keys.size() - begin))));
  return Ok{};
}

Status S3Store::remove_batch(std::span<const std::string> keys) {
  std::string body = "<Delete><Quiet>true</Quiet>";
  for (const std::string& key : keys) body += fmt::format("<Object><Key>{}</Key></Object>", xml_escape(client_.root() + key));
  body += "</Delete>";
  Call call{.method = "POST", .query = {{"delete", ""}}, .headers = {{"content-md5", content_md5(body)}}, .body = body};
  QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(call));
  if (reply.status == 501) return ObjectStore::remove_many(keys);  // a store without batch delete
  if (reply.status != 200) return error_of(reply, "remove", keys.front());
  return parse_delete_result(reply.body, client_.place());
}

Status check_endpoint(const std::string& endpoint) {
  const size_t scheme = endpoint.starts_with("https://") ? 8 : endpoint.starts_with("http://") ? 7 : 0;
  const std::string_view host = std::string_view(endpoint).substr(scheme);
  if (scheme == 0 || host.empty() || host.find_first_of("/?#@ \\\r\n") != std::string_view::npos)
    return bad_request(fmt::format("objects.endpoint: '{}' is not http://HOST[:PORT] or https://HOST[:PORT]", endpoint));
  return Ok{};
}

Status check_bucket(const std::string& bucket) {
  const bool is_sound = bucket.size() >= 3 && bucket.size() <= 63 && std::all_of(bucket.begin(), bucket.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
                        });
  if (is_sound) return Ok{};
  return bad_request(fmt::format("'{}' is not a bucket's name: 3 to 63 of a-z 0-9 - .", clip(bucket, 100)));
}

bool is_header_safe(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Status check_options(const S3Options& options) {
  QUARRY_RETURN_IF_ERROR(check_bucket(options.bucket));
  if (!options.prefix.empty()) QUARRY_RETURN_IF_ERROR(check_key(options.prefix));
  if (options.prefix.size() > 200) return bad_request("the prefix in objects.url has more than 200 bytes");
  QUARRY_RETURN_IF_ERROR(check_endpoint(options.endpoint));
  const S3Credentials& credentials = options.credentials;
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty())
    return bad_request(fmt::format("s3://{} needs credentials: an access key id and a secret access key", options.bucket));
  const bool is_clean =
      is_header_safe(credentials.access_key_id) && is_header_safe(credentials.session_token) && is_header_safe(options.region);
  if (!is_clean || options.region.empty())
    return bad_request("objects.region, access key id and session token are printable ASCII without spaces");
  if (options.connections == 0 || options.connections > 1'024) return bad_request("objects.connections is not 1 to 1024");
  if (options.timeout_ms <= 0) return bad_request("objects.timeout_ms is not above 0");
  if (options.part_bytes < kLeastPartBytes || options.multipart_bytes > kMaxSinglePut)
    return bad_request("parts have at least 5 MiB, and what is over 5 GiB must be sent in parts");
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_s3_store(S3Options options) {
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  QUARRY_RETURN_IF_ERROR(check_options(options));
  return std::unique_ptr<ObjectStore>(std::make_unique<S3Store>(std::move(options)));
}

}  // namespace quarry::objects
