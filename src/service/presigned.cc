// GET and PUT of files by presigned URL: no API key, a signature that runs out.
#include <fmt/format.h>

#include <charconv>

#include "base/hash.h"
#include "base/rng.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/uploads.h"

namespace quarry::service {
namespace {

constexpr uint64_t kSniffBytes = 64 << 10;  // of a file, to tell its type

// Bytes of others are served from the API's own origin: nothing in them may run there.
void add_safety_headers(Reply& reply) {
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  reply.headers.emplace_back("Content-Security-Policy",
                             "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'");
  reply.headers.emplace_back("Accept-Ranges", "bytes");
}

struct ByteRange {
  uint64_t offset = 0, length = 0;
};

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t out = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(out) : std::nullopt;
}

// "bytes=a-b", "bytes=a-", "bytes=-n" (RFC 9110, one range); kRangeNotSatisfiable where the file has none of it. Anything else is answered
// with the whole file, as the RFC allows.
Result<std::optional<ByteRange>> parse_range(std::string_view header, uint64_t size) {
  constexpr std::optional<ByteRange> whole;
  size_t dash = header.find('-');
  if (!header.starts_with("bytes=") || dash == std::string_view::npos) return whole;
  std::string_view from = header.substr(6, dash - 6), to = header.substr(dash + 1);
  auto first = parse_number(from), last = parse_number(to);
  bool malformed = (!first && !from.empty()) || (!last && !to.empty()) || (!first && !last) || (first && last && *last < *first);
  if (malformed) return whole;
  uint64_t begin = first ? *first : size - std::min(*last, size);
  uint64_t end = first && last && *last < size ? *last + 1 : size;
  if (begin < end) return std::optional(ByteRange{begin, end - begin});
  return Error{
      ErrorKind::kRangeNotSatisfiable, fmt::format("the file has {} bytes; none of them is in the range", size), {{"size_bytes", size}}};
}

Result<std::string> checked_key(const Request& request, const Dependencies& deps, std::string_view method) {
  std::string key(string_member(request.query, "key"));
  QUARRY_RETURN_IF_ERROR(
      check_presigned(deps, method, key, string_member(request.query, "expires"), string_member(request.query, "signature")));
  QUARRY_RETURN_IF_ERROR(objects::validate_key(key));
  return key;
}

Result<Reply> get_presigned(const RequestContext&, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(std::string key, checked_key(request, deps, "GET"));
  auto info = deps.store->head(key);
  if (!info.ok() && info.error().kind == ErrorKind::kNotFound) return not_found("the file of this URL does not exist any more");
  QUARRY_RETURN_IF_ERROR(info);
  auto header = request.headers.find("range");
  QUARRY_ASSIGN_OR_RETURN(auto part, parse_range(header == request.headers.end() ? std::string_view() : header->second, info->size));
  const ByteRange range = part.value_or(ByteRange{0, info->size});
  Reply reply;
  if (part) {
    reply.status = 206;
    reply.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.length - 1, info->size));
  }
  QUARRY_ASSIGN_OR_RETURN(std::string beginning, deps.store->get_range(key, 0, kSniffBytes));
  reply.content_type = extract::detect_mime_type(beginning, "");
  reply.source.size = range.length;
  reply.source.read = [store = deps.store, key, range](uint64_t offset, uint64_t length) {
    return store->get_range(key, range.offset + offset, length);
  };
  if (reply.content_type.starts_with("text/")) reply.content_type += "; charset=utf-8";
  add_safety_headers(reply);
  return reply;
}

// Strangers know this path: bytes are taken from those only whose URL this server signed.
Status admit_put(const Request& request, const Dependencies& deps) {
  auto key = checked_key(request, deps, "PUT");
  return key.ok() ? Status(Ok{}) : Status(std::move(key).error());
}

// The upload that a key belongs to: ".../blobs/{bucket_id}/{upload_id}/data".
std::string upload_of(std::string_view key) {
  size_t last = key.rfind('/');
  size_t before = last == std::string_view::npos || last == 0 ? std::string_view::npos : key.rfind('/', last - 1);
  return before == std::string_view::npos ? "" : std::string(key.substr(before + 1, last - before - 1));
}

Status check_bytes(const catalog::Resource& upload, const std::string& bytes, const std::string& digest, const Dependencies& deps) {
  if (bytes.empty()) return validation_error("empty", {"body"}, "the file is empty");
  if (bytes.size() > deps.limits.max_upload_bytes)
    return Error{ErrorKind::kPayloadTooLarge, fmt::format("a file may have at most {} bytes", deps.limits.max_upload_bytes)};
  auto announced = integer_member(upload.body, "file_size_bytes");
  if (announced && static_cast<uint64_t>(*announced) != bytes.size())
    return validation_error("file_size_bytes", {"body"}, fmt::format("{} bytes were announced, {} arrived", *announced, bytes.size()));
  std::string_view hash = string_member(upload.body, "file_hash");
  if (!hash.empty() && hash != digest)
    return validation_error("file_hash", {"body"}, fmt::format("the file has SHA-256 {}, not the one announced", digest));
  return Ok{};
}

Result<Reply> put_presigned(const RequestContext&, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(std::string key, checked_key(request, deps, "PUT"));
  std::string upload_id = upload_of(key), digest = sha256_hex(request.raw_body);
  auto find = [&](catalog::Session& session) -> Result<catalog::Resource> {
    auto upload = session.get_any(catalog::kind::kUpload, upload_id);
    bool absent = upload.ok() ? string_member(upload->body, "s3_key") != key : upload.error().kind == ErrorKind::kNotFound;
    if (absent) return not_found("the upload of this URL does not exist any more");
    if (upload.ok() && string_member(upload->body, "status") == to_string(TaskStatus::kCompleted))
      return Error{ErrorKind::kConflict, fmt::format("upload '{}' was confirmed already; make a new one", upload_id)};
    return upload;
  };
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto upload, find(session));
    return check_bytes(upload, request.raw_body, digest, deps);
  }));
  // Each PUT goes to a key of its own, so that one which loses against a confirmation changes nothing that an object refers to.
  std::string stored_key = fmt::format("{}-{}", key, secure_token(16)), obsolete, etag = digest.substr(0, 32);
  QUARRY_RETURN_IF_ERROR(deps.store->put(stored_key, request.raw_body));
  auto recorded = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto upload, find(session));
    obsolete = uploaded_key(upload.body);
    upload.body["etag"] = etag;
    upload.body[pipeline::kInternalMember] =
        json::object{{"key", stored_key}, {"received_bytes", request.raw_body.size()}, {"received_hash", digest}};
    upload.updated_at = deps.clock->now_us();
    return session.replace(upload);
  });
  const std::string& useless = recorded.ok() ? obsolete : stored_key;
  if (!useless.empty()) (void)deps.store->remove(useless);
  QUARRY_RETURN_IF_ERROR(recorded);
  Reply reply(json::object{{"upload_id", upload_id}, {"etag", etag}, {"file_size_bytes", request.raw_body.size()}});
  reply.headers.emplace_back("ETag", fmt::format("\"{}\"", etag));
  return reply;
}

}  // namespace

void bind_presigned(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_presigned", get_presigned);
  bind_operation(table, deps, "put_presigned", put_presigned);
  table.bind_gate("put_presigned", [&deps](const RequestContext&, const Request& request) { return admit_put(request, deps); });
}

}  // namespace quarry::service
