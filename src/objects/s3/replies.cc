#include "objects/s3/replies.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace quarry::objects::s3 {
namespace {

constexpr size_t kMaxQuoted = 300;  // bytes of a store's own words in a message

std::string printable(std::string_view text) {
  std::string out(clip(text, kMaxQuoted));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

struct StoreError {
  std::string code, message;
};

StoreError read_error(const HttpReply& reply) {
  auto parsed = parse_xml(reply.body);
  if (!parsed.ok() || parsed->name != "Error") return {};
  return {printable(parsed->child_text("Code")), printable(parsed->child_text("Message"))};
}

bool is_key_fault(std::string_view code) {
  static constexpr std::string_view kCodes[] = {
      "KeyTooLongError",    "InvalidObjectName",       "ExistingObjectIsDirectory",     "ExistingObjectIsObject",
      "ObjectParentIsFile", "XMinioInvalidObjectName", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject",
      "EntityTooLarge"};
  return std::find(std::begin(kCodes), std::end(kCodes), code) != std::end(kCodes);
}

bool may_pass(long status, std::string_view code) {
  return status == 409 || status == 429 || status == 408 || status >= 500 || code == "RequestTimeout" || code == "SlowDown" ||
         code == "OperationAborted" || code == "ConditionalRequestConflict";
}

std::string_view remedy(std::string_view code, long status) {
  if (code == "NoSuchBucket") return "make the bucket, or correct objects.url";
  if (code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "InvalidClientTokenId" || code == "XAdminUserNotFound")
    return "check objects.access_key_id and objects.secret_access_key, or where else the credentials come from";
  if (code == "ExpiredToken" || code == "InvalidToken") return "the session token has run out: get new credentials";
  if (code == "RequestTimeTooSkewed") return "set this machine's clock";
  if (code == "AuthorizationHeaderMalformed" || code == "PermanentRedirect" || status == 301)
    return "check objects.region and objects.endpoint";
  if (status == 403) return "the credentials may not do this: allow GetObject, PutObject, DeleteObject and ListBucket";
  return "";
}

Result<ObjectInfo> parse_object(const XmlNode& node) {
  ObjectInfo info;
  info.key = node.child_text("Key");
  const std::string_view size = node.child_text("Size");
  const auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), info.size);
  if (ec != std::errc() || end != size.data() + size.size())
    return storage_error(fmt::format("the list gives '{}' as the size of '{}'", printable(size), printable(info.key)));
  QUARRY_ASSIGN_OR_RETURN(info.modified_at, parse_timestamp(node.child_text("LastModified")));
  return info;
}

Status add_object(const XmlNode& node, std::string_view root, std::vector<ObjectInfo>& out) {
  QUARRY_ASSIGN_OR_RETURN(ObjectInfo info, parse_object(node));
  if (!info.key.starts_with(root))
    return storage_error(fmt::format("the list holds '{}', which is not below '{}'", printable(info.key), root));
  info.key.erase(0, root.size());
  if (!validate_key(info.key).ok()) return Ok{};
  if (!out.empty() && info.key <= out.back().key)
    return Error{ErrorKind::kStorage,
                 fmt::format("the store lists '{}' after '{}', not in the order of bytes: such a store can't be used", printable(info.key),
                             printable(out.back().key)),
                 {{"reason", "list_order"}}};
  out.push_back(std::move(info));
  return Ok{};
}

}  // namespace

Result<ListPage> parse_list(std::string_view body, std::string_view root) {
  QUARRY_ASSIGN_OR_RETURN(XmlNode document, parse_xml(body));
  if (document.name != "ListBucketResult") return storage_error(fmt::format("the list is a <{}>", printable(document.name)));
  ListPage page;
  for (const XmlNode& child : document.children)
    if (child.name == "Contents") QUARRY_RETURN_IF_ERROR(add_object(child, root, page.objects));
  if (document.child_text("IsTruncated") != "true") return page;
  page.continuation = document.child_text("NextContinuationToken");
  if (page.continuation.empty()) return storage_error("a part of a list names no next one");
  return page;
}

Error reply_error(const HttpReply& reply, std::string_view what, std::string_view place) {
  StoreError error = read_error(reply);
  // A reply to HEAD has no body, hence no code; other codes mean that a bucket, an upload or a user is absent.
  if (reply.status == 404 && (error.code.empty() || error.code == "NoSuchKey"))
    return not_found(fmt::format("{}: the object does not exist", what));
  if (reply.status == 412) return already_exists(fmt::format("{}: the object exists already", what));
  std::string message = fmt::format("{}: {} answered {}{}{}", what, place, reply.status, error.code.empty() ? "" : " ", error.code);
  if (!error.message.empty()) message += ": " + error.message;
  if (is_key_fault(error.code)) return bad_request(std::move(message));
  Error out = storage_error(std::move(message));
  out.details["http_status"] = reply.status;
  if (may_pass(reply.status, error.code)) return out;
  out.details["reason"] = error.code.empty() ? fmt::format("http_{}", reply.status) : error.code;
  if (std::string_view advice = remedy(error.code, reply.status); !advice.empty()) out.message += fmt::format(" ({})", advice);
  return out;
}

bool is_folder_conflict(const HttpReply& reply) { return reply.status == 409 && read_error(reply).code == "ExistingObjectIsDirectory"; }

bool is_error_body(std::string_view body) {
  auto parsed = parse_xml(body);
  return !parsed.ok() || parsed->name == "Error";
}

Status parse_delete_result(std::string_view body, std::string_view place) {
  QUARRY_ASSIGN_OR_RETURN(XmlNode document, parse_xml(body));
  std::string first;
  size_t failed = 0;
  for (const XmlNode& child : document.children) {
    if (child.name != "Error" || child.child_text("Code") == "NoSuchKey") continue;
    if (failed++ == 0) first = fmt::format("'{}' ({})", printable(child.child_text("Key")), printable(child.child_text("Code")));
  }
  if (document.name == "DeleteResult" && failed == 0) return Ok{};
  if (failed == 0) return storage_error(fmt::format("{}: the answer to a batch delete is a <{}>", place, printable(document.name)));
  return storage_error(fmt::format("{}: {} objects could not be removed, the first: {}", place, failed, first));
}

Result<std::string> parse_upload_id(std::string_view body) {
  QUARRY_ASSIGN_OR_RETURN(XmlNode document, parse_xml(body));
  std::string id(document.child_text("UploadId"));
  if (id.empty()) return storage_error("the store began a multipart upload without an id");
  return id;
}

}  // namespace quarry::objects::s3
