// clang++ -fsanitize=fuzzer,address -std=c++20 -Isrc ...: whatever a store answers, reading it ends in a value or an error.
#include <cstddef>
#include <cstdint>

#include "objects/s3/replies.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::objects;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)s3::parse_list(body, "root/");
  (void)s3::parse_delete_result(body, "s3://bucket");
  (void)s3::parse_upload_id(body);
  s3::HttpReply reply{.status = 403};
  reply.body = body;
  (void)s3::reply_error(reply, "get 'k'", "s3://bucket");
  return 0;
}
