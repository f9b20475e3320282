// One blob of a request: from JSON value, text, data: URI, base64, URL or upload to catalog form and bytes.
#pragma once

#include "service/object_content.h"

namespace quarry::service {

struct BlobPlace {
  const RequestContext& context;
  const Dependencies& deps;
  const OpenBucket& bucket;
  const std::string& object_id;
  bool mirror_urls = true;
};

// `location` is where the blob stands in the request. Appends to `uploads` what it takes over.
Result<PreparedBlob> prepare_blob(const BlobPlace& place, const json::object& given, const json::array& location,
                                  std::vector<TakenUpload>& uploads);

// What of the blob goes into the object's content hash: its digest, URL or value.
std::string blob_identity(const json::object& body);

}  // namespace quarry::service
