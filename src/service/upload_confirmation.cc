// Confirming uploads: the bytes are checked, and become an object's.
#include <fmt/format.h>

#include "base/hash.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/task_view.h"
#include "service/uploads.h"

namespace quarry::service {
namespace {

using catalog::kind::kUpload;

Status check_announced(const catalog::Resource& upload, const json::object& given) {
  const json::object* internal = object_member(upload.body, pipeline::kInternalMember);
  auto received = internal ? integer_member(*internal, "received_bytes") : std::nullopt;
  if (!received) return bad_request(fmt::format("Nothing was uploaded to '{}' yet: PUT the file to its presigned_url first", upload.id));
  if (auto size = integer_member(given, "file_size_bytes"); size && *size != *received)
    return validation_error("file_size_bytes", {"body", "file_size_bytes"},
                            fmt::format("{} bytes were received, not {}", *received, *size));
  std::string_view etag = string_member(given, "etag");
  if (etag.size() > 1 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  if (!etag.empty() && etag != string_member(upload.body, "etag"))
    return validation_error("etag", {"body", "etag"}, fmt::format("the upload's etag is '{}'", string_member(upload.body, "etag")));
  return Ok{};
}

// A declared media type that the bytes contradict; text kinds are not told apart.
Status check_content_type(const catalog::Resource& upload, std::string_view detected) {
  std::string declared(string_member(upload.body, "content_type"));
  declared = declared.substr(0, declared.find(';'));
  FieldType wanted = extract::field_type_of_mime(declared), found = extract::field_type_of_mime(detected);
  if (!is_media(wanted) || wanted == found) return Ok{};
  return validation_error("content_type", {"body", "content_type"},
                          fmt::format("upload '{}' was declared as {} but its content is {}", upload.id, declared, detected));
}

// The property the file goes to: as asked, or the only one of the schema that takes its type.
Result<std::string> choose_property(const OpenBucket& bucket, const catalog::Resource& upload, FieldType type) {
  if (std::string_view property = string_member(upload.body, "blob_property"); !property.empty()) return std::string(property);
  std::vector<std::string> fitting;
  for (const auto& [name, field] : bucket.schema.properties)
    if (field.type == type || (type == FieldType::kText && field.type == FieldType::kString)) fitting.push_back(name);
  if (fitting.size() == 1) return fitting.front();
  if (bucket.schema.properties.empty()) return std::string(type == FieldType::kText ? "text" : to_string(type));
  return validation_error(
      "blob_property", {"body", "blob_property"},
      fmt::format("the bucket's schema has {} properties of type {}: name one as blob_property when the upload is created", fitting.size(),
                  to_string(type)));
}

Result<json::object> object_request(const OpenBucket& bucket, const catalog::Resource& upload, std::string_view detected) {
  std::string type_name(string_member(upload.body, "blob_type"));
  FieldType type = extract::field_type_of_mime(detected);
  if (!type_name.empty()) {
    QUARRY_ASSIGN_OR_RETURN(type, parse_field_type(type_name));
  } else if (type == FieldType::kObject) {
    return validation_error("content_type", {"body", "blob_type"}, fmt::format("content of type {} cannot be processed", detected));
  }
  QUARRY_ASSIGN_OR_RETURN(std::string property, choose_property(bucket, upload, type));
  json::object blob{{"property", property}, {"type", to_string(type)}, {"upload_id", upload.id}};
  if (const json::object* metadata = object_member(upload.body, "metadata"); metadata && !metadata->empty()) blob["metadata"] = *metadata;
  json::object request;
  if (const json::object* fields = object_member(upload.body, "object_metadata")) request = *fields;
  request["blobs"] = json::array{std::move(blob)};
  return request;
}

struct Confirmed {
  catalog::Resource upload;
  std::string object_id;
};

// Marks the upload; its object, if any, has taken the bytes over in an earlier transaction, so that a crash between the two is completed by
// confirming again.
Result<catalog::Resource> mark_confirmed(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                         const catalog::Resource& upload, const std::string& object_id, bool bytes_are_useless) {
  const catalog::Scope scope = namespace_scope(context);
  catalog::Resource stored;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto current, session.get(kUpload, scope, upload.id));
    if (current.body.contains("completed_at")) {  // by another confirmation at the same time
      stored = std::move(current);
      return Ok{};
    }
    if (uploaded_key(current.body) != uploaded_key(upload.body)) return upload_changed(upload.id);
    bool taken = !string_member(current.body, "object_id").empty();
    std::string now = format_timestamp(context.clock->now_us());
    const json::object* internal = object_member(current.body, pipeline::kInternalMember);
    std::string hash(internal ? string_member(*internal, "received_hash") : "");
    current.body["file_hash"] = hash;
    current.body["file_size_bytes"] = internal ? integer_member(*internal, "received_bytes").value_or(0) : 0;
    current.body["status"] = to_string(TaskStatus::kCompleted);
    current.body["verified_at"] = now;
    current.body["completed_at"] = now;
    if (!object_id.empty()) current.body["object_id"] = object_id;
    if (bytes_are_useless && !taken) current.body[pipeline::kInternalMember].as_object().erase("key");
    current.updated_at = context.clock->now_us();
    QUARRY_RETURN_IF_ERROR(session.replace(current));
    catalog::Resource row = make_resource(context, kObjectIndexKind, upload_index_id(bucket.id(), hash), "", {{"upload_id", upload.id}});
    row.parent_id = bucket.id();
    auto indexed = session.insert(row);
    if (!indexed.ok() && indexed.error().kind != ErrorKind::kAlreadyExists) return indexed;
    QUARRY_ASSIGN_OR_RETURN(stored, session.get(kUpload, scope, upload.id));
    return Ok{};
  }));
  return stored;
}

Result<Confirmed> confirm(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket, std::string_view upload_id,
                          const json::object& given, const std::string& policy) {
  QUARRY_ASSIGN_OR_RETURN(auto upload, find_upload(context, deps, bucket, upload_id));
  std::string object_id(string_member(upload.body, "object_id"));
  if (upload.body.contains("completed_at") || bool_member(upload.body, "is_duplicate")) return Confirmed{std::move(upload), object_id};
  QUARRY_RETURN_IF_ERROR(check_announced(upload, given));
  bool wants_object = bool_member(upload.body, "create_object_on_confirm", true) && object_id.empty();
  bool same_exists = false;
  std::string key = uploaded_key(upload.body);
  if (wants_object) {
    QUARRY_ASSIGN_OR_RETURN(std::string head, deps.store->get_range(key, 0, 64 << 10));
    std::string detected = extract::detect_mime_type(head, string_member(upload.body, "filename"));
    QUARRY_RETURN_IF_ERROR(check_content_type(upload, detected));
    QUARRY_ASSIGN_OR_RETURN(json::object request, object_request(bucket, upload, detected));
    ObjectToWrite object;
    QUARRY_ASSIGN_OR_RETURN(object.prepared, prepare_object(context, deps, bucket, request, new_id("obj")));
    object.options.policy = policy;
    object.options.skip_duplicates = bool_member(upload.body, "skip_duplicates", true);
    std::vector<ObjectToWrite> one;
    one.push_back(std::move(object));
    QUARRY_ASSIGN_OR_RETURN(auto results, write_objects(context, deps, bucket, std::move(one)));
    QUARRY_ASSIGN_OR_RETURN(WrittenObject written, std::move(results.front()));
    object_id = written.object.id;
    same_exists = !written.replayed_by.empty();
  }
  QUARRY_ASSIGN_OR_RETURN(auto stored, mark_confirmed(context, deps, bucket, upload, object_id, same_exists));
  // An object with the same content is there; what stays behind costs space only.
  if (same_exists && uploaded_key(stored.body).empty()) (void)deps.store->remove(key);
  return Confirmed{std::move(stored), object_id};
}

json::object show_confirmed(const Confirmed& confirmed) {
  json::object out{{"upload_id", confirmed.upload.id}, {"status", to_string(TaskStatus::kCompleted)}};
  copy_members(out, confirmed.upload.body, {"etag", "file_size_bytes", "file_hash", "verified_at", "completed_at"});
  if (!confirmed.object_id.empty()) out["object_id"] = confirmed.object_id;
  return out;
}

// `async` is answered as quickly either way: the file is here already.
Result<Reply> confirm_upload(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(std::string policy, requested_policy(request, bucket));
  QUARRY_ASSIGN_OR_RETURN(Confirmed confirmed, confirm(context, deps, bucket, request.param("upload_id"), request.object(), policy));
  json::object reply = show_confirmed(confirmed);
  reply["message"] = confirmed.object_id.empty() ? "The upload was verified" : "The upload was verified and is an object now";
  if (bool_member(request.object(), "auto_submit_batch") && !confirmed.object_id.empty()) {
    QUARRY_ASSIGN_OR_RETURN(Submission submission, process_objects(context, deps, bucket.id(), {confirmed.object_id}));
    if (submission.reason.empty()) {
      reply["batch_id"] = submission.batch_id;
      reply["task_id"] = submission.task_id;
    } else {
      reply["message"] = fmt::format("The upload was verified; nothing was submitted: {}", submission.reason);
    }
  }
  return Reply(std::move(reply));
}

Status check_confirmations(const json::array& given) {
  for (size_t i = 0; i < given.size(); ++i) {
    const json::object* one = given[i].if_object();
    if (!one || string_member(*one, "upload_id").empty())
      return validation_error("missing", {"body", "confirmations", i, "upload_id"}, "each confirmation names an upload_id");
  }
  return Ok{};
}

// The outcome of each confirmation is the task's; the task has ended when the reply leaves.
Result<Reply> confirm_uploads(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(std::string policy, requested_policy(request, bucket));
  const json::array* confirmations = array_member(request.object(), "confirmations");
  const json::array given = confirmations ? *confirmations : json::array{};
  QUARRY_RETURN_IF_ERROR(check_confirmations(given));
  json::array outcomes;
  size_t failed = 0;
  for (const json::value& one : given) {
    std::string_view id = string_member(one.get_object(), "upload_id");
    auto confirmed = confirm(context, deps, bucket, id, one.get_object(), policy);
    if (confirmed.ok()) {
      outcomes.push_back(show_confirmed(*confirmed));
      continue;
    }
    ++failed;
    outcomes.push_back(json::object{{"upload_id", id},
                                    {"status", to_string(TaskStatus::kFailed)},
                                    {"error", confirmed.error().message},
                                    {"error_type", to_string(confirmed.error().kind)}});
  }
  Task task;
  task.task_id = new_id("task");
  task.task_type = "api_buckets_uploads_batch_confirm";
  task.organization_id = context.organization_id;
  task.namespace_id = context.namespace_id;
  size_t total = outcomes.size();
  task.status = failed == 0 ? TaskStatus::kCompleted : failed == total ? TaskStatus::kFailed : TaskStatus::kCompletedWithErrors;
  task.inputs = {{"bucket_id", bucket.id()}};
  task.additional_data = {{"confirmations", std::move(outcomes)}, {"failed", failed}};
  task.created_at = task.updated_at = context.clock->now_us();
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) { return session.enqueue(task); }));
  json::object reply{
      {"task_id", task.task_id}, {"status", to_string(task.status)}, {"confirmations_count", total}, {"task", show_task(task)}};
  reply["message"] = fmt::format("{} of {} uploads were confirmed", total - failed, total);
  return Reply(std::move(reply));
}

}  // namespace

void bind_upload_confirmation(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "confirm_upload_buckets", confirm_upload);
  bind_operation(table, deps, "confirm_uploads_batch_buckets", confirm_uploads);
}

}  // namespace quarry::service
