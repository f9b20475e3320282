// Uploads: a file that arrives by presigned PUT and becomes an object when it is confirmed.
#pragma once

#include "service/object_writer.h"

namespace quarry::service {

// `presigned`: with a URL to PUT the file to while none has arrived; only for a caller who may write.
json::object show_upload(const catalog::Resource& upload, const Dependencies& deps, bool presigned);
Result<catalog::Resource> find_upload(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      std::string_view upload_id);

// An upload of the bucket that was confirmed with these bytes, found by their SHA-256; nothing if there is none.
Result<std::optional<catalog::Resource>> find_upload_by_hash(catalog::Session& session, const catalog::Scope& scope,
                                                             std::string_view bucket_id, std::string_view hash);
std::string upload_index_id(std::string_view bucket_id, std::string_view hash);

void bind_upload_confirmation(OperationTable& table, const Dependencies& deps);  // parts of bind_uploads
void bind_presigned(OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
