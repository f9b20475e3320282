#include "service/authenticator.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/ascii.h"
#include "base/hash.h"
#include "service/json_access.h"
#include "service/keys.h"

namespace quarry::service {
namespace {

Error bad_key() { return {ErrorKind::kUnauthorized, "the API key is missing or not valid; send it as 'Authorization: Bearer <key>'"}; }

constexpr int64_t kMaxRate = 1'000'000'000;  // requests per minute; more is no limit

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  authorization = trimmed(authorization, " \t");
  if (authorization.size() <= kScheme.size() || !equal_ignoring_case(authorization.substr(0, kScheme.size() - 1), "bearer")) return {};
  if (authorization[kScheme.size() - 1] != ' ') return {};
  return trimmed(authorization.substr(kScheme.size()), " \t");
}

uint8_t operation_bits(const std::vector<std::string>& operations) {
  if (operations.empty()) return kRead | kWrite | kDelete | kAdmin;
  uint8_t bits = 0;
  for (const auto& name : operations) {
    if (name == "read_data") bits |= kRead;
    if (name == "write_data") bits |= kWrite;
    if (name == "delete_data") bits |= kDelete;
  }
  return bits;
}

// What several scopes allow in one namespace adds up; a scope over the organization lifts the limit.
std::vector<NamespaceGrant> read_grants(const json::object& key, uint8_t permissions) {
  std::map<std::string, uint8_t, std::less<>> by_namespace;
  const json::array* scopes = array_member(key, "scopes");
  if (!scopes) return {};
  for (const auto& scope : *scopes) {
    if (!scope.is_object()) continue;
    const json::object& o = scope.get_object();
    if (string_member(o, "resource_type") == "organization") return {};
    by_namespace[std::string(string_member(o, "resource_id"))] |= operation_bits(strings_member(o, "operations")) & permissions;
  }
  std::vector<NamespaceGrant> grants;
  for (const auto& [id, bits] : by_namespace) grants.push_back({id, bits});
  return grants;
}

TimestampUs expiry_of(const json::object& key) {
  std::string_view text = string_member(key, "expires_at");
  if (text.empty()) return INT64_MAX;
  auto parsed = parse_timestamp(text);
  return parsed.ok() ? *parsed : 0;
}

}  // namespace

template <typename T>
std::optional<T> Authenticator::lookup(const Entries<T>& entries, const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = entries.find(key);
  if (it == entries.end() || it->second.good_until_us <= deps_.clock->steady_us()) return std::nullopt;
  return it->second.value;
}

template <typename T>
void Authenticator::keep(Entries<T>& entries, const std::string& key, const T& value, uint64_t generation) {
  std::lock_guard lock(mutex_);
  if (generation != generation_) return;
  if (entries.size() >= kMaxEntries) entries.clear();
  entries.insert_or_assign(key, Entry<T>{value, deps_.clock->steady_us() + kKeepUs});
}

void Authenticator::forget() {
  std::lock_guard lock(mutex_);
  ++generation_;
  callers_.clear();
  namespaces_.clear();
}

Result<std::shared_ptr<const Caller>> Authenticator::authenticate(std::string_view authorization) {
  std::string_view token = bearer_token(authorization);
  if (token.empty() || token.size() > kMaxKeyBytes) return bad_key();
  std::string hash = sha256_hex(token);
  auto caller = lookup(callers_, hash);
  if (!caller) {
    uint64_t generation = 0;
    {
      std::lock_guard lock(mutex_);
      generation = generation_;
    }
    QUARRY_ASSIGN_OR_RETURN(auto loaded, load_caller(hash));
    keep(callers_, hash, loaded, generation);
    caller = std::move(loaded);
  }
  if ((*caller)->expires_at <= deps_.clock->now_us()) return bad_key();
  if ((*caller)->requests_per_minute > 0) QUARRY_RETURN_IF_ERROR(take_token(**caller));
  return std::move(*caller);
}

// A bucket that holds a minute's requests and is refilled evenly. A microsecond is worth as many units as the key may make requests a
// minute; a request costs the microseconds of a minute.
Status Authenticator::take_token(const Caller& caller) {
  constexpr int64_t kMinuteUs = 60'000'000;
  const int64_t rate = caller.requests_per_minute, now = deps_.clock->steady_us();
  std::lock_guard lock(mutex_);
  if (buckets_.size() >= kMaxEntries && !buckets_.contains(caller.key_id))
    std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.at_us >= kMinuteUs; });  // full again
  Bucket& bucket = buckets_.try_emplace(caller.key_id, Bucket{rate * kMinuteUs, now}).first->second;
  bucket.units = std::min(rate * kMinuteUs, bucket.units + std::clamp<int64_t>(now - bucket.at_us, 0, kMinuteUs) * rate);
  bucket.at_us = now;
  if (bucket.units < kMinuteUs) {
    const int64_t wait_us = (kMinuteUs - bucket.units + rate - 1) / rate;
    return Error{ErrorKind::kTooManyRequests,
                 fmt::format("this key may make {} requests a minute", rate),
                 {{"retry_after_seconds", (wait_us + 999'999) / 1'000'000}}};
  }
  bucket.units -= kMinuteUs;
  return Ok{};
}

Result<std::shared_ptr<const Caller>> Authenticator::load_caller(const std::string& hash) {
  auto caller = std::make_shared<Caller>();
  catalog::Resource key, user, organization;
  Status read = deps_.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto row, session.get(kApiKeyHashKind, {}, hash));
    catalog::Scope scope{std::string(string_member(row.body, "organization_id")), ""};
    QUARRY_ASSIGN_OR_RETURN(key, session.get(catalog::kind::kApiKey, scope, string_member(row.body, "key_id")));
    QUARRY_ASSIGN_OR_RETURN(user, session.get(catalog::kind::kUser, scope, key.parent_id));
    QUARRY_ASSIGN_OR_RETURN(organization, session.get(catalog::kind::kOrganization, {}, scope.organization_id));
    return Ok{};
  });
  if (!read.ok()) return read.error().kind == ErrorKind::kNotFound ? bad_key() : std::move(read).error();
  if (string_member(key.body, "status") != "active" || string_member(user.body, "status") != "active") return bad_key();
  const json::array* names = array_member(key.body, "permissions");
  QUARRY_ASSIGN_OR_RETURN(uint8_t permissions, parse_permissions(names ? *names : json::array{}));
  if (permissions & kAdmin) permissions = kRead | kWrite | kDelete | kAdmin;
  caller->permissions = permissions & role_permissions(string_member(user.body, "role"));
  caller->grants = read_grants(key.body, caller->permissions);
  caller->organization_id = organization.id;
  caller->internal_id = std::string(string_member(organization.body, "internal_id"));
  caller->key_id = key.id;
  caller->user_email = std::string(string_member(user.body, "email"));
  caller->requests_per_minute = std::min<int64_t>(integer_member(key.body, "rate_limit_override").value_or(0), kMaxRate);
  caller->expires_at = expiry_of(key.body);
  note_use(key);
  return std::shared_ptr<const Caller>(std::move(caller));
}

// At most once a minute per key, and off the request's path.
void Authenticator::note_use(const catalog::Resource& key) {
  TimestampUs now = deps_.clock->now_us();
  auto last = parse_timestamp(string_member(key.body, "last_used_at"));
  if (last.ok() && now - *last < kLastUsedEveryUs) return;
  auto write = [catalog = deps_.catalog, scope = catalog::Scope{key.organization_id, ""}, id = key.id, now] {
    // Lost on a failure or a race: the next use writes it again.
    (void)catalog->update(catalog::kind::kApiKey, scope, id, [now](catalog::Resource& r) -> Status {
      r.body["last_used_at"] = format_timestamp(now);
      return Ok{};
    });
  };
  if (deps_.executor) deps_.executor->try_submit(std::move(write));  // a full queue: the next use tries again
}

Result<std::string> Authenticator::resolve_namespace(const Caller& caller, std::string_view identifier) {
  std::string cache_key = fmt::format("{}\n{}\n{}", caller.organization_id, caller.grants.empty() ? "" : caller.key_id, identifier);
  if (auto known = lookup(namespaces_, cache_key)) return std::move(*known);
  uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    generation = generation_;
  }
  QUARRY_ASSIGN_OR_RETURN(std::string id, identifier.empty() ? only_namespace(caller) : load_namespace(caller, identifier));
  keep(namespaces_, cache_key, id, generation);
  return id;
}

Result<std::string> Authenticator::load_namespace(const Caller& caller, std::string_view identifier) {
  auto found = deps_.catalog->find(catalog::kind::kNamespace, {caller.organization_id, ""}, identifier);
  if (!found.ok()) {
    if (found.error().kind == ErrorKind::kNotFound) return not_found(fmt::format("namespace '{}' does not exist", identifier));
    return std::move(found).error();
  }
  return found->id;
}

Result<std::string> Authenticator::only_namespace(const Caller& caller) {
  if (caller.grants.size() == 1) return load_namespace(caller, caller.grants.front().namespace_id);
  catalog::ListQuery query;
  query.kind = catalog::kind::kNamespace;
  query.scope = {caller.organization_id, ""};
  query.limit = 2;
  QUARRY_ASSIGN_OR_RETURN(auto page, deps_.catalog->list(query));
  if (page.items.empty()) return bad_request("there is no namespace yet: create one with POST /v1/namespaces");
  if (page.items.size() > 1) return bad_request("the header X-Namespace (an id or a name) is needed: there is more than one namespace");
  return page.items.front().id;
}

}  // namespace quarry::service
