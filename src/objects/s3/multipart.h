// Large objects in parts.
#pragma once

#include "objects/s3/client.h"

namespace quarry::objects::s3 {

// Bytes of a part such that `size` bytes take at most 10,000 of them, S3's limit.
uint64_t part_size(uint64_t size, uint64_t wanted);

// Sends the parts, several at a time; a part that failed is tried three times in all. The object appears whole or not at all; on failure
// what was sent is given up (what a crash leaves behind takes a lifecycle rule of the bucket).
Status put_in_parts(Client& client, std::string_view key, std::string_view bytes);

}  // namespace quarry::objects::s3
