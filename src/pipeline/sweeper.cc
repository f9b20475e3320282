#include <fmt/format.h>

#include <map>

#include "pipeline/object_body.h"
#include "pipeline/pipeline.h"
#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

bool refers_to(const json::object& object_body, std::string_view key) {
  auto blobs = parse_blobs(object_body);
  if (!blobs.ok()) return true;  // not understood: left alone
  return std::any_of(blobs->begin(), blobs->end(), [&](const ObjectBlob& blob) { return blob.key == key; });
}

// "{prefix}{owner}/...": an object's id, or an upload's.
std::string owner_of(std::string_view key, std::string_view prefix) {
  std::string_view rest = key.substr(prefix.size());
  return std::string(rest.substr(0, rest.find('/')));
}

// Whether something refers to the key. Bytes of an upload whose row is gone may be an object's, and stay.
Result<bool> is_referred_to(catalog::Session& session, const catalog::Scope& scope, const std::string& owner, const std::string& key) {
  if (owner.starts_with("obj_")) {
    auto object = session.get(kind::kObject, scope, owner);
    if (object.ok()) return refers_to(object->body, key);
    return object.error().kind == ErrorKind::kNotFound ? Result<bool>(false) : std::move(object).error();
  }
  if (!owner.starts_with("upl_")) return true;
  auto upload = session.get(kind::kUpload, scope, owner);
  if (!upload.ok()) return upload.error().kind == ErrorKind::kNotFound ? Result<bool>(true) : std::move(upload).error();
  const json::value* internal = upload->body.if_contains(kInternalMember);
  bool current = internal && internal->is_object() && text_member(internal->get_object(), "key") == key;
  if (current) return true;
  std::string object_id = text_member(upload->body, "object_id");
  if (object_id.empty()) return false;
  auto object = session.get(kind::kObject, scope, object_id);
  if (object.ok()) return refers_to(object->body, key);
  return object.error().kind == ErrorKind::kNotFound ? Result<bool>(false) : std::move(object).error();
}

class Sweeper {
 public:
  Sweeper(catalog::Catalog& catalog, objects::ObjectStore& store, TimestampUs older_than, const std::function<bool()>& halted)
      : catalog_(catalog), store_(store), older_than_(older_than), halted_(halted) {}

  Status sweep_bucket(const std::string& internal_id, const catalog::Resource& bucket) {
    const catalog::Scope scope{bucket.organization_id, bucket.namespace_id};
    const std::string prefix = fmt::format("{}/{}/blobs/{}/", internal_id, bucket.namespace_id, bucket.id);
    return store_.walk(prefix, [&](const objects::ObjectInfo& info) -> Result<bool> {
      QUARRY_RETURN_IF_ERROR(look_at(scope, prefix, info));
      return !(halted_ && halted_());
    });
  }

  const SweepReport& report() const { return report_; }

 private:
  Status look_at(const catalog::Scope& scope, const std::string& prefix, const objects::ObjectInfo& info) {
    ++report_.looked_at;
    if (info.modified_at >= older_than_) return Ok{};
    bool referred_to = true;
    QUARRY_RETURN_IF_ERROR(catalog_.read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(referred_to, is_referred_to(session, scope, owner_of(info.key, prefix), info.key));
      return Ok{};
    }));
    if (referred_to) return Ok{};
    QUARRY_RETURN_IF_ERROR(store_.remove(info.key));
    ++report_.removed;
    report_.removed_bytes += info.size;
    return Ok{};
  }

  catalog::Catalog& catalog_;
  objects::ObjectStore& store_;
  const TimestampUs older_than_;
  const std::function<bool()>& halted_;
  SweepReport report_;
};

}  // namespace

Result<SweepReport> sweep_orphans(catalog::Catalog& catalog, objects::ObjectStore& store, TimestampUs older_than,
                                  const std::function<bool()>& halted) {
  Sweeper sweeper(catalog, store, older_than, halted);
  auto sweep_namespace = [&](const catalog::Resource& organization, const catalog::Resource& ns) {
    return for_each_resource(catalog, {.kind = std::string(kind::kBucket), .scope = {organization.id, ns.id}},
                             [&](const catalog::Resource& bucket) {
                               if (halted && halted()) return Status(Ok{});
                               return sweeper.sweep_bucket(text_member(organization.body, "internal_id"), bucket);
                             });
  };
  QUARRY_RETURN_IF_ERROR(for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    return for_each_resource(catalog, {.kind = std::string(kind::kNamespace), .scope = {organization.id, ""}},
                             [&](const catalog::Resource& ns) { return sweep_namespace(organization, ns); });
  }));
  return sweeper.report();
}

}  // namespace quarry::pipeline
