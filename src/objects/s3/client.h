// Signed requests to one bucket.
#pragma once

#include "objects/s3/transport.h"

namespace quarry::objects::s3 {

struct Call {
  std::string method;
  std::string_view key;  // ours, without the prefix; empty: the bucket itself
  Pairs query;
  Pairs headers;  // names in lower case
  std::string_view body;
  uint64_t max_reply_bytes = 16ull << 20;
};

class Client {
 public:
  // `options` must be checked.
  explicit Client(S3Options options);

  Result<HttpReply> send(const Call& call);
  // A URL that anybody may use for `ttl_s` seconds, 1 s to 7 days.
  std::string presigned_url(const std::string& method, std::string_view key, int64_t ttl_s) const;

  const std::string& root() const { return root_; }    // "" or "prefix/"
  const std::string& place() const { return place_; }  // "s3://bucket/prefix"
  const S3Options& options() const { return options_; }

 private:
  std::string path_of(std::string_view key) const;

  const S3Options options_;
  const bool is_virtual_;
  const std::string root_;
  const std::string place_;
  std::string scheme_, host_;  // the host as requests name it: with the bucket, where it is part of it
  Transport transport_;
};

}  // namespace quarry::objects::s3
