// Objects into the catalog and their bytes onto the object store: bytes first, then one transaction, so that no row points at nothing. What
// a crash leaves between the two are bytes that no row names: pipeline::sweep_orphans removes them.
#pragma once

#include "service/object_content.h"

namespace quarry::service {

struct WriteOptions {
  std::string policy;  // of the unique key; empty: the bucket's
  bool skip_duplicates = false;
  std::string idempotency_key;
};

struct WrittenObject {
  catalog::Resource object;
  bool created = false;
  std::string replayed_by;  // "idempotency_key", "content_hash" or "unique_key": an object that was there is returned instead
  std::vector<std::string> obsolete_keys;  // bytes that the object no longer refers to
};

struct ObjectToWrite {
  PreparedObject prepared;
  WriteOptions options;
};

// One result per object, in order; an error of one does not keep the others from being written. All in one transaction.
Result<std::vector<Result<WrittenObject>>> write_objects(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                                         std::vector<ObjectToWrite> objects);

// An object that is there gets the content of `prepared`; kConflict if it changed since it was read.
Result<catalog::Resource> replace_object(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                         const catalog::Resource& stored, PreparedObject prepared);

// Rows, files and the documents made from the objects. Ids that are absent are left out; returns how many were there.
Result<size_t> remove_objects(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                              const std::vector<std::string>& object_ids);

struct Submission {
  std::string batch_id, task_id, reason;  // reason: why nothing was submitted
};
// A batch over these objects, submitted; an empty batch_id with the reason when no collection takes them.
Result<Submission> process_objects(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                                   const std::vector<std::string>& object_ids);

}  // namespace quarry::service
