// Batches as the files around them use them.
#pragma once

#include "service/buckets.h"

namespace quarry::service {

// With object_ids, unless there are more than `max_object_ids`: then object_count tells.
Result<json::object> show_batch(catalog::Session& session, const catalog::Resource& batch, size_t max_object_ids);
Result<Reply> reply_batch(const RequestContext& context, const Dependencies& deps, const std::string& batch_id);

// `bucket` null: wherever it is.
Result<catalog::Resource> find_batch(const RequestContext& context, const Dependencies& deps, const OpenBucket* bucket,
                                     std::string_view batch_id);

// The bucket's objects that match, oldest first, at most `limit`. kBadRequest for more than pipeline::kMaxBatchObjects.
inline constexpr size_t kNoLimit = SIZE_MAX;
Result<std::vector<std::string>> select_objects(catalog::Session& session, const catalog::Scope& scope, const std::string& bucket_id,
                                                const Filter& filter, size_t limit);

// Submits in the caller's transaction.
Result<Task> submit_in(catalog::Session& session, const RequestContext& context, const std::string& batch_id,
                       const std::vector<std::string>& only_collections);

void bind_batch_submission(OperationTable& table, const Dependencies& deps);  // part of bind_batches

}  // namespace quarry::service
