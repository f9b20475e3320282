#include "service/resources.h"

#include <fmt/format.h>

#include <charconv>

#include "base/ascii.h"
#include "base/hash.h"
#include "model/ids.h"

namespace quarry::service {
namespace {

struct Reserved {
  std::string_view kind;
  std::vector<std::string_view> names;  // literal segments that follow the kind's collection path
};

const std::vector<Reserved>& reserved_names() {
  static const std::vector<Reserved> kReserved{
      {catalog::kind::kBucket, {"list"}},
      {catalog::kind::kCollection, {"features", "import", "list"}},
      {catalog::kind::kNamespace, {"list", "migrations", "standalone", "stats"}},
      {catalog::kind::kRetriever,
       {"benchmarks", "evaluations", "execute", "executions", "interactions", "list", "publish", "published", "stages", "typeahead"}},
  };
  return kReserved;
}

// "api_key" -> "Api key"
std::string spoken(std::string_view kind) {
  std::string out(kind);
  for (char& c : out)
    if (c == '_') c = ' ';
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

std::string signature_of(const Dependencies& deps, std::string_view method, std::string_view key, std::string_view expires) {
  return hmac_sha256_hex(deps.signing_secret, fmt::format("{}\n{}\n{}", method, key, expires));
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
                 c == '~' || c == '/';
    if (plain)
      out.push_back(static_cast<char>(c));
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

}  // namespace

catalog::Resource make_resource(const RequestContext& context, std::string_view kind, std::string id, std::string name, json::object body) {
  catalog::Resource out;
  out.kind = kind;
  out.id = std::move(id);
  out.organization_id = context.organization_id;
  out.namespace_id = context.namespace_id;
  out.name = std::move(name);
  out.body = std::move(body);
  out.created_at = out.updated_at = context.clock->now_us();
  return out;
}

Status insert_in_namespace(const RequestContext& context, const Dependencies& deps, const catalog::Resource& resource, uint64_t limit,
                           const std::function<Status(catalog::Session&)>& also) {
  catalog::ListQuery of_its_kind;
  of_its_kind.kind = resource.kind;
  of_its_kind.scope = namespace_scope(context);
  return deps.catalog->write([&](catalog::Session& session) -> Status {
    auto ns = session.get(catalog::kind::kNamespace, organization_scope(context), context.namespace_id);
    if (!ns.ok() && ns.error().kind == ErrorKind::kNotFound)
      return not_found(fmt::format("namespace '{}' does not exist", context.namespace_id));
    QUARRY_RETURN_IF_ERROR(ns);
    if (limit != UINT64_MAX) {
      QUARRY_ASSIGN_OR_RETURN(uint64_t count, session.count(of_its_kind));
      if (count >= limit)
        return bad_request(fmt::format("namespace '{}' has {} {}s, the most there can be: delete one, or use another namespace",
                                       context.namespace_id, count, resource.kind));
    }
    if (also) QUARRY_RETURN_IF_ERROR(also(session));
    return session.insert(resource);
  });
}

json::object show(const catalog::Resource& resource) {
  json::object out = resource.body;
  out["created_at"] = format_timestamp(resource.created_at);
  out["updated_at"] = format_timestamp(resource.updated_at);
  return out;
}

Result<catalog::Resource> find_resource(const RequestContext& context, const Dependencies& deps, std::string_view kind,
                                        std::string_view identifier) {
  auto found = deps.catalog->find(kind, namespace_scope(context), identifier);
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound)
    return not_found(fmt::format("{} '{}' not found", spoken(kind), identifier.substr(0, 300)));
  return found;
}

Status check_resource_name(std::string_view kind, std::string_view name, size_t min_length, size_t max_length) {
  std::string field = fmt::format("{}_name", kind);
  if (name.size() < min_length || name.size() > max_length)
    return validation_error("string_length", {"body", field},
                            fmt::format("{} must have {} to {} characters", field, min_length, max_length));
  if (!is_safe_name(name, max_length))
    return validation_error("string_pattern", {"body", field},
                            fmt::format("{} must not begin with '.' nor hold '/', '\\' or control characters", field));
  for (const Reserved& reserved : reserved_names())
    if (reserved.kind == kind && std::find(reserved.names.begin(), reserved.names.end(), ascii_lower(name)) != reserved.names.end())
      return validation_error("reserved_name", {"body", field}, fmt::format("'{}' is a path of the API and cannot name a {}", name, kind));
  return Ok{};
}

void merge_patch(json::object& to, const json::object& from) {
  for (const auto& [name, value] : from) {
    if (value.is_null())
      to.erase(name);
    else
      to[name] = value;
  }
}

std::string presign(const Dependencies& deps, std::string_view method, std::string_view key, int64_t lifetime_seconds) {
  std::string expires = std::to_string(deps.clock->now_us() / 1'000'000 + lifetime_seconds);
  return fmt::format("{}/v1/presigned?key={}&expires={}&signature={}", deps.public_url(), percent_encode(key), expires,
                     signature_of(deps, method, key, expires));
}

Status check_presigned(const Dependencies& deps, std::string_view method, std::string_view key, std::string_view expires,
                       std::string_view signature) {
  if (!equal_secrets(signature, signature_of(deps, method, key, expires)))
    return Error{ErrorKind::kForbidden, "the signature of this URL is wrong"};
  int64_t until = 0;
  auto [end, ec] = std::from_chars(expires.data(), expires.data() + expires.size(), until);
  if (ec != std::errc() || end != expires.data() + expires.size() || until < deps.clock->now_us() / 1'000'000)
    return Error{ErrorKind::kForbidden, "this URL has expired; ask for a new one"};
  return Ok{};
}

}  // namespace quarry::service
