// Buckets as the resource files around them use them.
#pragma once

#include "model/schema.h"
#include "service/operations.h"

namespace quarry::service {

struct OpenBucket {
  catalog::Resource resource;
  ObjectSchema schema;                     // empty: any property
  std::vector<std::string> unique_fields;  // empty: no unique key
  std::string default_policy;              // of the unique key: "insert", "update", "upsert" or "skip"

  const std::string& id() const { return resource.id; }
};

Result<OpenBucket> open_bucket(const RequestContext& context, const Dependencies& deps, std::string_view identifier);

// What a unique key does with an object whose key is taken: insert (409), update (404 unless taken), upsert, skip. 422 for another name.
Result<std::string> parse_policy(std::string_view name, const json::array& location);

// The policy that a request asks for; empty: none. 400 if the bucket has no unique key.
Result<std::string> requested_policy(const Request& request, const OpenBucket& bucket);

// Kept in the bucket's row and moved with it, in the transaction that changes its objects.
struct BucketChange {
  int64_t objects = 0, bytes = 0;
  bool uploaded = false;
};
Status change_bucket_stats(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id, const BucketChange& change,
                           TimestampUs now);

// Rows that find an object of a bucket by content hash, unique key or idempotency key; parent = the bucket, body = {object_id}.
using pipeline::kObjectIndexKind;

void bind_object_aggregate(OperationTable& table, const Dependencies& deps);  // part of bind_objects

// The bucket's batches that have not ended.
Result<uint64_t> count_running_batches(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id);

}  // namespace quarry::service
