#include "service/execution_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr int64_t kMaxOffset = 10'000;
constexpr size_t kSignatureChars = 16;
constexpr size_t kDefaultLimit = 10;

// Grammar of a cursor: hex of the signature's first 8 bytes, then "{method}:{offset}:{expires, seconds}". Signed together with the subject.
std::string sign(const Dependencies& deps, std::string_view subject, std::string_view text) {
  return hmac_sha256_hex(deps.signing_secret, fmt::format("cursor\n{}\n{}", subject, text)).substr(0, kSignatureChars);
}

std::string make_cursor(const Dependencies& deps, std::string_view subject, const Window& window, size_t offset) {
  int64_t expires = window.method == "scroll" ? deps.clock->now_us() / 1'000'000 + window.scroll_ttl_seconds : 0;
  std::string text = fmt::format("{}:{}:{}", window.method, offset, expires);
  return sign(deps, subject, text) + text;
}

bool read_number(std::string_view text, int64_t& out) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

Status follow_cursor(const Dependencies& deps, std::string_view subject, std::string_view cursor, Window& window) {
  Error refused = bad_request("the cursor is not one that this retriever returned");
  if (cursor.size() <= kSignatureChars) return refused;
  std::string_view text = cursor.substr(kSignatureChars);
  if (!equal_secrets(cursor.substr(0, kSignatureChars), sign(deps, subject, text))) return refused;
  size_t first = text.find(':'), last = text.rfind(':');
  int64_t offset = 0, expires = 0;
  if (first == last || !read_number(text.substr(first + 1, last - first - 1), offset) || !read_number(text.substr(last + 1), expires))
    return refused;
  if (expires > 0 && expires < deps.clock->now_us() / 1'000'000)
    return bad_request("the scroll has expired; begin again without scroll_id");
  window.offset = static_cast<size_t>(offset);
  return Ok{};
}

const json::value* find_parameter(const Request& request, std::string_view name) {
  const json::value* value = request.object().if_contains(name);
  return value ? value : request.query.if_contains(name);
}

Result<std::optional<int64_t>> bounded(const json::object& from, std::string_view name, int64_t most) {
  const json::value* value = from.if_contains(name);
  if (!value || value->is_null()) return std::optional<int64_t>();
  auto number = integer_value(*value);
  if (!number || *number < 1 || *number > most)
    return validation_error("value_error", {"body", "pagination", name}, fmt::format("{} is a whole number from 1 to {}", name, most));
  return number;
}

std::string method_of(const json::object& p) {
  if (auto given = string_member(p, "method"); !given.empty()) return std::string(given);
  if (p.contains("scroll_id") || p.contains("scroll_ttl")) return "scroll";
  if (p.contains("after")) return "keyset";
  if (p.contains("page_number") || p.contains("page_size")) return "offset";
  return "cursor";
}

Result<Window> read_pagination(const json::object& p, const Dependencies& deps, std::string_view subject) {
  Window window;
  window.method = method_of(p);
  bool scroll = window.method == "scroll";
  QUARRY_ASSIGN_OR_RETURN(auto limit, bounded(p, window.method == "offset" ? "page_size" : "limit", scroll ? 1'000 : 500));
  window.limit = static_cast<size_t>(limit.value_or(scroll ? 100 : static_cast<int64_t>(kDefaultLimit)));
  if (window.method == "offset") {
    QUARRY_ASSIGN_OR_RETURN(auto page, bounded(p, "page_number", kMaxOffset / static_cast<int64_t>(window.limit) + 1));
    window.offset = static_cast<size_t>(page.value_or(1) - 1) * window.limit;
  } else if (window.method == "cursor") {
    if (auto cursor = string_member(p, "cursor"); !cursor.empty()) QUARRY_RETURN_IF_ERROR(follow_cursor(deps, subject, cursor, window));
  } else if (scroll) {
    QUARRY_ASSIGN_OR_RETURN(auto ttl, bounded(p, "scroll_ttl", 3'600));
    window.scroll_ttl_seconds = ttl.value_or(300);
    if (auto id = string_member(p, "scroll_id"); !id.empty()) QUARRY_RETURN_IF_ERROR(follow_cursor(deps, subject, id, window));
  } else if (window.method == "keyset") {
    const json::object* after = object_member(p, "after");
    if (after) window.after_document = string_member(*after, "document_id");
    if (after && window.after_document.empty())
      return validation_error("missing", {"body", "pagination", "after", "document_id"},
                              "after is the `next_after` of the page before: {document_id, score}");
  } else {
    return validation_error("enum", {"body", "pagination", "method"}, "method is one of offset, cursor, keyset, scroll");
  }
  return window;
}

// limit, offset, page, page_size and cursor beside the inputs.
Result<Window> read_plain(const Request& request, const Dependencies& deps, std::string_view subject) {
  Window window;
  const json::value* limit = find_parameter(request, "limit");
  if (!limit) limit = find_parameter(request, "page_size");
  if (!limit)
    if (const json::object* settings = object_member(request.object(), "settings")) limit = settings->if_contains("limit");
  if (limit) {
    int64_t number = integer_value(*limit).value_or(0);
    if (number < 1 || number > 500) return validation_error("value_error", {"body", "limit"}, "limit is a whole number from 1 to 500");
    window.limit = static_cast<size_t>(number);
  }
  if (const json::value* cursor = find_parameter(request, "cursor"); cursor && cursor->is_string() && !cursor->get_string().empty()) {
    window.method = "cursor";
    if (window.limit == 0) window.limit = kDefaultLimit;
    QUARRY_RETURN_IF_ERROR(follow_cursor(deps, subject, cursor->get_string(), window));
    return window;
  }
  if (const json::value* offset = find_parameter(request, "offset")) {
    int64_t number = integer_value(*offset).value_or(-1);
    if (number < 0 || number > kMaxOffset)
      return validation_error("value_error", {"body", "offset"}, "offset is a whole number from 0 to 10,000");
    window.offset = static_cast<size_t>(number);
  } else if (const json::value* page = find_parameter(request, "page")) {
    int64_t number = integer_value(*page).value_or(0);
    if (window.limit == 0) window.limit = kDefaultLimit;
    const int64_t most = kMaxOffset / static_cast<int64_t>(window.limit) + 1;
    if (number < 1 || number > most)
      return validation_error("value_error", {"body", "page"}, fmt::format("page is a whole number from 1 to {} at this page size", most));
    window.offset = static_cast<size_t>(number - 1) * window.limit;
  }
  return window;
}

}  // namespace

Result<Window> read_window(const Request& request, const Dependencies& deps, std::string_view subject) {
  if (const json::object* pagination = object_member(request.object(), "pagination")) return read_pagination(*pagination, deps, subject);
  return read_plain(request, deps, subject);
}

void apply_window(const Window& window, retrieval::ExecuteOptions& options) {
  options.offset = window.offset;
  options.limit = window.limit;
  options.after_document_id = window.after_document;
}

json::object show_window(const Window& window, const retrieval::ExecutionResult& result, const Dependencies& deps,
                         std::string_view subject) {
  size_t returned = result.results.size(), next = result.offset + returned;
  json::object out{{"method", window.method}, {"offset", result.offset},     {"returned", returned},
                   {"total", result.total},   {"has_more", result.has_more}, {"has_next", result.has_more}};
  if (window.limit > 0) out["limit"] = window.limit;
  if (window.method == "offset" && window.limit > 0) {
    out["page_size"] = window.limit;
    out["page_number"] = result.offset / window.limit + 1;
    out["total_pages"] = (result.total + window.limit - 1) / window.limit;
  }
  if (!result.has_more || returned == 0) return out;
  out["next_offset"] = next;
  if (window.method == "scroll")
    out["scroll_id"] = make_cursor(deps, subject, window, next);
  else if (window.method == "keyset") {
    const json::object& last = result.results.back();
    json::object after;
    copy_members(after, last, {"document_id", "score"});
    out["next_after"] = std::move(after);
  } else {
    Window by_cursor = window;
    by_cursor.method = "cursor";
    out["next_cursor"] = make_cursor(deps, subject, by_cursor, next);
  }
  return out;
}

}  // namespace quarry::service
