#include "service/object_writer.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using catalog::kind::kObject;

// An object that changes keeps the newest of its keys.
constexpr size_t kMaxIdempotencyKeys = 100;

std::string index_id(std::string_view bucket_id, std::string_view by, std::string_view value) {
  return fmt::format("{}:{}:{}", bucket_id, by, by == "idempotency_key" ? sha256_hex(value) : value);
}

json::object& internal_of(json::object& body) {
  json::value& internal = body[pipeline::kInternalMember];
  if (!internal.is_object()) internal = json::object{};
  return internal.get_object();
}

// The object that an index row names; a row whose object is gone counts as absent.
Result<std::optional<catalog::Resource>> find_indexed(catalog::Session& session, const catalog::Scope& scope, const std::string& id) {
  auto row = session.get(kObjectIndexKind, scope, id);
  if (!row.ok()) {
    if (row.error().kind == ErrorKind::kNotFound) return std::optional<catalog::Resource>();
    return std::move(row).error();
  }
  auto object = session.get(kObject, scope, string_member(row->body, "object_id"));
  if (object.ok()) return std::optional<catalog::Resource>(std::move(*object));
  if (object.error().kind != ErrorKind::kNotFound) return std::move(object).error();
  QUARRY_RETURN_IF_ERROR(session.remove(kObjectIndexKind, scope, id));
  return std::optional<catalog::Resource>();
}

// Writes the objects of one request within one transaction.
class Writer {
 public:
  Writer(const RequestContext& context, const OpenBucket& bucket, catalog::Session& session)
      : context_(context), bucket_(bucket), session_(session), scope_(namespace_scope(context)), now_(context.clock->now_us()) {}

  Result<WrittenObject> write(const ObjectToWrite& wanted) {
    QUARRY_ASSIGN_OR_RETURN(auto replayed, find_replayed(wanted));
    if (replayed) return std::move(*replayed);
    if (wanted.prepared.unique_key.empty()) return insert(wanted);
    const std::string& policy = wanted.options.policy.empty() ? bucket_.default_policy : wanted.options.policy;
    QUARRY_ASSIGN_OR_RETURN(auto taken, find_indexed(session_, scope_, index_id(bucket_.id(), "unique_key", wanted.prepared.unique_key)));
    if (!taken) {
      if (policy == "update") return not_found("No object with this unique key: policy 'update' changes only what is there");
      return insert(wanted);
    }
    if (policy == "skip") return WrittenObject{std::move(*taken), false, "unique_key", {}};
    if (policy == "insert")
      return Error{
          ErrorKind::kAlreadyExists, fmt::format("Object '{}' has this unique key already", taken->id), {{"object_id", taken->id}}};
    if (taken->id != wanted.prepared.object_id)  // the bytes lie under another object's id
      return Error{ErrorKind::kConflict, fmt::format("object '{}' was written by another request at the same time; try again", taken->id)};
    return overwrite(std::move(*taken), wanted.prepared, wanted.options.idempotency_key);
  }

  Result<WrittenObject> overwrite(catalog::Resource stored, const PreparedObject& prepared, const std::string& idempotency_key) {
    QUARRY_RETURN_IF_ERROR(check_uploads(prepared));
    WrittenObject out;
    json::object before = std::move(stored.body);
    stored.body = body_of(prepared, stored.id);
    copy_members(stored.body, before, {"lifecycle_state"});
    std::vector<std::string> kept = idempotency_rows(before);
    if (kept.size() > kMaxIdempotencyKeys) kept.erase(kept.begin(), kept.end() - kMaxIdempotencyKeys);
    QUARRY_RETURN_IF_ERROR(drop_index(before, kept));
    QUARRY_RETURN_IF_ERROR(write_index(prepared, idempotency_key, kept, stored));
    QUARRY_RETURN_IF_ERROR(take_uploads(prepared, stored.id));
    stored.updated_at = now_;
    QUARRY_RETURN_IF_ERROR(session_.replace(stored));
    change_.bytes += prepared.bytes - stored_bytes(before);
    change_.uploaded = true;
    out.obsolete_keys = obsolete_keys(before, stored.body);
    out.object = std::move(stored);
    return out;
  }

  Status remove(const catalog::Resource& stored) {
    QUARRY_RETURN_IF_ERROR(drop_index(stored.body, {}));
    QUARRY_RETURN_IF_ERROR(session_.remove(kObject, scope_, stored.id));
    change_.objects -= 1;
    change_.bytes -= stored_bytes(stored.body);
    return Ok{};
  }

  Status finish() {
    if (change_.objects == 0 && change_.bytes == 0 && !change_.uploaded) return Ok{};
    return change_bucket_stats(session_, scope_, bucket_.id(), change_, now_);
  }

  static std::vector<std::string> blob_keys(const json::object& body) {
    std::vector<std::string> keys;
    const json::array* blobs = array_member(body, "blobs");
    for (size_t i = 0; blobs && i < blobs->size(); ++i) {
      const json::object* blob = (*blobs)[i].if_object();
      const json::object* storage = blob ? object_member(*blob, "storage") : nullptr;
      if (storage && !string_member(*storage, "key").empty()) keys.emplace_back(string_member(*storage, "key"));
    }
    return keys;
  }

 private:
  Result<std::optional<WrittenObject>> find_replayed(const ObjectToWrite& wanted) {
    auto look = [&](std::string_view by, const std::string& value) -> Result<std::optional<WrittenObject>> {
      QUARRY_ASSIGN_OR_RETURN(auto found, find_indexed(session_, scope_, index_id(bucket_.id(), by, value)));
      if (!found) return std::optional<WrittenObject>();
      return std::optional<WrittenObject>(WrittenObject{std::move(*found), false, std::string(by), {}});
    };
    if (!wanted.options.idempotency_key.empty()) {
      QUARRY_ASSIGN_OR_RETURN(auto found, look("idempotency_key", wanted.options.idempotency_key));
      if (found) return found;
    }
    if (!wanted.options.skip_duplicates) return std::optional<WrittenObject>();
    return look("content_hash", wanted.prepared.content_hash);
  }

  json::object body_of(const PreparedObject& prepared, const std::string& object_id) const {
    json::object body{{"object_id", object_id}, {"bucket_id", bucket_.id()}};
    if (!prepared.key_prefix.is_null()) body["key_prefix"] = prepared.key_prefix;
    if (!prepared.edges.is_null()) body["edges"] = prepared.edges;
    body["status"] = to_string(TaskStatus::kPending);
    json::array blobs;
    for (const PreparedBlob& blob : prepared.blobs) blobs.push_back(blob.body);
    body["blobs"] = std::move(blobs);
    for (const auto& [name, value] : prepared.fields) body[name] = value;
    body[pipeline::kInternalMember] =
        json::object{{"content_hash", prepared.content_hash}, {"content_at", now_}, {"bytes", prepared.bytes}};
    return body;
  }

  Result<WrittenObject> insert(const ObjectToWrite& wanted) {
    QUARRY_RETURN_IF_ERROR(check_uploads(wanted.prepared));
    WrittenObject out;
    out.created = true;
    out.object = make_resource(context_, kObject, wanted.prepared.object_id, "", body_of(wanted.prepared, wanted.prepared.object_id));
    out.object.parent_id = bucket_.id();
    QUARRY_RETURN_IF_ERROR(take_uploads(wanted.prepared, out.object.id));
    QUARRY_RETURN_IF_ERROR(write_index(wanted.prepared, wanted.options.idempotency_key, {}, out.object));
    QUARRY_RETURN_IF_ERROR(session_.insert(out.object));
    change_.objects += 1;
    change_.bytes += wanted.prepared.bytes;
    change_.uploaded = true;
    return out;
  }

  // `kept`: rows that the object has already.
  Status write_index(const PreparedObject& prepared, const std::string& idempotency_key, const std::vector<std::string>& kept,
                     catalog::Resource& object) {
    json::array ids = to_array(kept);
    for (auto [by, value] : {std::pair<std::string_view, std::string_view>{"content_hash", prepared.content_hash},
                             {"unique_key", prepared.unique_key},
                             {"idempotency_key", idempotency_key}}) {
      if (value.empty()) continue;
      catalog::Resource row = make_resource(context_, kObjectIndexKind, index_id(bucket_.id(), by, value), "", {{"object_id", object.id}});
      row.parent_id = bucket_.id();
      auto inserted = session_.insert(row);
      // Equal content may exist several times: the first is found. A unique key that is taken was dealt with before, except by a change of
      // another object.
      if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists && by == "unique_key")
        return Error{ErrorKind::kAlreadyExists, "another object of the bucket has this unique key already"};
      if (!inserted.ok() && inserted.error().kind != ErrorKind::kAlreadyExists) return inserted;
      if (inserted.ok()) ids.emplace_back(row.id);
    }
    internal_of(object.body)["index"] = std::move(ids);
    return Ok{};
  }

  static std::vector<std::string> index_rows(const json::object& body) {
    const json::object* internal = object_member(body, pipeline::kInternalMember);
    return internal ? strings_member(*internal, "index") : std::vector<std::string>();
  }

  // A request that is repeated after the object changed is still a repeat.
  std::vector<std::string> idempotency_rows(const json::object& body) const {
    std::vector<std::string> rows = index_rows(body);
    std::erase_if(rows, [&](const std::string& id) { return !id.starts_with(fmt::format("{}:idempotency_key:", bucket_.id())); });
    return rows;
  }

  Status drop_index(const json::object& body, const std::vector<std::string>& kept) {
    for (const std::string& id : index_rows(body)) {
      if (std::find(kept.begin(), kept.end(), id) != kept.end()) continue;
      auto removed = session_.remove(kObjectIndexKind, scope_, id);
      if (!removed.ok() && removed.error().kind != ErrorKind::kNotFound) return removed;
    }
    return Ok{};
  }

  // An upload may have been taken, or have received another file, since its bytes were read.
  Status check_uploads(const PreparedObject& prepared) {
    for (const TakenUpload& taken : prepared.uploads) {
      QUARRY_ASSIGN_OR_RETURN(auto upload, session_.get(catalog::kind::kUpload, scope_, taken.id));
      if (std::string_view owner = string_member(upload.body, "object_id"); !owner.empty())
        return Error{ErrorKind::kAlreadyExists, fmt::format("upload '{}' belongs to object '{}' already", taken.id, owner)};
      if (uploaded_key(upload.body) != taken.key) return upload_changed(taken.id);
    }
    return Ok{};
  }

  Status take_uploads(const PreparedObject& prepared, const std::string& object_id) {
    for (const TakenUpload& taken : prepared.uploads) {
      QUARRY_ASSIGN_OR_RETURN(auto upload, session_.get(catalog::kind::kUpload, scope_, taken.id));
      upload.body["object_id"] = object_id;
      upload.body["status"] = to_string(TaskStatus::kCompleted);
      upload.updated_at = now_;
      QUARRY_RETURN_IF_ERROR(session_.replace(upload));
    }
    return Ok{};
  }

  static int64_t stored_bytes(const json::object& body) {
    const json::object* internal = object_member(body, pipeline::kInternalMember);
    return internal ? integer_member(*internal, "bytes").value_or(0) : 0;
  }

  static std::vector<std::string> obsolete_keys(const json::object& before, const json::object& after) {
    std::vector<std::string> kept = blob_keys(after), gone;
    for (std::string& key : blob_keys(before))
      if (std::find(kept.begin(), kept.end(), key) == kept.end()) gone.push_back(std::move(key));
    return gone;
  }

  const RequestContext& context_;
  const OpenBucket& bucket_;
  catalog::Session& session_;
  const catalog::Scope scope_;
  const TimestampUs now_;
  BucketChange change_;
};

// An object that a unique key resolves to one that is there takes its id, so that its bytes go to that object's place.
Status settle_ids(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket, std::vector<ObjectToWrite>& objects) {
  std::map<std::string, std::string> owners;  // unique key -> object
  for (ObjectToWrite& object : objects) {
    const std::string& unique_key = object.prepared.unique_key;
    if (unique_key.empty()) continue;
    auto [owner, is_first] = owners.emplace(unique_key, object.prepared.object_id);
    if (is_first) {
      auto row = deps.catalog->get(kObjectIndexKind, namespace_scope(context), index_id(bucket.id(), "unique_key", unique_key));
      if (!row.ok() && row.error().kind != ErrorKind::kNotFound) return std::move(row).error();
      if (row.ok()) owner->second = string_member(row->body, "object_id");
    }
    if (owner->second != object.prepared.object_id) assign_object_id(context, bucket, object.prepared, owner->second);
  }
  return Ok{};
}

// Whose fault concerns one object of several.
bool is_of_one_object(const Error& error) {
  return error.kind == ErrorKind::kAlreadyExists || error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kConflict;
}

Status put_bytes(const Dependencies& deps, PreparedObject& prepared, std::vector<std::string>& put) {
  for (PreparedBlob& blob : prepared.blobs) {
    if (blob.key.empty()) continue;
    QUARRY_RETURN_IF_ERROR(deps.store->put(blob.key, blob.bytes));
    put.push_back(blob.key);
    blob.bytes = {};
  }
  return Ok{};
}

void remove_keys(const Dependencies& deps, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    auto removed = deps.store->remove(key);
    if (!removed.ok()) log_warn("a file that nothing refers to could not be removed", {{"key", key}, {"reason", removed.error().message}});
  }
}

}  // namespace

Result<std::vector<Result<WrittenObject>>> write_objects(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                                         std::vector<ObjectToWrite> objects) {
  QUARRY_RETURN_IF_ERROR(settle_ids(context, deps, bucket, objects));
  std::vector<std::vector<std::string>> put(objects.size());
  auto undo = [&](size_t i) { remove_keys(deps, put[i]); };
  for (size_t i = 0; i < objects.size(); ++i) {
    auto stored = put_bytes(deps, objects[i].prepared, put[i]);
    if (stored.ok()) continue;
    for (size_t j = 0; j <= i; ++j) undo(j);
    return std::move(stored).error();
  }
  std::vector<Result<WrittenObject>> results;
  auto written = deps.catalog->write([&](catalog::Session& session) -> Status {
    results.clear();
    Writer writer(context, bucket, session);
    for (const ObjectToWrite& object : objects) {
      results.push_back(writer.write(object));
      if (!results.back().ok() && !is_of_one_object(results.back().error())) return results.back().error();
    }
    return writer.finish();
  });
  for (size_t i = 0; i < objects.size(); ++i) {
    bool referred_to = written.ok() && results[i].ok() && results[i]->replayed_by.empty();
    if (!referred_to)
      undo(i);
    else
      remove_keys(deps, results[i]->obsolete_keys);
  }
  if (!written.ok()) return std::move(written).error();
  return results;
}

Result<catalog::Resource> replace_object(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                         const catalog::Resource& stored, PreparedObject prepared) {
  std::vector<std::string> put;
  auto bytes = put_bytes(deps, prepared, put);
  WrittenObject changed;
  auto written = !bytes.ok() ? bytes : deps.catalog->write([&](catalog::Session& session) -> Status {
    Writer writer(context, bucket, session);
    QUARRY_ASSIGN_OR_RETURN(changed, writer.overwrite(stored, prepared, ""));
    return writer.finish();
  });
  if (!written.ok()) {
    remove_keys(deps, put);
    return std::move(written).error();
  }
  remove_keys(deps, changed.obsolete_keys);
  return std::move(changed.object);
}

Result<size_t> remove_objects(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                              const std::vector<std::string>& object_ids) {
  OpenBucket bucket;
  bucket.resource.id = bucket_id;
  const catalog::Scope scope = namespace_scope(context);
  // Documents go before the row: a crash between the two leaves an object without documents, which deleting again finishes. A worker that
  // writes some later, for whatever tier, finds the row gone when it records them, or when it takes the object up again after a crash, and
  // removes them.
  QUARRY_RETURN_IF_ERROR(pipeline::delete_object_documents(*deps.catalog, *deps.vectors, scope, context.internal_id, object_ids));
  std::vector<std::string> keys, removed_ids;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    keys.clear();
    removed_ids.clear();
    Writer writer(context, bucket, session);
    for (const std::string& id : object_ids) {
      auto object = session.get(kObject, scope, id);
      if (!object.ok() && object.error().kind == ErrorKind::kNotFound) continue;
      if (!object.ok()) return std::move(object).error();
      if (object->parent_id != bucket_id) continue;
      for (std::string& key : Writer::blob_keys(object->body)) keys.push_back(std::move(key));
      QUARRY_RETURN_IF_ERROR(writer.remove(*object));
      removed_ids.push_back(id);
    }
    return writer.finish();
  }));
  // Those that a worker recorded between the first removal and the row's.
  QUARRY_RETURN_IF_ERROR(pipeline::delete_object_documents(*deps.catalog, *deps.vectors, scope, context.internal_id, removed_ids));
  remove_keys(deps, keys);
  return removed_ids.size();
}

Result<Submission> process_objects(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                                   const std::vector<std::string>& object_ids) {
  Submission out;
  const catalog::Scope scope = namespace_scope(context);
  TimestampUs now = context.clock->now_us();
  auto submitted = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(
        auto batch, pipeline::create_batch(session, scope, {bucket_id, object_ids, {{"submitted_by_key_id", context.key_id}}}, now));
    QUARRY_ASSIGN_OR_RETURN(Task task, pipeline::submit_batch(session, scope, context.internal_id, batch.id, {}, now));
    out.batch_id = batch.id;
    out.task_id = task.task_id;
    return Ok{};
  });
  if (!submitted.ok()) {
    if (submitted.error().kind != ErrorKind::kBadRequest) return std::move(submitted).error();
    return Submission{"", "", submitted.error().message};
  }
  if (deps.engine) deps.engine->notify();
  return out;
}

}  // namespace quarry::service
