#include "service/paging.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr int64_t kMaxLimit = 1'000, kMaxOffset = 10'000;
constexpr uint64_t kCursorSeed = 0x70616765;  // tells our cursors from text that happens to be base64

struct Found {
  const json::value* value = nullptr;
  std::string_view where;  // "body" or "query"
  std::string_view name;
};

// The body wins over the query; of the names, the first that is there.
Found find_parameter(const Request& request, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const json::value* v = request.object().if_contains(name); v && !v->is_null()) return {v, "body", name};
  for (std::string_view name : names)
    if (const json::value* v = request.query.if_contains(name); v && !v->is_null()) return {v, "query", name};
  return {};
}

Result<std::optional<int64_t>> integer_parameter(const Request& request, std::initializer_list<std::string_view> names, int64_t least,
                                                 int64_t most) {
  Found found = find_parameter(request, names);
  if (!found.value) return std::optional<int64_t>();
  auto number = integer_value(*found.value);
  if (!number) return validation_error("int_type", {found.where, found.name}, fmt::format("{} must be a whole number", found.name));
  if (*number < least)
    return validation_error("greater_than_equal", {found.where, found.name}, fmt::format("{} must be at least {}", found.name, least));
  if (*number > most)
    return validation_error("less_than_equal", {found.where, found.name},
                            fmt::format("{} must be at most {}; use the cursor to go further", found.name, most));
  return std::optional<int64_t>(*number);
}

std::string encode_cursor(std::string_view place) {
  std::string text = base64_encode(fmt::format("{:016x}{}", hash64(place, kCursorSeed), place));
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

Result<std::string> decode_cursor(const Found& cursor) {
  Error refused = validation_error("cursor", {cursor.where, cursor.name}, "the cursor is not one that a list of this server returned");
  if (!cursor.value->is_string()) return refused;
  std::string text(cursor.value->get_string()), bytes;
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  if (!base64_decode(text, bytes) || bytes.size() <= 16) return refused;
  std::string place = bytes.substr(16);
  if (bytes.substr(0, 16) != fmt::format("{:016x}", hash64(place, kCursorSeed))) return refused;
  return place;
}

}  // namespace

Result<PageRequest> parse_page(const Request& request, size_t default_limit) {
  PageRequest page;
  QUARRY_ASSIGN_OR_RETURN(auto limit, integer_parameter(request, {"limit", "page_size"}, 1, kMaxLimit));
  page.limit = static_cast<size_t>(limit.value_or(static_cast<int64_t>(default_limit)));
  QUARRY_ASSIGN_OR_RETURN(auto offset, integer_parameter(request, {"offset"}, 0, kMaxOffset));
  const auto most_pages = kMaxOffset / static_cast<int64_t>(page.limit) + 1;
  QUARRY_ASSIGN_OR_RETURN(auto number, integer_parameter(request, {"page"}, 1, most_pages));
  page.offset = offset ? static_cast<size_t>(*offset) : number ? static_cast<size_t>(*number - 1) * page.limit : 0;
  Found total = find_parameter(request, {"include_total"});
  page.include_total = !total.value || !total.value->is_bool() || total.value->get_bool();
  Found cursor = find_parameter(request, {"cursor", "next_cursor", "after"});
  if (cursor.value && !(cursor.value->is_string() && cursor.value->get_string().empty())) {
    QUARRY_ASSIGN_OR_RETURN(page.after, decode_cursor(cursor));
    page.offset = 0;
  }
  return page;
}

json::object pagination(const PageRequest& page, size_t returned, bool has_more, std::optional<uint64_t> total, std::string_view next) {
  json::object out;
  out["page"] = page.offset / page.limit + 1;
  out["page_size"] = page.limit;
  if (total) {
    out["total"] = *total;
    out["total_pages"] = (*total + page.limit - 1) / page.limit;
  }
  bool by_offset = page.after.empty();
  const size_t next_offset = page.offset + returned;
  if (has_more && by_offset && next_offset <= kMaxOffset) out["next_page"] = fmt::format("?limit={}&offset={}", page.limit, next_offset);
  if (by_offset && page.offset > 0)
    out["previous_page"] = fmt::format("?limit={}&offset={}", page.limit, page.offset - std::min(page.offset, page.limit));
  if (has_more && !next.empty()) out["next_cursor"] = encode_cursor(next);
  return out;
}

}  // namespace quarry::service
